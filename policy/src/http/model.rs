//! What is known of the served model: what it speaks, its vocabulary, its limits.

use dashmap::DashMap;
use regrowth_datasets::TokenId;

use super::completion::Label;
use super::fault::Fault;
use super::openai::{Form, Turns, packed};
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
    /// Labels of judge's questions that were looked for before, by their text.
    pub(super) labels: DashMap<String, Label>,
    /// How a question becomes a user's turn.
    pub(super) chat: Chat,
    /// What the chat template is told besides that turn.
    pub(super) told: Told,
    /// Tokens of prompt and continuation together.
    pub(super) context: usize,
    /// A chat server of OpenAI's kind: what it takes, once it was asked.
    pub(super) form: Option<Form>,
    /// The same: how turns are found in the text of a prompt.
    pub(super) turns: Option<Turns>,
    /// Whether the server is given nothing else while it scores.
    pub(super) scores_alone: bool,
    /// A reward model: how many labels it has scores of. It generates nothing.
    pub(super) scored_labels: Option<usize>,
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
            labels: DashMap::new(),
            chat: Chat::Plain,
            told: Told::default(),
            context,
            form: None,
            turns: None,
            scores_alone: false,
            scored_labels: None,
            known: DashMap::new(),
        }
    }
    /// Whether ids are [`packed`] text.
    pub(super) fn is_packed(&self) -> bool {
        self.dialect == Dialect::OpenAi && self.tokenizer.is_none()
    }

    /// Text that comes from elsewhere, without what only prompts may hold.
    pub(super) fn clean(&self, text: &str) -> String {
        if self.is_packed() { packed::clean(text) } else { text.to_owned() }
    }

    /// What a chat server takes.
    pub(super) fn form(&self) -> Result<&Form, Fault> {
        self.form.as_ref().ok_or_else(|| Fault::Unsupported("a server that was not asked".into()))
    }
}
