//! Problem -> tree -> pairs: Monte Carlo tree search over the reasoning steps of a language model.
//!
//! A search requests candidate steps and self-evaluations from a [`regrowth_policy::Policy`], checks finished
//! solutions with a [`regrowth_verifiers::Verifier`], and grows one tree per problem ([`Search`]). A finished
//! tree is stored as a row ([`TreeRecord`]); [`extract_pairs`] extracts preference pairs from it. The method
//! is Xie et al. 2024, arXiv:2405.00451.
//!
//! The main modules, in the order in which a problem becomes pairs: [`config`], [`driver`] (many
//! trees), [`search`] (one tree), [`select`], [`value`], [`commit`], [`tree`] (statistics and
//! backup), [`stop`], [`record`], [`pairs`], [`labels`], [`likelihood`]. The names that nearly
//! every caller needs are re-exported here.

mod answers;
pub mod audit;
#[cfg(feature = "cli")]
mod browse;
pub mod calibration;
#[cfg(feature = "cli")]
pub mod cli;
pub mod commit;
pub mod config;
#[cfg(feature = "cli")]
pub mod console;
pub mod countdown;
pub mod driver;
mod error;
mod examine;
mod expand;
pub mod fitted;
#[cfg(feature = "cli")]
pub mod flags;
pub mod foreign;
#[cfg(feature = "cli")]
pub mod frontend;
pub mod interval;
pub mod judging;
pub mod labels;
pub mod likelihood;
mod noise;
pub mod pairs;
mod preset;
pub mod probe;
#[cfg(feature = "cli")]
pub mod prompting;
pub mod record;
pub mod rejudge;
pub mod search;
pub mod select;
pub mod settings;
pub mod show;
pub mod similar;
pub mod spelling;
pub mod state;
pub mod stop;
mod sync;
pub mod tree;
pub mod value;
#[cfg(feature = "cli")]
pub mod viewer;

pub use config::SearchConfig;
pub use driver::{RunOptions, Search, SearchSummary};
pub use error::{SearchError, SkipReason};
pub use pairs::{PairConfig, extract_pairs};
pub use preset::Preset;
pub use record::{TreeRecord, read_trees};
pub use search::TreeSearch;
