//! Rebuilds `tokenizer.json` from the metadata of a GGUF file.
//!
//! Byte-level BPE (`gpt2`) is stored with its merges, SentencePiece BPE (`llama`) with scores that
//! determine the merges. Any other vocabulary needs the model's own `tokenizer.json` next to the GGUF file.
//! If there is a `tokenizer.json` with the same vocabulary, it is always used: the metadata were made from
//! it and hold less.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::companions::SPECIAL;
use super::metadata::Metadata;
use super::{pre, sentencepiece};

/// Token types (`tokenizer.ggml.token_type`).
pub(super) const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
pub(super) const CONTROL: u64 = 3;
pub(super) const USER_DEFINED: u64 = 4;
pub(super) const UNUSED: u64 = 5;

/// Returns the content of `tokenizer.json`; `beside` is the path of a `tokenizer.json` next to the GGUF
/// file.
pub(super) fn build(metadata: &Metadata, beside: &Path) -> Result<Vec<u8>, String> {
    let vocabulary = Vocabulary::read(metadata)?;
    let own = vocabulary.tokenizer(metadata);
    let found = match std::fs::read(beside) {
        Ok(bytes) => Some(bytes),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(format!("the `tokenizer.json` beside it cannot be read: {e}")),
    };
    if let Some(bytes) = found {
        match (vocabulary.is_that_of(&bytes), &own) {
            (Ok(()), _) => return Ok(bytes),
            // That file belongs to another model in the same folder.
            (Err(_), Ok(_)) => {}
            (Err(other), Err(unknown)) => {
                return Err(format!(
                    "{unknown}; the `tokenizer.json` beside it is another model's: {other}"
                ));
            }
        }
    }
    let own = own.map_err(|detail| {
        format!(
            "{detail}. Put the model's `tokenizer.json` (from its page on the Hub) beside the file"
        )
    })?;
    Ok(own.to_string().into_bytes())
}

/// Tokens by id, with their types.
struct Vocabulary<'a> {
    tokens: Vec<&'a str>,
    kinds: Vec<u64>,
    ids: BTreeMap<&'a str, usize>,
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &'a Metadata) -> Result<Self, String> {
        let key = "tokenizer.ggml.tokens";
        let tokens = Metadata::need(key, metadata.texts(key))?;
        let key = "tokenizer.ggml.token_type";
        let kinds = metadata.numbers(key)?.unwrap_or_else(|| vec![NORMAL as f64; tokens.len()]);
        if kinds.len() != tokens.len() {
            return Err(format!(
                "metadata `{key}` has {} values for {} tokens",
                kinds.len(),
                tokens.len()
            ));
        }
        let mut ids = BTreeMap::new();
        for (id, token) in tokens.iter().enumerate() {
            if let Some(first) = ids.insert(*token, id) {
                return Err(format!("token {token:?} has two ids, {first} and {id}"));
            }
        }
        let kinds = kinds.into_iter().map(|kind| kind as u64).collect();
        Ok(Self { tokens, kinds, ids })
    }

    /// Checks that a `tokenizer.json` has this vocabulary: each of its tokens has the same id here, and it
    /// lacks no token that is in use.
    fn is_that_of(&self, file: &[u8]) -> Result<(), String> {
        let file: Value = serde_json::from_slice(file).map_err(|e| format!("not JSON: {e}"))?;
        let words = file.pointer("/model/vocab").and_then(Value::as_object);
        let words = words.ok_or("it has no `model.vocab`")?;
        let words = words.iter().map(|(token, id)| (token.as_str(), id));
        let added = file.get("added_tokens").and_then(Value::as_array).into_iter().flatten();
        let added =
            added.filter_map(|token| Some((token.get("content")?.as_str()?, token.get("id")?)));
        let mut left: Vec<bool> = self.kinds.iter().map(|kind| *kind != UNUSED).collect();
        for (token, id) in words.chain(added) {
            let id = id.as_u64().and_then(|id| usize::try_from(id).ok()).unwrap_or(usize::MAX);
            if self.tokens.get(id) != Some(&token) {
                return Err(format!("its token {token:?} is not token {id} of this file"));
            }
            left[id] = false;
        }
        match left.iter().position(|left| *left) {
            Some(id) => Err(format!("it lacks token {id}, {:?}", self.tokens[id])),
            None => Ok(()),
        }
    }

    fn tokenizer(&self, metadata: &Metadata) -> Result<Value, String> {
        let key = "tokenizer.ggml.model";
        match Metadata::need(key, metadata.text(key))? {
            "gpt2" => self.byte_level(metadata),
            "llama" => self.sentencepiece(metadata),
            other => Err(format!("metadata `{key}` is `{other}`; known are gpt2 and llama")),
        }
    }

    /// Builds a byte-level BPE tokenizer.
    fn byte_level(&self, metadata: &Metadata) -> Result<Value, String> {
        let pre = pre::named(metadata.text("tokenizer.ggml.pre")?)?;
        let key = "tokenizer.ggml.merges";
        let merges = Metadata::need(key, metadata.texts(key))?;
        let pairs = merges.iter().map(|merge| {
            // A token may begin with a space, so the separator is the first space after the first
            // character.
            let at = merge.char_indices().skip(1).find(|(_, c)| *c == ' ').map(|(at, _)| at);
            let at =
                at.ok_or_else(|| format!("metadata `{key}` holds {merge:?}, not two tokens"))?;
            Ok([&merge[..at], &merge[at + 1..]])
        });
        let pairs: Vec<[&str; 2]> = pairs.collect::<Result<_, String>>()?;
        Ok(self.file(Parts {
            normalizer: pre.normalizer(),
            pre_tokenizer: pre.json(),
            post_processor: self.frame(metadata, pre.adds_bos)?,
            decoder: json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }),
            model: json!({ "merges": pairs, "ignore_merges": pre.ignore_merges }),
        }))
    }

    /// Builds a SentencePiece BPE tokenizer with byte fallback.
    fn sentencepiece(&self, metadata: &Metadata) -> Result<Value, String> {
        const SPACE: &str = "\u{2581}";
        let key = "tokenizer.ggml.scores";
        let scores = Metadata::need(key, metadata.numbers(key))?;
        if scores.len() != self.tokens.len() {
            let (scores, tokens) = (scores.len(), self.tokens.len());
            return Err(format!("metadata `{key}` has {scores} values for {tokens} tokens"));
        }
        let pieces = self.tokens.iter().zip(&self.kinds).zip(scores);
        let pieces = pieces.filter(|((_, kind), _)| **kind == NORMAL).map(|((t, _), s)| (*t, s));
        let merges = sentencepiece::merges(&pieces.collect::<Vec<_>>());
        let prefix = metadata.flag("tokenizer.ggml.add_space_prefix")?.unwrap_or(true);
        let mut normalizers =
            vec![json!({ "type": "Replace", "pattern": { "String": " " }, "content": SPACE })];
        let mut decoders = vec![
            json!({ "type": "Replace", "pattern": { "String": SPACE }, "content": " " }),
            json!({ "type": "ByteFallback" }),
            json!({ "type": "Fuse" }),
        ];
        if prefix {
            normalizers.insert(0, json!({ "type": "Prepend", "prepend": SPACE }));
            decoders.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
        }
        let unknown = self.kinds.iter().position(|kind| *kind == UNKNOWN);
        let unknown = unknown.map(|id| self.tokens[id]);
        Ok(self.file(Parts {
            normalizer: json!({ "type": "Sequence", "normalizers": normalizers }),
            pre_tokenizer: Value::Null,
            post_processor: self.frame(metadata, true)?,
            decoder: json!({ "type": "Sequence", "decoders": decoders }),
            model: json!({ "merges": merges, "unk_token": unknown, "fuse_unk": true, "byte_fallback": true }),
        }))
    }

    /// Builds the post-processor, which adds BOS and EOS if the metadata say so; `adds_bos` is the default
    /// for BOS.
    fn frame(&self, metadata: &Metadata, adds_bos: bool) -> Result<Value, String> {
        let flag = |name: &str| metadata.flag(&format!("tokenizer.ggml.add_{name}_token"));
        let adds = [flag("bos")?.unwrap_or(adds_bos), flag("eos")?.unwrap_or(false)];
        let mut single = vec![json!({ "Sequence": { "id": "A", "type_id": 0 } })];
        let mut special = Map::new();
        // `SPECIAL` lists BOS and EOS first.
        for (place, ((_, key), adds)) in SPECIAL.iter().zip(adds).enumerate() {
            let Some(id) = metadata.number(key)?.filter(|_| adds) else { continue };
            let token = usize::try_from(id).ok().and_then(|id| self.tokens.get(id));
            let token =
                token.ok_or_else(|| format!("metadata `{key}` is {id}, which is no token"))?;
            let at = if place == 0 { 0 } else { single.len() };
            single.insert(at, json!({ "SpecialToken": { "id": token, "type_id": 0 } }));
            special.insert((*token).into(), json!({ "id": token, "ids": [id], "tokens": [token] }));
        }
        if special.is_empty() {
            return Ok(Value::Null);
        }
        let second = json!({ "Sequence": { "id": "B", "type_id": 0 } });
        let pair: Vec<Value> = single.iter().cloned().chain([second]).collect();
        Ok(
            json!({ "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": special }),
        )
    }

    fn file(&self, parts: Parts) -> Value {
        let Parts { normalizer, pre_tokenizer, post_processor, decoder, model } = parts;
        let mut bpe = json!({
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": false, "vocab": self.ids,
        });
        if let (Some(bpe), Value::Object(model)) = (bpe.as_object_mut(), model) {
            bpe.extend(model);
        }
        json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": self.added(),
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
            "post_processor": post_processor, "decoder": decoder, "model": bpe,
        })
    }

    /// Returns the added tokens, which are matched before pre-tokenization.
    fn added(&self) -> Vec<Value> {
        let kinds = self.kinds.iter().enumerate();
        let added = kinds.filter(|(_, kind)| [UNKNOWN, CONTROL, USER_DEFINED].contains(kind));
        let token = |(id, kind): (usize, &u64)| {
            json!({
                "id": id, "content": self.tokens[id], "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": *kind != USER_DEFINED,
            })
        };
        added.map(token).collect()
    }
}

/// The parts of a `tokenizer.json` that differ between vocabularies.
struct Parts {
    normalizer: Value,
    pre_tokenizer: Value,
    post_processor: Value,
    decoder: Value,
    model: Value,
}
