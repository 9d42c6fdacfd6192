//! Converts between text and a model's input and output: prompts, chat templates, token ids.
//!
//! The engine in this process and the clients of servers share this code; no model runs here. Templates are
//! rendered by minijinja, and tokenizers are those of the `tokenizers` library.

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

/// Number of token ids before a text that are decoded with it, because decoders treat the beginning of a
/// text differently. No character has this many ids.
pub(crate) const CONTEXT: usize = 8;
