//! Problem -> tree -> pairs: Monte Carlo tree search over the reasoning steps of a language model.
//!
//! A search asks a [`regrowth_policy::Policy`] for candidate steps and for its judgement of them,
//! a [`regrowth_verifiers::Verifier`] for the outcome, and grows one tree per problem
//! ([`search_problems`]). A finished tree is a plain row ([`TreeRecord`]); [`extract_pairs`] cuts
//! preference pairs out of it. The method is Xie et al. 2024, arXiv:2405.00451.
//!
//! The files are the algorithm, in the order in which a problem becomes pairs: `config`, `driver`
//! (many trees), `search` (one tree), `select`, `commit`, `expand`, `value`, `tree` (statistics and backup),
//! `answers`, `stop`, `record`, `pairs`, `labels`, `likelihood`.

mod answers;
mod calibration;
#[cfg(feature = "cli")]
pub mod cli;
mod commit;
mod config;
#[cfg(feature = "cli")]
pub mod console;
mod cut;
mod driver;
mod error;
mod expand;
#[cfg(feature = "cli")]
mod flags;
mod foreign;
#[cfg(feature = "cli")]
pub mod frontend;
mod labels;
mod likelihood;
mod noise;
mod pairs;
mod preset;
#[cfg(feature = "cli")]
mod prompting;
mod record;
mod search;
mod select;
mod settings;
mod show;
mod similar;
mod spelling;
mod stop;
mod sync;
mod tree;
mod value;
#[cfg(feature = "cli")]
pub mod viewer;

pub use calibration::{
    Calibration, CalibrationBin, DepthFigures, ECE_BINS, Figures, Judged, JudgedSolutions, auc,
    ece, unanswered,
};
pub use commit::{Contender, commit, spread};
pub use config::{
    BackupWeights, CommitRule, DepthLimit, FirstPlay, JudgeForm, PriorRule, RootNoise,
    SearchConfig, Selection, Strategy, ValueConfig, VisitSpread,
};
pub use cut::extract_rows;
pub use driver::{RunOptions, SearchObserver, SearchSummary, search_each, search_problems};
pub use error::{SearchError, SkipReason};
#[cfg(feature = "cli")]
pub use flags::{EngineFlags, at_least_one};
#[cfg(feature = "cli")]
pub use foreign::readable;
pub use labels::{StepLabelConfig, extract_step_labels};
pub use likelihood::fit::LikelihoodFit;
pub use likelihood::{AnswerOdds, Finished, LikelihoodCalibration, SurprisalOdds};
pub use pairs::{
    DropReason, ExtractedPairs, Keep, PairConfig, PairValues, Parents, Rejected, alpha,
    extract_pairs,
};
pub use preset::Preset;
#[cfg(feature = "cli")]
pub use prompting::{PromptFlags, examples};
pub use record::{CommitRecord, NodeRecord, TREE_VERSION, TreeRecord, read_trees};
pub use search::{PolicyRequest, Subject, TreeSearch, TreeStatus};
pub use select::{ChildStats, ParentStats, Scorer, SelectionRule, prior, puct, select, uct};
pub use settings::{PolicyKind, SEARCH_KEYS, TRAINING_KEYS, laid_over, overlay};
pub use show::{STEP_CHARS, render_text};
pub use similar::similarity;
pub use spelling::{breadth, expanded};
pub use stop::{Spent, StopRule};
pub use tree::{Edge, Evaluator, GrowOptions, NodeId, NodeState, Tree, grow_shared, mean_value};
pub use value::{Observed, Worth, worth};
