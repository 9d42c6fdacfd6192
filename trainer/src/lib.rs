//! Pairs become a policy, and rounds become progress: SFT, preference training and the round loop.
//!
//! The trainer reads the types of `regrowth-datasets` and never sees a search tree; rounds tie the
//! search, the trainer and the evaluation together through files of a run directory.

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
