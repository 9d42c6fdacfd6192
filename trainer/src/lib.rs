//! Training and evaluation: SFT, preference training, and the loop over rounds.
//!
//! Training reads the types of `regrowth-datasets` and is independent of search trees. The rounds connect
//! search, training and evaluation through the files of a run directory.

mod artefact;
pub mod bundled;
mod calls;
pub mod check;
pub mod cli;
mod clock;
mod error;
pub mod evaluate;
pub mod inputs;
pub mod pages;
pub mod report;
pub mod rounds;
mod serve;
pub mod stats;
mod status;
pub mod train;

pub use error::TrainError;
