//! How text goes to a model and comes back: prompts, chat templates, token ids.
//!
//! Nothing here runs a model; the engine in this process and the servers share it. Templates are
//! minijinja, vocabularies those of `tokenizers`.

pub(crate) mod files;
#[cfg(feature = "candle")]
pub(crate) mod incremental_detokenizer;
mod library;
pub(crate) mod prompt;
mod python;
mod template;
pub(crate) mod tokenizer;

pub use files::Files;
#[cfg(feature = "http")]
pub(crate) use prompt::{ChatTemplate, Restating, Told, user};
pub use prompt::{JudgeTurn, PROMPT_FILE, PromptForm};
pub use tokenizer::Tokenizer;

/// Ids before a text that are decoded with it, as decoders treat the beginning of a text differently:
/// more than those of any one character.
pub(crate) const CONTEXT: usize = 8;
