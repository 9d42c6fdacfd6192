//! `tokenizer.json`, the ids that end a solution, and the chat template of a checkpoint.

use std::collections::BTreeSet;

use regrowth_datasets::{Message, TokenId};
use serde_json::Value;

use super::files::Files;
use super::library::{called, sound};
use super::prompt::{self, ChatTemplate, Told};
use crate::PolicyError;

/// Name of the file with the vocabulary.
const TOKENIZER_FILE: &str = "tokenizer.json";
/// Name of the file with the ids that end a text.
const GENERATION_FILE: &str = "generation_config.json";

/// A text that is encoded and decoded before a file is taken: words, figures, white space.
const PROBE: &str = "Is 1 + 1 = 2?\n";

/// Text to ids and back.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    eos: Vec<TokenId>,
    /// What the tokenizer calls its `eos_token`.
    eos_token: Option<String>,
    bos: Option<TokenId>,
    /// Whether the tokenizer puts BOS before a text.
    adds_bos: bool,
    chat_template: Option<String>,
}

impl Tokenizer {
    /// Reads the tokenizer files of a model. `config` is its `config.json`, or null.
    ///
    /// # Errors
    /// When a file is missing or malformed.
    pub fn from_files(files: &(impl Files + ?Sized), config: &Value) -> Result<Self, PolicyError> {
        let bytes = files.required(TOKENIZER_FILE)?;
        let mut inner = called(|| tokenizers::Tokenizer::from_bytes(bytes))
            .map_err(|e| files.error(TOKENIZER_FILE, format!("not a tokenizer file: {e}")))?;
        // What the training that saved the file cut and padded to; transformers resets both, too.
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| files.error(TOKENIZER_FILE, format!("truncation: {e}")))?;
        probe(&inner).map_err(|detail| files.error(TOKENIZER_FILE, detail))?;
        let settings = optional_json(files, "tokenizer_config.json")?;
        let map = optional_json(files, "special_tokens_map.json")?;
        let named = |name: &str| special(&settings, name).or_else(|| special(&map, name));
        let eos_token = named("eos_token");
        let eos = eos_ids(files, &inner, config, eos_token.as_deref())?;
        let bos = named("bos_token").and_then(|t| inner.token_to_id(&t));
        let adds_bos = begins_with(&inner, bos);
        let chat_template = match files.optional("chat_template.jinja")? {
            Some(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            None => settings.get("chat_template").and_then(default_template),
        };
        Ok(Self { inner, eos, eos_token, bos, adds_bos, chat_template })
    }

    /// Checks that every id has a row in an embedding of `vocabulary` rows.
    ///
    /// # Errors
    /// When an id does not fit; the error names the file.
    pub fn fits(
        &self,
        vocabulary: usize,
        files: &(impl Files + ?Sized),
    ) -> Result<(), PolicyError> {
        if let Some(id) = self.eos.iter().find(|&&id| id as usize >= vocabulary) {
            let detail = format!("`eos_token_id` {id} is no id of {vocabulary} (`vocab_size`)");
            return Err(files.error(GENERATION_FILE, detail));
        }
        let top = self.inner.get_vocab(true).into_values().max().unwrap_or(0) as usize;
        if top < vocabulary {
            return Ok(());
        }
        let detail = format!(
            "has token id {top}, but the model embeds only {vocabulary} tokens (`vocab_size`)"
        );
        Err(files.error(TOKENIZER_FILE, detail))
    }

    /// Ids of `text` without special tokens around it.
    ///
    /// # Errors
    /// When the tokenizer cannot represent the text.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        self.ids(text, false)
    }

    /// Ids of `text` with the special tokens that the tokenizer puts around a text, as transformers
    /// calls it.
    ///
    /// # Errors
    /// When the tokenizer cannot represent the text.
    pub fn encode_framed(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        self.ids(text, true)
    }

    fn ids(&self, text: &str, framed: bool) -> Result<Vec<TokenId>, PolicyError> {
        let encoding = called(|| self.inner.encode_fast(text, framed))
            .map_err(|e| PolicyError::Request(format!("the text cannot be tokenised: {e}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Messages through the chat template; with `open`, up to where the assistant begins.
    ///
    /// # Errors
    /// When there is no template or it fails.
    pub fn chat(&self, messages: &[Message], open: bool) -> Result<String, PolicyError> {
        let Some(text) = self.chat_template.clone() else {
            return Err(PolicyError::Request("the checkpoint has no chat template".into()));
        };
        let template = ChatTemplate { text, told: Told::default() };
        prompt::chat(&template, messages, open, &self.eos_text())
    }

    /// Text of the token that ends a solution, as the tokenizer names it; empty if there is none.
    #[must_use]
    pub fn eos_text(&self) -> String {
        let first = || self.eos().and_then(|id| self.inner.id_to_token(id));
        self.eos_token.clone().or_else(first).unwrap_or_default()
    }

    /// Text of `ids` without special tokens.
    ///
    /// # Errors
    /// When an id is outside the vocabulary.
    pub fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        self.decode_as(ids, false)
    }

    /// Text of `ids`; with `special`, special tokens are part of it.
    pub(crate) fn decode_as(&self, ids: &[TokenId], special: bool) -> Result<String, PolicyError> {
        called(|| self.inner.decode(ids, !special)).map_err(undecodable)
    }

    /// What `new` adds to the text of the ids before, of which `ids`, `prefix` and `prefix_index`
    /// are what `tokenizers` remembers.
    #[cfg(feature = "candle")]
    pub(super) fn decode_more(
        &self,
        new: &[TokenId],
        special: bool,
        ids: &mut Vec<TokenId>,
        prefix: &mut String,
        prefix_index: &mut usize,
    ) -> Result<String, PolicyError> {
        let new = new.to_vec();
        let step = || {
            tokenizers::step_decode_stream(&self.inner, new, !special, ids, prefix, prefix_index)
        };
        called(step).map(Option::unwrap_or_default).map_err(undecodable)
    }

    /// The id appended where a solution ends, if there is one: the tokenizer's own where it is among
    /// several.
    #[must_use]
    pub fn eos(&self) -> Option<TokenId> {
        self.eos.first().copied()
    }

    /// All ids that end a solution.
    #[must_use]
    pub fn eos_ids(&self) -> &[TokenId] {
        &self.eos
    }

    /// Whether an id ends a solution.
    #[must_use]
    pub fn is_eos(&self, id: TokenId) -> bool {
        self.eos.contains(&id)
    }

    /// The id that begins a text, if the tokenizer names one.
    #[must_use]
    pub fn bos(&self) -> Option<TokenId> {
        self.bos
    }

    /// The id that begins a prompt: with `chat`, where the template writes it; without, where the
    /// tokenizer puts it before a text itself (as transformers does in either case).
    #[must_use]
    pub fn opening(&self, chat: bool) -> Option<TokenId> {
        let opens = match self.chat_template.as_deref().filter(|_| chat) {
            Some(template) => template.contains("bos_token"),
            None => self.adds_bos,
        };
        self.bos.filter(|_| opens)
    }

    /// The chat template, if the checkpoint has one.
    #[must_use]
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// All ids whose text is `label` once white space and an opening bracket are taken off: the
    /// ways in which a model may write an option's letter.
    #[must_use]
    pub fn label_ids(&self, label: &str) -> Vec<TokenId> {
        let ids: BTreeSet<TokenId> = self
            .inner
            .get_vocab(false)
            .into_values()
            .filter(|&id| {
                let text = self.decode(&[id]).unwrap_or_default();
                is_label(&text, label)
            })
            .collect();
        ids.into_iter().collect()
    }
}

/// Checks that a file is one that the library can work with. That it cannot represent [`PROBE`] is no
/// fault.
fn probe(inner: &tokenizers::Tokenizer) -> Result<(), String> {
    let encoded = sound(|| inner.encode_fast(PROBE, true))?;
    let ids = encoded.map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default();
    sound(|| inner.decode(&ids, false)).map(|_decoded| ())
}

fn undecodable(error: String) -> PolicyError {
    PolicyError::Request(format!("the ids cannot be decoded: {error}"))
}

/// Whether a token's text is the label of an option, once white space and an opening bracket are
/// taken off.
pub(crate) fn is_label(text: &str, label: &str) -> bool {
    text.trim().trim_start_matches('(').trim_start() == label
}

/// A JSON file, or null if there is none.
pub(crate) fn optional_json(
    files: &(impl Files + ?Sized),
    name: &str,
) -> Result<Value, PolicyError> {
    match files.optional(name)? {
        Some(bytes) => serde_json::from_slice(&bytes)
            .map_err(|e| files.error(name, format!("not valid JSON: {e}"))),
        None => Ok(Value::Null),
    }
}

/// `eos_token_id` of the generation settings or the model configuration, one or several, or the
/// tokenizer's `eos_token`; that one first where it is among them.
fn eos_ids(
    files: &(impl Files + ?Sized),
    inner: &tokenizers::Tokenizer,
    config: &Value,
    eos_token: Option<&str>,
) -> Result<Vec<TokenId>, PolicyError> {
    let generation = optional_json(files, GENERATION_FILE)?;
    let named = eos_token.and_then(|text| inner.token_to_id(text));
    for (file, settings) in [(GENERATION_FILE, &generation), ("config.json", config)] {
        let mut ids = listed(settings.get("eos_token_id")).map_err(|d| files.error(file, d))?;
        if !ids.is_empty() {
            ids.sort_by_key(|&id| Some(id) != named);
            return Ok(ids);
        }
    }
    Ok(named.into_iter().collect())
}

/// One id, several, or none.
fn listed(value: Option<&Value>) -> Result<Vec<TokenId>, String> {
    let id = |value: &Value| {
        let id = value.as_u64().and_then(|id| TokenId::try_from(id).ok());
        id.ok_or_else(|| format!("`eos_token_id` holds {value}; expected ids of tokens"))
    };
    match value {
        None | Some(Value::Null) => Ok(vec![]),
        Some(Value::Array(ids)) => ids.iter().map(id).collect(),
        Some(one) => Ok(vec![id(one)?]),
    }
}

/// Whether the tokenizer puts this id before a text. The file alone says so: transformers drops
/// `add_bos_token` of `tokenizer_config.json` where there is a `tokenizer.json` (measured with 5.23.0,
/// classes of Llama, Gemma, Qwen2 and GPT-2 and none, with and without a frame in the file).
fn begins_with(inner: &tokenizers::Tokenizer, id: Option<TokenId>) -> bool {
    let framed = called(|| inner.encode_fast("", true));
    id.is_some() && framed.is_ok_and(|framed| framed.get_ids().first().copied() == id)
}

/// The template of a setting: its text, or the one named `default` of a list.
fn default_template(setting: &Value) -> Option<String> {
    let of_list = || {
        let named = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some("default");
        setting.as_array()?.iter().find(named)?.get("template")?.as_str()
    };
    setting.as_str().or_else(of_list).map(str::to_owned)
}

/// A special token's text: a string, or an object with `content`.
fn special(settings: &Value, name: &str) -> Option<String> {
    let value = settings.get(name)?;
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
