//! What a server supports.

use serde::Serialize;

/// What a server supports, as found when it was met. What takes samples to find out, such as whether equal
/// seeds give equal texts, is not among it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerFeatures {
    /// Kind of the server, as `--server-dialect` names it.
    pub kind: &'static str,
    /// Name by which the server is asked for the model.
    pub model: String,
    /// Whether token ids go in and out. Otherwise ids are made from text.
    pub token_ids: bool,
    /// Likeliest tokens that are listed at a place, at most: the judge's labels must be among them. 0 where
    /// no log-probabilities are given; nothing where the whole vocabulary is looked at.
    pub listed_tokens: Option<usize>,
    /// Whether a seed is sent with each request.
    pub seeds: bool,
    /// Whether the steps so far are continued inside the model's turn. Otherwise a new answer begins.
    pub continues: bool,
    /// Most tokens of prompt and continuation together.
    pub context: usize,
    /// Where the chat template comes from.
    pub chat_template: TemplateSource,
    /// Whether it is known which tokens end a solution.
    pub eos_known: bool,
    /// Whether the kind of server loads adapters while it runs.
    pub loads_adapters: bool,
}

/// Where a chat template comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateSource {
    /// The server renders turns itself.
    Server,
    /// The server told it, or the folder of `--tokenizer` has it.
    Told,
    /// There is none: prompts are plain text.
    None,
}
