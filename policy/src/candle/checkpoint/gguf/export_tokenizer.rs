//! Writes `tokenizer.json` as metadata of a GGUF file, for byte-level vocabularies whose pre-tokenizer has
//! a name in llama.cpp.

use std::collections::BTreeMap;

use candle_core::quantized::gguf_file::Value as Field;
use serde_json::Value;

use super::export::Fields;
use super::tokenizer::{CONTROL, NORMAL, UNUSED, USER_DEFINED};
use super::{TOKENIZER_FILE, pre};
use crate::PolicyError;
use crate::candle::checkpoint::weights_file::Checkpoint;
use crate::text::tokenizer::optional_json;
use crate::text::{Files, Tokenizer};

/// Returns the metadata about the tokenizer and the chat template.
pub(super) fn tokenizer_metadata(checkpoint: &Checkpoint) -> Result<Fields, PolicyError> {
    let Checkpoint { source, config, .. } = checkpoint;
    let tokenizer = Tokenizer::read(source, config)?;
    let fail = |detail: String| source.error(TOKENIZER_FILE, detail);
    let file = optional_json(source, TOKENIZER_FILE)?;
    let mut fields = vocabulary(&file, config.vocab_size).map_err(fail)?;
    let texts = optional_json(source, "tokenizer_config.json")?;
    let special = |name: &str| {
        let text = &texts[name];
        let text = text.as_str().or_else(|| text["content"].as_str())?;
        ids(&file).ok()?.get(text).copied()
    };
    let ends = tokenizer.eos_ids();
    for (key, id) in [
        ("bos_token_id", tokenizer.bos()),
        ("eos_token_id", ends.first().copied()),
        ("eot_token_id", ends.get(1).copied()),
        ("eom_token_id", ends.get(2).copied()),
        ("padding_token_id", special("pad_token")),
        ("unknown_token_id", special("unk_token")),
    ] {
        fields.extend(id.map(|id| (format!("tokenizer.ggml.{key}"), Field::U32(id))));
    }
    let adds_bos = Field::Bool(tokenizer.opening().is_some());
    fields.insert("tokenizer.ggml.add_bos_token".into(), adds_bos);
    fields.insert("tokenizer.ggml.add_eos_token".into(), Field::Bool(false));
    if let Some(template) = tokenizer.chat_template() {
        fields.insert("tokenizer.chat_template".into(), Field::String(template.into()));
    }
    Ok(fields)
}

/// Returns the ids of all tokens, including added tokens.
fn ids(file: &Value) -> Result<BTreeMap<&str, u32>, String> {
    let words = file.pointer("/model/vocab").and_then(Value::as_object);
    let words = words.ok_or("it has no `model.vocab`")?;
    let words = words.iter().map(|(token, id)| (token.as_str(), id));
    let added = file["added_tokens"].as_array().into_iter().flatten();
    let added = added.filter_map(|token| Some((token["content"].as_str()?, &token["id"])));
    words
        .chain(added)
        .map(|(token, id)| {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            id.map(|id| (token, id)).ok_or_else(|| format!("token {token:?} has no id"))
        })
        .collect()
}

/// Returns the metadata for tokens, token types and merges.
fn vocabulary(file: &Value, rows: usize) -> Result<Fields, String> {
    let model = &file["model"];
    if model["type"] != "BPE" || model["byte_fallback"] == true {
        return Err("only byte-level BPE is exported".into());
    }
    let pre = pre::of(file).ok_or(
        "its pre-tokenizer is none that this program knows llama.cpp's name of (`tokenizer.ggml.pre`); \
         expected that of Llama 3, Qwen2, SmolLM or GPT-2",
    )?;
    let mut tokens: Vec<String> = (0..rows).map(|id| format!("[PAD{id}]")).collect();
    let mut kinds = vec![UNUSED as i32; rows];
    let unfit =
        |token: &str, id: u32| format!("token {token:?} is {id}, but there are {rows} rows");
    for (token, id) in ids(file)? {
        let place = id as usize;
        *tokens.get_mut(place).ok_or_else(|| unfit(token, id))? = token.to_owned();
        kinds[place] = NORMAL as i32;
    }
    for token in file["added_tokens"].as_array().into_iter().flatten() {
        let kind = if token["special"] == true { CONTROL } else { USER_DEFINED };
        if let Some(place) = token["id"].as_u64().and_then(|id| kinds.get_mut(id as usize)) {
            *place = kind as i32;
        }
    }
    let merges = model["merges"].as_array().ok_or("`model.merges` is no list")?;
    let merges: Option<Vec<String>> = merges
        .iter()
        .map(|merge| match merge {
            Value::String(both) => Some(both.clone()),
            parts => Some(format!("{} {}", parts[0].as_str()?, parts[1].as_str()?)),
        })
        .collect();
    let merges = merges.ok_or("`model.merges` holds something else than pairs of tokens")?;
    let texts = |all: Vec<String>| Field::Array(all.into_iter().map(Field::String).collect());
    let kinds = Field::Array(kinds.into_iter().map(Field::I32).collect());
    let fields = [
        ("model", Field::String("gpt2".into())),
        ("pre", Field::String(pre.into())),
        ("tokens", texts(tokens)),
        ("token_type", kinds),
        ("merges", texts(merges)),
    ];
    Ok(fields.map(|(key, value)| (format!("tokenizer.ggml.{key}"), value)).into())
}
