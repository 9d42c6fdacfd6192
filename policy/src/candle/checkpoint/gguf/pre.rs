//! Pre-tokenizers of byte-level vocabularies, by their names in llama.cpp (`tokenizer.ggml.pre`), with the
//! same settings as in the published `tokenizer.json` files.

use serde_json::{Value, json};

/// A pre-tokenizer, and settings that belong to the same vocabulary.
pub(super) struct PreTokenizer {
    /// Names in GGUF files.
    names: &'static [&'static str],
    cut: Cut,
    /// Whether text is normalised to NFC first.
    pub(super) nfc: bool,
    /// Whether a pre-token that is in the vocabulary becomes one token regardless of merges.
    pub(super) ignore_merges: bool,
    /// Whether BOS is added before a text if the file's metadata do not say.
    pub(super) adds_bos: bool,
}

/// Rule by which text is split into pre-tokens.
enum Cut {
    /// GPT-2's regular expression.
    Gpt2,
    /// Each digit separately, then GPT-2's regular expression.
    DigitsGpt2,
    /// A regular expression of the model.
    Split(&'static str),
}

/// Llama 3: digits in groups of up to three.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen2: each digit separately.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's Tekken: words are split where lower case is followed by upper case.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

const KNOWN: [PreTokenizer; 6] = [
    PreTokenizer {
        names: &["smollm", "starcoder", "refact"],
        cut: Cut::DigitsGpt2,
        nfc: false,
        ignore_merges: false,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["gpt-2"],
        cut: Cut::Gpt2,
        nfc: false,
        ignore_merges: false,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["llama-bpe", "llama3", "llama-v3"],
        cut: Cut::Split(LLAMA3),
        nfc: false,
        ignore_merges: true,
        adds_bos: true,
    },
    PreTokenizer {
        names: &["qwen2"],
        cut: Cut::Split(QWEN2),
        nfc: true,
        ignore_merges: false,
        adds_bos: false,
    },
    PreTokenizer {
        names: &["deepseek-r1-qwen"],
        cut: Cut::Split(QWEN2),
        nfc: false,
        ignore_merges: false,
        adds_bos: true,
    },
    PreTokenizer {
        names: &["tekken"],
        cut: Cut::Split(TEKKEN),
        nfc: false,
        ignore_merges: true,
        adds_bos: true,
    },
];

/// Finds the pre-tokenizer that a GGUF file names.
pub(super) fn named(name: Option<&str>) -> Result<&'static PreTokenizer, String> {
    let known = || KNOWN.iter().flat_map(|pre| pre.names).copied().collect::<Vec<_>>().join(", ");
    let Some(name) = name else {
        return Err(format!(
            "metadata `tokenizer.ggml.pre` is missing, so how text is cut before merging is not \
             known (known are {})",
            known()
        ));
    };
    KNOWN
        .iter()
        .find(|pre| pre.names.contains(&name))
        .ok_or_else(|| format!("metadata `tokenizer.ggml.pre` is `{name}`; known are {}", known()))
}

/// Returns the llama.cpp name of a `tokenizer.json`'s pre-tokenizer; `None` if it is not in [`KNOWN`].
pub(super) fn of(file: &Value) -> Option<&'static str> {
    let own = steps(&file["pre_tokenizer"])?;
    let nfc = file["normalizer"]["type"] == "NFC";
    let ignores = file["model"]["ignore_merges"] == true;
    let same = |pre: &&PreTokenizer| {
        let plain = pre.nfc == nfc && pre.ignore_merges == ignores;
        plain && steps(&pre.json()).is_some_and(|steps| steps == own)
    };
    KNOWN.iter().find(same).map(|pre| pre.names[0])
}

/// Returns the steps of a `pre_tokenizer` in order, without fields that have no effect; `None` if a step is
/// of a kind that none of the known pre-tokenizers has.
fn steps(pre: &Value) -> Option<Vec<String>> {
    let one = |step: &Value| match step["type"].as_str()? {
        "Digits" if step["individual_digits"] == true => Some("digits".to_owned()),
        "ByteLevel" if step["add_prefix_space"] == false => {
            // An absent `use_regex` means true.
            Some(format!("bytes, regex {}", step["use_regex"] != false))
        }
        "Split" if step["behavior"] == "Isolated" && step["invert"] != true => {
            Some(format!("split {}", step["pattern"]["Regex"].as_str()?))
        }
        _ => None,
    };
    match pre["type"].as_str()? {
        "Sequence" => pre["pretokenizers"].as_array()?.iter().map(one).collect(),
        _ => Some(vec![one(pre)?]),
    }
}

impl PreTokenizer {
    /// Returns the `pre_tokenizer` of a `tokenizer.json`.
    pub(super) fn json(&self) -> Value {
        let bytes = |use_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex });
        let first = match self.cut {
            Cut::Gpt2 => return bytes(true),
            Cut::DigitsGpt2 => json!({ "type": "Digits", "individual_digits": true }),
            Cut::Split(regex) => {
                json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false })
            }
        };
        let gpt2 = matches!(self.cut, Cut::DigitsGpt2);
        json!({ "type": "Sequence", "pretokenizers": [first, bytes(gpt2)] })
    }

    /// Returns the `normalizer` of a `tokenizer.json`.
    pub(super) fn normalizer(&self) -> Value {
        if self.nfc { json!({ "type": "NFC" }) } else { Value::Null }
    }
}
