//! `tokenizer.json`, the ids that end a solution, and the chat template of a checkpoint.

use std::collections::BTreeSet;

use regrowth_datasets::{Message, TokenId};
use serde_json::Value;

use super::files::Files;
use super::prompt;
use crate::PolicyError;

/// Name of the file with the vocabulary.
const TOKENIZER_FILE: &str = "tokenizer.json";

/// Text to ids and back.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    eos: Vec<TokenId>,
    bos: Option<TokenId>,
    chat_template: Option<String>,
}

impl Tokenizer {
    /// Reads the tokenizer files of a model. `config` is its `config.json`, or null.
    ///
    /// # Errors
    /// When a file is missing or malformed.
    pub fn from_files(files: &(impl Files + ?Sized), config: &Value) -> Result<Self, PolicyError> {
        let bytes = files.required(TOKENIZER_FILE)?;
        let inner = tokenizers::Tokenizer::from_bytes(bytes)
            .map_err(|e| files.error(TOKENIZER_FILE, format!("not a tokenizer file: {e}")))?;
        let settings = optional_json(files, "tokenizer_config.json")?;
        let generation = optional_json(files, "generation_config.json")?;
        let eos = eos_ids(&inner, &generation, config, &settings);
        let bos = special(&settings, "bos_token").and_then(|t| inner.token_to_id(&t));
        let chat_template = match files.optional("chat_template.jinja")? {
            Some(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            None => settings.get("chat_template").and_then(Value::as_str).map(str::to_owned),
        };
        Ok(Self { inner, eos, bos, chat_template })
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
        let encoding = self
            .inner
            .encode_fast(text, framed)
            .map_err(|e| PolicyError::Request(format!("the text cannot be tokenised: {e}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Messages through the chat template; with `open`, up to where the assistant begins.
    ///
    /// # Errors
    /// When there is no template or it fails.
    pub fn chat(&self, messages: &[Message], open: bool) -> Result<String, PolicyError> {
        let Some(template) = &self.chat_template else {
            return Err(PolicyError::Request("the checkpoint has no chat template".into()));
        };
        prompt::chat(template, messages, open, &self.eos_text())
    }

    /// Text of the id that ends a solution; empty if there is none.
    #[must_use]
    pub fn eos_text(&self) -> String {
        self.eos().and_then(|id| self.inner.id_to_token(id)).unwrap_or_default()
    }

    /// Text of `ids` without special tokens.
    ///
    /// # Errors
    /// When an id is outside the vocabulary.
    pub fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        self.inner
            .decode(ids, true)
            .map_err(|e| PolicyError::Request(format!("the ids cannot be decoded: {e}")))
    }

    /// The id appended where a solution ends, if there is one.
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
                let text = self.inner.decode(&[id], true).unwrap_or_default();
                is_label(&text, label)
            })
            .collect();
        ids.into_iter().collect()
    }
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
/// tokenizer's `eos_token`.
fn eos_ids(
    inner: &tokenizers::Tokenizer,
    generation: &Value,
    config: &Value,
    settings: &Value,
) -> Vec<TokenId> {
    let listed = |value: Option<&Value>| -> Vec<TokenId> {
        match value {
            Some(Value::Array(ids)) => {
                ids.iter().filter_map(Value::as_u64).map(|id| id as TokenId).collect()
            }
            Some(one) => one.as_u64().map(|id| id as TokenId).into_iter().collect(),
            None => vec![],
        }
    };
    let named = special(settings, "eos_token").and_then(|t| inner.token_to_id(&t));
    [listed(generation.get("eos_token_id")), listed(config.get("eos_token_id"))]
        .into_iter()
        .find(|ids| !ids.is_empty())
        .unwrap_or_else(|| named.into_iter().collect())
}

/// A special token's text: a string, or an object with `content`.
fn special(settings: &Value, name: &str) -> Option<String> {
    let value = settings.get(name)?;
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_label_is_one_however_it_is_written() {
        assert!(["A", " A", "(A", " (A", "A\n", "( A"].iter().all(|t| is_label(t, "A")));
        assert!(["AB", "a", "A)", "B", ""].iter().all(|t| !is_label(t, "A")));
    }

    #[test]
    fn all_ids_of_a_label_are_found_in_the_vocabulary() {
        let words = ["A", "\u{120}A", "(A", "\u{120}(A", "B", "AB", "a", "\u{120}B"];
        let vocab: serde_json::Map<String, Value> =
            words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
        let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                            "use_regex": false });
        let file = json!({ "version": "1.0", "added_tokens": [], "pre_tokenizer": bytes,
                           "decoder": bytes,
                           "model": { "type": "BPE", "vocab": vocab, "merges": [] } });
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(TOKENIZER_FILE), file.to_string()).unwrap();
        let tokenizer = Tokenizer::from_files(dir.path(), &Value::Null).unwrap();
        assert_eq!(tokenizer.label_ids("A"), [0, 1, 2, 3]);
        assert_eq!(tokenizer.label_ids("B"), [4, 7]);
        assert!(tokenizer.label_ids("C").is_empty());
    }
}
