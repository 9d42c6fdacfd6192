//! Rebuilds `tokenizer_config.json` and `generation_config.json` from the metadata of a GGUF file.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::metadata::Metadata;

/// Ids at which a model stops: end of text, end of a turn, end of a message that calls a tool.
const ENDS: [&str; 3] =
    ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];
/// Special tokens, by their fields in `tokenizer_config.json`.
pub(super) const SPECIAL: [(&str, &str); 4] = [
    ("bos_token", "tokenizer.ggml.bos_token_id"),
    ("eos_token", "tokenizer.ggml.eos_token_id"),
    ("pad_token", "tokenizer.ggml.padding_token_id"),
    ("unk_token", "tokenizer.ggml.unknown_token_id"),
];
const TEMPLATE: &str = "tokenizer.chat_template";

/// Returns the name and content of both files.
pub(super) fn build(metadata: &Metadata) -> Result<BTreeMap<&'static str, Vec<u8>>, String> {
    let text = |value: Value| format!("{value:#}\n").into_bytes();
    Ok([
        ("tokenizer_config.json", text(tokenizer_config(metadata)?)),
        ("generation_config.json", text(generation_config(metadata)?)),
    ]
    .into())
}

fn tokenizer_config(metadata: &Metadata) -> Result<Value, String> {
    let tokens = metadata.texts("tokenizer.ggml.tokens")?.unwrap_or_default();
    let mut config = Map::new();
    for (field, key) in SPECIAL {
        let Some(id) = metadata.number(key)? else { continue };
        let token = usize::try_from(id).ok().and_then(|id| tokens.get(id));
        let token = token.ok_or_else(|| {
            format!("metadata `{key}` is {id}, but the file has {} tokens", tokens.len())
        })?;
        config.insert(field.into(), (*token).into());
    }
    let template = chat_template(metadata)?;
    config.extend(template.map(|template| ("chat_template".to_owned(), template)));
    // With this class, transformers uses `tokenizer.json` unchanged.
    config.insert("tokenizer_class".into(), "PreTrainedTokenizerFast".into());
    config.insert("clean_up_tokenization_spaces".into(), false.into());
    Ok(config.into())
}

/// Returns the chat template, or a list of all templates if some are named.
fn chat_template(metadata: &Metadata) -> Result<Option<Value>, String> {
    let default = metadata.text(TEMPLATE)?;
    let mut named = Vec::new();
    for (key, name) in metadata.below(&format!("{TEMPLATE}.")) {
        named.push(json!({ "name": name, "template": metadata.text(key)? }));
    }
    if named.is_empty() {
        return Ok(default.map(Value::from));
    }
    named.extend(default.map(|text| json!({ "name": "default", "template": text })));
    Ok(Some(named.into()))
}

fn generation_config(metadata: &Metadata) -> Result<Value, String> {
    let mut config = Map::new();
    let mut ends = Vec::new();
    for key in ENDS {
        ends.extend(metadata.number(key)?.filter(|id| !ends.contains(id)));
    }
    if let [one] = ends[..] {
        config.insert("eos_token_id".into(), one.into());
    } else if !ends.is_empty() {
        config.insert("eos_token_id".into(), ends.into());
    }
    for (field, key) in [
        ("bos_token_id", "tokenizer.ggml.bos_token_id"),
        ("pad_token_id", "tokenizer.ggml.padding_token_id"),
    ] {
        config.extend(metadata.number(key)?.map(|id| (field.to_owned(), id.into())));
    }
    Ok(config.into())
}
