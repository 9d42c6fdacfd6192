//! Facts about the served model: dialect, vocabulary, limits.

use dashmap::DashMap;
use regrowth_datasets::TokenId;

use super::completion::Label;
use super::fault::Fault;
use super::openai::{Form, Turns, packed};
use crate::Dialect;
use crate::text::{ChatTemplate, Tokenizer, Told};

/// Facts about the served model, found during discovery.
pub(super) struct Model {
    pub(super) dialect: Dialect,
    /// Name of the model in requests.
    pub(super) name: String,
    /// SGLang: name of the adapter, if the address names an adapter and not the served model.
    pub(super) adapter: Option<String>,
    /// Tokenizer of the folder; `None` if no folder is used.
    pub(super) tokenizer: Option<Tokenizer>,
    /// Ids that begin every text (BOS).
    pub(super) begin: Vec<TokenId>,
    /// Whether the text of an id does not depend on the ids before it.
    pub(super) context_free: bool,
    /// Ids that end a solution, as far as they are known.
    pub(super) eos: Vec<TokenId>,
    /// Cache of the labels of judges' questions, by their text.
    pub(super) labels: DashMap<String, Label>,
    /// How a prompt's text becomes a user turn.
    pub(super) chat: Chat,
    /// System message and variables that the chat template gets besides the turns.
    pub(super) told: Told,
    /// Context length: maximum number of tokens of prompt and continuation together.
    pub(super) context: usize,
    /// Chat servers: the request fields that the server accepts, once discovered.
    pub(super) form: Option<Form>,
    /// Chat servers: how turns are found in the text of a prompt.
    pub(super) turns: Option<Turns>,
    /// Whether the server gets no other requests while it scores.
    pub(super) scores_alone: bool,
    /// Reward models: number of labels that the model scores. A reward model generates nothing.
    pub(super) scored_labels: Option<usize>,
    /// Cache of token ids by text.
    pub(super) known: DashMap<String, Vec<TokenId>>,
}

/// How a prompt's text becomes a user turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chat {
    /// Not at all: the model completes plain text.
    Plain,
    /// By this template.
    Template(ChatTemplate),
    /// By the server, which applies its own template.
    Server,
}

impl Model {
    /// Creates a model of which only dialect, name and context are known.
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
    /// Whether ids are text packed by [`packed`].
    pub(super) fn is_packed(&self) -> bool {
        self.dialect == Dialect::OpenAi && self.tokenizer.is_none()
    }

    /// Text from a user or a model, without the characters that only prompts may contain.
    pub(super) fn clean(&self, text: &str) -> String {
        if self.is_packed() { packed::clean(text) } else { text.to_owned() }
    }

    /// Request fields that a chat server accepts.
    pub(super) fn form(&self) -> Result<&Form, Fault> {
        self.form.as_ref().ok_or_else(|| Fault::Unsupported("a server that was not asked".into()))
    }
}
