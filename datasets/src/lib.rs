//! Nouns and files: what a problem, a step, a trajectory and a preference pair are, and how they
//! are read, generated, split and written.
//!
//! This crate is the bottom of the house: every other crate speaks its types, and it knows none of
//! them. A problem enters through [`read_problems`] or [`tasks::Task::problems`]; pairs leave
//! through [`write_pairs`].

mod atomic;
mod columns;
mod demonstration;
mod error;
mod export;
mod fault;
mod formats;
mod hash;
mod jsonl;
mod lines;
mod lock;
mod notices;
mod pair;
#[cfg(feature = "parquet")]
mod pair_parquet;
#[cfg(not(feature = "parquet"))]
#[path = "pair_parquet_off.rs"]
mod pair_parquet;
mod pairs;
mod preference;
mod problem;
mod read;
mod rows;
mod sources;
mod split;
mod step;
mod step_label;
mod step_labels;
pub mod tasks;
mod version;

pub use atomic::{atomic_write, remove_unfinished};
pub use demonstration::{Demonstration, Demonstrations, read_demonstrations};
pub use error::DataError;
pub use export::{StepDpoRow, StepwiseRow, UnpairedRow};
pub use formats::Format;
pub use hash::{content_hash, keyed_rng, stream_key};
pub use jsonl::{JsonlReader, JsonlWriter, read_jsonl, write_jsonl};
pub use lock::FolderLock;
pub use notices::Notices;
pub use pair::{PAIR_VERSION, PreferencePair};
pub use pairs::{read_pairs, write_pairs};
pub use preference::{Message, Preferences, TextPreference, Turn, read_preferences};
pub use problem::{AnswerKind, Choice, Problem};
pub use read::{RawRow, ReadOptions, read_problem_file, read_problems, read_raw_rows};
pub use sources::{ProblemSelection, ProblemSource, ProblemSources};
pub use split::{Split, overlap, problem_key, split_of, split_of_key};
pub use step::{Finish, Step, TokenId, Trajectory};
pub use step_label::{STEP_LABEL_VERSION, StepLabel};
pub use step_labels::read_step_labels;
