//! `tokenizer.json`, the ids that end a solution, and the chat template of a checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use regrowth_datasets::{Message, TokenId};
use serde_json::Value;
use tokenizers::AddedToken;

use super::files::Files;
use super::library::{called, sound};
use super::prompt::{self, ChatTemplate, Specials, Told};
use crate::PolicyError;
use crate::grades::is_label;

/// File with the vocabulary.
const TOKENIZER_FILE: &str = "tokenizer.json";
/// File with the ids that end a text.
const GENERATION_FILE: &str = "generation_config.json";

/// A text that is encoded and decoded to test a tokenizer file: words, digits, white space.
const PROBE: &str = "Is 1 + 1 = 2?\n";

/// Converts text to token ids and back.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    eos: Vec<TokenId>,
    /// Texts of the special tokens, by names such as `bos_token`.
    specials: Specials,
    bos: Option<TokenId>,
    /// Whether the tokenizer adds BOS before a text.
    adds_bos: bool,
    chat_template: Option<String>,
}

/// State of `tokenizers::step_decode_stream`: the last ids, their text, and the number of ids that the
/// text covers.
#[cfg(feature = "candle")]
#[derive(Debug, Clone, Default)]
pub(super) struct DecodeStream {
    pub(super) ids: Vec<TokenId>,
    pub(super) prefix: String,
    pub(super) prefix_index: usize,
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
        // Reset the truncation and padding of the training that saved the file; transformers resets both,
        // too.
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| files.error(TOKENIZER_FILE, format!("truncation: {e}")))?;
        probe(&inner).map_err(|detail| files.error(TOKENIZER_FILE, detail))?;
        let settings = optional_json(files, "tokenizer_config.json")?;
        let map = optional_json(files, "special_tokens_map.json")?;
        let specials = specials(&settings, &map);
        add_specials(&mut inner, specials.values())
            .map_err(|e| files.error(TOKENIZER_FILE, format!("special tokens: {e}")))?;
        let chat_template = chat_template(files, &settings)?;
        let bos = specials.get("bos_token").and_then(|text| inner.token_to_id(text));
        let adds_bos = begins_with(&inner, bos);
        let mut read = Self { inner, eos: vec![], specials, bos, adds_bos, chat_template };
        read.eos = read.ends(files, config)?;
        Ok(read)
    }

    /// Checks that every id has a row in an embedding of `vocabulary` rows. Added tokens (such as a padding
    /// token) may have no row, if the model was not resized for them; a text with such a token is refused
    /// when it is submitted.
    ///
    /// # Errors
    /// When an id does not fit; the error names the file.
    pub fn fits(
        &self,
        vocabulary: usize,
        files: &(impl Files + ?Sized),
    ) -> Result<(), PolicyError> {
        if let Some(id) = self.eos.iter().find(|&&id| id as usize >= vocabulary) {
            let detail = format!(
                "`eos_token_id` {id}, of this file or of config.json, is no id of {vocabulary} \
                 (`vocab_size`)"
            );
            return Err(files.error(GENERATION_FILE, detail));
        }
        let top = self.inner.get_vocab(false).into_values().max().unwrap_or(0) as usize;
        if top < vocabulary {
            return Ok(());
        }
        let detail = format!(
            "has token id {top}, but the model embeds only {vocabulary} tokens (`vocab_size`)"
        );
        Err(files.error(TOKENIZER_FILE, detail))
    }

    /// Encodes `text` as token ids, without adding special tokens.
    ///
    /// # Errors
    /// When the tokenizer cannot represent the text.
    pub fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        self.ids(text, false)
    }

    /// Encodes `text` as token ids with the special tokens that the tokenizer adds, as in transformers.
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

    /// Renders messages with the chat template; if `open`, up to where the assistant's answer begins.
    ///
    /// # Errors
    /// When there is no template or it fails.
    pub fn chat(&self, messages: &[Message], open: bool) -> Result<String, PolicyError> {
        let template = self
            .template(Told::default())
            .ok_or_else(|| PolicyError::Request("the checkpoint has no chat template".into()))?;
        prompt::chat(&template, messages, open)
    }

    /// Returns the chat template with its special tokens, system message and variables; `None` if there is
    /// no template.
    pub(crate) fn template(&self, told: Told) -> Option<ChatTemplate> {
        let text = self.chat_template.clone()?;
        let mut specials = self.specials.clone();
        specials.entry("eos_token".into()).or_insert_with(|| self.eos_text());
        Some(ChatTemplate { text, specials, told })
    }

    /// Returns the text of the EOS token; empty if there is none.
    #[must_use]
    pub fn eos_text(&self) -> String {
        let first = || self.eos().and_then(|id| self.inner.id_to_token(id));
        self.specials.get("eos_token").cloned().or_else(first).unwrap_or_default()
    }

    /// Decodes `ids` to text, without special tokens.
    ///
    /// # Errors
    /// When an id is outside the vocabulary.
    pub fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        self.decode_as(ids, false)
    }

    /// Decodes `ids` to text; if `special`, including special tokens.
    pub(crate) fn decode_as(&self, ids: &[TokenId], special: bool) -> Result<String, PolicyError> {
        called(|| self.inner.decode(ids, !special)).map_err(undecodable)
    }

    /// Returns the text that the ids `new` add to the text of the ids before them.
    #[cfg(feature = "candle")]
    pub(super) fn decode_more(
        &self,
        new: &[TokenId],
        special: bool,
        before: &mut DecodeStream,
    ) -> Result<String, PolicyError> {
        let new = new.to_vec();
        let DecodeStream { ids, prefix, prefix_index } = before;
        let step = || {
            tokenizers::step_decode_stream(&self.inner, new, !special, ids, prefix, prefix_index)
        };
        called(step).map(Option::unwrap_or_default).map_err(undecodable)
    }

    /// The EOS id that is appended to a solution; `None` if there is none. If there are several, the
    /// tokenizer's own is used.
    #[must_use]
    pub fn eos(&self) -> Option<TokenId> {
        self.eos.first().copied()
    }

    /// Returns all ids that end a solution.
    #[must_use]
    pub fn eos_ids(&self) -> &[TokenId] {
        &self.eos
    }

    /// Whether an id ends a solution.
    #[must_use]
    pub fn is_eos(&self, id: TokenId) -> bool {
        self.eos.contains(&id)
    }

    /// The BOS id, if the tokenizer has one.
    #[must_use]
    pub fn bos(&self) -> Option<TokenId> {
        self.bos
    }

    /// The BOS id that begins a plain prompt, if the tokenizer adds BOS. A chat template adds BOS itself.
    #[must_use]
    pub fn opening(&self) -> Option<TokenId> {
        self.bos.filter(|_| self.adds_bos)
    }

    /// Text of BOS, if there is one.
    pub(crate) fn bos_text(&self) -> Option<&str> {
        self.specials.get("bos_token").map(String::as_str)
    }

    /// Returns a rendered prompt without a BOS at its start if the tokenizer adds BOS, so that another
    /// program can tokenise it.
    #[must_use]
    pub fn without_frame<'a>(&self, text: &'a str) -> &'a str {
        let framed = self.bos_text().filter(|_| self.adds_bos);
        framed.and_then(|bos| text.strip_prefix(bos)).unwrap_or(text)
    }

    /// The chat template, if the checkpoint has one.
    #[must_use]
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// Returns all ids whose text is `label` without white space and an opening bracket: all ways in which
    /// a model may write the label.
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

/// Checks that the library can work with a file. A tokenizer that cannot represent [`PROBE`] is accepted.
fn probe(inner: &tokenizers::Tokenizer) -> Result<(), String> {
    let encoded = sound(|| inner.encode_fast(PROBE, true))?;
    let ids = encoded.map(|encoding| encoding.get_ids().to_vec()).unwrap_or_default();
    sound(|| inner.decode(&ids, false)).map(|_decoded| ())
}

fn undecodable(error: String) -> PolicyError {
    PolicyError::Request(format!("the ids cannot be decoded: {error}"))
}

/// Reads a JSON file; null if there is none.
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

impl Tokenizer {
    /// Returns all ids that end a solution, collected as in vLLM and llama.cpp: the tokenizer's `eos_token`
    /// first, then `eos_token_id` of `generation_config.json` and `config.json`, and the special token that
    /// the chat template adds after the assistant's answer.
    ///
    /// An id of `config.json` that is not a special token is ignored if another file has an EOS id: it is a
    /// default that a converter left.
    fn ends(
        &self,
        files: &(impl Files + ?Sized),
        config: &Value,
    ) -> Result<Vec<TokenId>, PolicyError> {
        let generation = optional_json(files, GENERATION_FILE)?;
        let listed = |file: &str, settings: &Value| {
            listed(settings.get("eos_token_id")).map_err(|detail| files.error(file, detail))
        };
        let named = self.specials.get("eos_token").and_then(|text| self.inner.token_to_id(text));
        let mut ids: Vec<TokenId> = named.into_iter().collect();
        ids.extend(listed(GENERATION_FILE, &generation)?);
        let special = self.special_ids();
        let sure = !ids.is_empty();
        let of_model = listed("config.json", config)?;
        ids.extend(of_model.into_iter().filter(|id| !sure || special.contains_key(id)));
        ids.extend(self.end_of_turn(&special));
        let mut seen = BTreeSet::new();
        ids.retain(|id| seen.insert(*id));
        Ok(ids)
    }

    /// Returns the texts of the special tokens, by id.
    fn special_ids(&self) -> BTreeMap<TokenId, String> {
        let all = self.inner.get_added_tokens_decoder().into_iter();
        all.filter(|(_, token)| token.special).map(|(id, token)| (id, token.content)).collect()
    }

    /// Returns the special token that the chat template adds after the assistant's answer.
    fn end_of_turn(&self, special: &BTreeMap<TokenId, String>) -> Option<TokenId> {
        // Texts that no template contains itself.
        const SAID: [&str; 2] = ["regrowth asks", "regrowth answers"];
        let turn = |role: &str, content: &str| Message {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        let turns = [turn("user", SAID[0]), turn("assistant", SAID[1])];
        let text = self.chat(&turns, false).ok()?;
        let behind = text[text.rfind(SAID[1])? + SAID[1].len()..].trim_start();
        let writes = special.iter().filter(|(_, token)| behind.starts_with(token.as_str()));
        writes.max_by_key(|(_, token)| token.len()).map(|(id, _)| *id)
    }
}

/// Reads a single id, a list of ids, or none.
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

/// Whether the tokenizer adds this id before a text. Only `tokenizer.json` decides: transformers ignores
/// `add_bos_token` of `tokenizer_config.json` if there is a `tokenizer.json` (measured with 5.23.0,
/// tokenizer classes of Llama, Gemma, Qwen2 and GPT-2 and without a class, with and without a
/// post-processor in the file).
fn begins_with(inner: &tokenizers::Tokenizer, id: Option<TokenId>) -> bool {
    let framed = called(|| inner.encode_fast("", true));
    id.is_some() && framed.is_ok_and(|framed| framed.get_ids().first().copied() == id)
}

/// Whether a model's files have a chat template.
///
/// # Errors
/// When a file cannot be read.
#[cfg(feature = "candle")]
pub(super) fn has_chat_template(files: &(impl Files + ?Sized)) -> Result<bool, PolicyError> {
    let settings = optional_json(files, "tokenizer_config.json")?;
    Ok(chat_template(files, &settings)?.is_some())
}

/// Reads the chat template from its own file, or from a setting of the tokenizer.
fn chat_template(
    files: &(impl Files + ?Sized),
    settings: &Value,
) -> Result<Option<String>, PolicyError> {
    let template = match files.optional("chat_template.jinja")? {
        Some(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        None => settings.get("chat_template").map_or(Ok(None), |setting| {
            default_template(setting).map_err(|detail| files.error("tokenizer_config.json", detail))
        })?,
    };
    // Jinja uses one kind of line break, whatever system a template was written on.
    Ok(template.map(|text| text.replace("\r\n", "\n").replace('\r', "\n")))
}

/// Returns the template of a setting: its text, or the entry named `default` of a list.
fn default_template(setting: &Value) -> Result<Option<String>, String> {
    let Some(list) = setting.as_array().filter(|list| !list.is_empty()) else {
        return Ok(setting.as_str().map(str::to_owned));
    };
    let text = |entry: &Value, key: &str| entry.get(key)?.as_str().map(str::to_owned);
    let names: Vec<String> = list.iter().filter_map(|entry| text(entry, "name")).collect();
    let default = list.iter().find(|entry| text(entry, "name").as_deref() == Some("default"));
    match default.and_then(|entry| text(entry, "template")) {
        Some(template) => Ok(Some(template)),
        None => Err(format!(
            "`chat_template` holds {} and none named `default`; put the one to use into \
             chat_template.jinja",
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        )),
    }
}

/// Names of special tokens that transformers passes to a chat template.
const SPECIALS: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Returns the texts of the special tokens, by name; `tokenizer_config.json` takes precedence over
/// `special_tokens_map.json`.
fn specials(settings: &Value, map: &Value) -> Specials {
    let text = |name: &str| special(settings, name).or_else(|| special(map, name));
    SPECIALS.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?))).collect()
}

/// Marks as special the tokens that the settings name as special. As in transformers, each is then matched
/// as one token, whatever the tokenizer's file says. A text that is not a token is not added, because the
/// model has no row for it.
fn add_specials<'a>(
    inner: &mut tokenizers::Tokenizer,
    texts: impl Iterator<Item = &'a String>,
) -> Result<(), String> {
    let special: BTreeSet<String> = inner
        .get_added_tokens_decoder()
        .into_values()
        .filter(|token| token.special)
        .map(|token| token.content)
        .collect();
    let new: Vec<AddedToken> = texts
        .filter(|text| !special.contains(*text) && inner.token_to_id(text).is_some())
        .map(|text| AddedToken::from(text.clone(), true))
        .collect();
    called(|| inner.add_special_tokens(new)).map(|_added| ())
}

/// Reads a special token's text: a string, or an object with `content`.
fn special(settings: &Value, name: &str) -> Option<String> {
    let value = settings.get(name)?;
    value.as_str().or_else(|| value.get("content")?.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
