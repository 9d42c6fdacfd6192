//! Built-in tasks, generated from a seed: `arithmetic`, `choice`, `countdown`, and the corpus from which
//! the bundled model learns them.
//!
//! A task turns a random stream into problems in the form of published ones. The split of a problem
//! depends on its content alone, so train, validation and test never share a problem, whatever the seeds.
//! Prompts, tokens and models are not handled here. The tasks are modelled on GSM8K (arXiv:2110.14168),
//! ARC (arXiv:1803.05457) and Countdown (arXiv:2404.03683).

mod arithmetic;
mod choice;
mod corpus;
mod countdown;
mod pre_tokens;
mod skill_task;
mod spec;
mod stream;
mod task;
mod words;
mod worked;

pub use corpus::{Corpus, CorpusConfig, CorpusExample, corpus};
pub use pre_tokens::{pre_tokens, vocabulary};
pub use spec::{TaskSpec, problems_from_spec};
pub use stream::Problems;
pub use task::Task;

#[cfg(test)]
mod tests;
