//! Features of a server.

use serde::Serialize;

/// Features of a server, as found when connecting. Features that can only be found by sampling, such as
/// whether equal seeds give equal texts, are not included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerFeatures {
    /// Kind of the server, as in `--server-dialect`.
    pub kind: &'static str,
    /// Model name in requests to the server.
    pub model: String,
    /// Whether requests and responses have token ids. Otherwise ids are computed from text.
    pub token_ids: bool,
    /// Maximum number of most likely tokens that the server lists per position; the judge's labels must be
    /// among them. 0 if the server returns no log-probabilities; `None` if the full vocabulary is
    /// available.
    pub listed_tokens: Option<usize>,
    /// Whether a seed is sent with each request.
    pub seeds: bool,
    /// Whether steps continue the model's turn. Otherwise every request begins a new answer.
    pub continues: bool,
    /// Maximum number of tokens of prompt and continuation together.
    pub context: usize,
    /// Source of the chat template.
    pub chat_template: TemplateSource,
    /// Whether the tokens that end a solution are known.
    pub eos_known: bool,
    /// Whether this kind of server loads LoRA adapters at run time.
    pub loads_adapters: bool,
}

/// Source of a chat template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateSource {
    /// The server renders turns.
    Server,
    /// The server reported it, or it is in the folder of `--tokenizer`.
    Told,
    /// There is no chat template: prompts are plain text.
    None,
}
