//! What is known of the served model: what it speaks, its vocabulary, its limits.

use dashmap::DashMap;
use regrowth_datasets::TokenId;

use crate::Dialect;
use crate::text::{ChatTemplate, Tokenizer, Told};

/// What is known of the served model.
pub(super) struct Model {
    pub(super) dialect: Dialect,
    /// Name by which the server is asked for it.
    pub(super) name: String,
    /// SGLang: the adapter that is meant, where the name is not the served model's.
    pub(super) adapter: Option<String>,
    /// The tokenizer of a folder.
    pub(super) tokenizer: Option<Tokenizer>,
    /// Ids that begin every text (BOS).
    pub(super) begin: Vec<TokenId>,
    /// Whether the text of ids is the same whatever stands before them.
    pub(super) context_free: bool,
    /// Ids that end a solution, as far as they are known.
    pub(super) eos: Vec<TokenId>,
    /// Ids that mean (A), and those that mean (B).
    pub(super) labels: [Vec<TokenId>; 2],
    /// How a question becomes a user's turn.
    pub(super) chat: Chat,
    /// What the chat template is told besides that turn.
    pub(super) told: Told,
    /// Tokens of prompt and continuation together.
    pub(super) context: usize,
    /// Ids of texts that were asked for before.
    pub(super) known: DashMap<String, Vec<TokenId>>,
}

/// How a question becomes a user's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chat {
    /// Not at all: the model completes plain text.
    Plain,
    /// By this template.
    Template(ChatTemplate),
    /// By the server.
    Server,
}

impl Model {
    /// A model of which only the dialect and the name are known.
    pub(super) fn new(dialect: Dialect, name: String, context: usize) -> Self {
        Self {
            dialect,
            name,
            adapter: None,
            tokenizer: None,
            begin: vec![],
            context_free: true,
            eos: vec![],
            labels: Default::default(),
            chat: Chat::Plain,
            told: Told::default(),
            context,
            known: DashMap::new(),
        }
    }
}
