//! How byte-level vocabularies cut a text before merging, by the name that llama.cpp gives it
//! (`tokenizer.ggml.pre`); the forms are those of the published `tokenizer.json` files.

use serde_json::{Value, json};

/// Cuts a text and adds what belongs to the same vocabulary.
pub(super) struct PreTokenizer {
    /// Names in files.
    names: &'static [&'static str],
    cut: Cut,
    /// Whether text is composed (NFC) before it is cut.
    pub(super) nfc: bool,
    /// Whether a piece that is a token is taken whole, whatever its merges.
    pub(super) ignore_merges: bool,
    /// Whether BOS goes before a text where the file does not say.
    pub(super) adds_bos: bool,
}

/// Where a text is cut.
enum Cut {
    /// GPT-2's expression.
    Gpt2,
    /// Every digit alone, then GPT-2's expression.
    DigitsGpt2,
    /// An expression of the model's own.
    Split(&'static str),
}

/// Llama 3: numbers in groups of three.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen2: every digit alone.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's Tekken: words part where lower case meets upper case.
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

/// The one that a file names.
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

/// The name of the one that a `tokenizer.json` has; `None` where it is none of those that are known.
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

/// What a `pre_tokenizer` does one after the other, without fields that change nothing; `None` for what no
/// file here has.
fn steps(pre: &Value) -> Option<Vec<String>> {
    let one = |step: &Value| match step["type"].as_str()? {
        "Digits" if step["individual_digits"] == true => Some("digits".to_owned()),
        "ByteLevel" if step["add_prefix_space"] == false => {
            // Absent is true.
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
    /// `pre_tokenizer` of a `tokenizer.json`.
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

    /// `normalizer` of a `tokenizer.json`.
    pub(super) fn normalizer(&self) -> Value {
        if self.nfc { json!({ "type": "NFC" }) } else { Value::Null }
    }
}
