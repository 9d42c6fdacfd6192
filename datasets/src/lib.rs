//! Nouns and files: what a problem, a step, a trajectory and a preference pair are, and how they
//! are read, generated, split and written.
//!
//! This crate is the bottom of the house: every other crate speaks its types, and it knows none of
//! them. A problem enters through [`read_problems`] or [`tasks::Task::problems`]; pairs leave
//! through [`PreferencePair`].

mod error;
mod hash;
mod pair;
mod problem;
mod split;
mod step;
pub mod tasks;

pub use error::DataError;
pub use hash::{content_hash, keyed_rng, stream_key};
pub use pair::{PAIR_VERSION, PreferencePair};
pub use problem::{AnswerKind, Choice, Problem};
pub use split::{Split, overlap, problem_key, split_of, split_of_key};
pub use step::{Finish, Step, TokenId, Trajectory};
