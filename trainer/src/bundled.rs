//! The bundled model before training: its tokenizer, configuration, prompt form and corpus.
//!
//! The tokenizer is a real `tokenizer.json`: byte-level, with a vocabulary entry for every pre-token of the
//! built-in tasks. With `ignore_merges`, a known pre-token is one token, and other text falls back to bytes.
//! The training itself is done by `regrowth sft`.

use std::path::Path;

use regrowth_datasets::tasks::{CorpusConfig, CorpusExample, corpus, pre_tokens, vocabulary};
use regrowth_datasets::{Problem, atomic_write};
use regrowth_policy::candle::{ModelConfig, PROMPT_FILE, PromptForm};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::TrainError;

/// Special tokens: padding, then end of text.
const SPECIALS: [&str; 2] = ["<|pad|>", "<|end|>"];

/// Splits text into the tasks' pre-tokens: words and first digits carry their leading space.
const SPLIT: &str = r"\n| ?[A-Za-z]+| ?[0-9]| ?[^\sA-Za-z0-9]+|\s";

/// Hidden size, feed-forward size, layers, heads: about 0.85 million parameters.
const SHAPE: (usize, usize, usize, usize) = (128, 352, 4, 4);

/// Returns the prompt form of problems and self-evaluation questions.
#[must_use]
pub fn prompt_form() -> PromptForm {
    PromptForm {
        version: 1,
        prompt: "{{ question }}\n\
                 {% for c in choices %}- {{ c.text }} {{ c.label }}\n{% endfor %}"
            .into(),
        judge: "{% if correct_first %}A right B wrong:{% else %}A wrong B right:{% endif %}".into(),
        restated: None,
        chat: false,
        system: None,
        template_kwargs: Map::new(),
        shots: vec![],
        turn: None,
        name: None,
    }
}

/// Writes a checkpoint folder without weights.
///
/// # Errors
/// If a file cannot be written.
pub fn write_init(dir: &Path) -> Result<(), TrainError> {
    std::fs::create_dir_all(dir).map_err(TrainError::io(dir))?;
    let words = words();
    let size = (SPECIALS.len() + words.len()).next_multiple_of(16);
    let (hidden, inner, layers, heads) = SHAPE;
    let mut config = ModelConfig::llama(size, hidden, inner, layers, heads).raw;
    config.insert("eos_token_id".into(), json!(1));
    config.insert("pad_token_id".into(), json!(0));
    let tokenizer_config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 1024,
        "pad_token": SPECIALS[0], "eos_token": SPECIALS[1], "bos_token": null,
        "clean_up_tokenization_spaces": false,
    });
    let files = [
        ("config.json", Value::Object(config)),
        ("generation_config.json", json!({ "eos_token_id": 1, "pad_token_id": 0 })),
        ("tokenizer.json", tokenizer(&words)),
        ("tokenizer_config.json", tokenizer_config),
        ("special_tokens_map.json", json!({ "pad_token": SPECIALS[0], "eos_token": SPECIALS[1] })),
        (PROMPT_FILE, json!(prompt_form())),
    ];
    for (name, value) in files {
        let text = format!("{value:#}\n");
        atomic_write(&dir.join(name), |out| std::io::Write::write_all(out, text.as_bytes()))?;
    }
    Ok(())
}

/// Writes `examples` rows of the corpus for `regrowth sft`.
///
/// # Errors
/// If the file cannot be written.
pub fn write_corpus(path: &Path, config: &CorpusConfig, examples: usize) -> Result<(), TrainError> {
    let rows = corpus(config).take(examples).enumerate().map(|(i, e)| row(&e, i % 2 == 0));
    Ok(regrowth_datasets::write_jsonl(path, rows)?)
}

/// A row of a corpus, as `regrowth sft` reads it.
#[derive(Serialize)]
struct CorpusRow {
    prompt: String,
    completion: String,
    weight: f32,
    eos: bool,
}

/// Returns an example as an SFT row. In judge examples, "right" is the first or the last option.
fn row(example: &CorpusExample, correct_first: bool) -> CorpusRow {
    let prompt = prompt(example.problem());
    let text: String = example.steps().concat();
    match example {
        CorpusExample::Judged { correct, .. } => {
            let line = if text.ends_with('\n') { "" } else { "\n" };
            let order = if correct_first { "A right B wrong:" } else { "A wrong B right:" };
            let label = if *correct == correct_first { " A" } else { " B" };
            let prompt = format!("{prompt}{text}{line}{order}");
            CorpusRow { prompt, completion: label.into(), weight: 1.0, eos: false }
        }
        _ => CorpusRow { prompt, completion: text, weight: 1.0, eos: true },
    }
}

/// Renders the prompt of [`prompt_form`] by hand, because a template engine is too slow for a corpus.
fn prompt(problem: &Problem) -> String {
    let mut text = format!("{}\n", problem.question);
    for choice in &problem.choices {
        text += &format!("- {} {}\n", choice.text, choice.label);
    }
    text
}

/// Returns the byte alphabet and the tasks' pre-tokens, in the byte-level form of `tokenizer.json`.
fn words() -> Vec<String> {
    let alphabet = byte_alphabet();
    let form = "A right B wrong: A wrong B right: A B\n- A";
    let listed = vocabulary().into_iter().chain(pre_tokens(form).into_iter().map(str::to_owned));
    let mut words: Vec<String> = alphabet.iter().map(|c| c.to_string()).collect();
    for piece in listed {
        let word: String = piece.bytes().map(|b| alphabet[b as usize]).collect();
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// Returns the character that represents each byte in byte-level tokenizers (GPT-2): printable Latin-1
/// characters represent themselves, the other bytes are mapped to characters from U+0100.
fn byte_alphabet() -> Vec<char> {
    let mut moved = 0u32;
    (0u8..=255)
        .map(|byte| match byte {
            b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF => char::from(byte),
            _ => {
                moved += 1;
                char::from_u32(0xFF + moved).unwrap_or('\u{FFFD}')
            }
        })
        .collect()
}

fn tokenizer(words: &[String]) -> Value {
    let special = |(id, content): (usize, &&str)| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false, "special": true,
        })
    };
    let all = SPECIALS.iter().map(|s| (*s).to_owned()).chain(words.iter().cloned());
    let vocabulary: Map<String, Value> =
        all.enumerate().map(|(id, word)| (word, json!(id))).collect();
    let bytes = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false,
    });
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": SPECIALS.iter().enumerate().map(special).collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": SPLIT }, "behavior": "Isolated",
              "invert": false },
            bytes,
        ]},
        "post_processor": null,
        "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": true, "vocab": vocabulary, "merges": [],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_policy::PromptOptions;
    use regrowth_policy::candle::{Source, Tokenizer};

    fn load() -> (tempfile::TempDir, ModelConfig, Source, Tokenizer) {
        let dir = tempfile::tempdir().unwrap();
        write_init(dir.path()).unwrap();
        let source = Source::folder(dir.path()).unwrap();
        let config = ModelConfig::read(dir.path()).unwrap();
        let tokenizer = Tokenizer::read(&source, &config).unwrap();
        (dir, config, source, tokenizer)
    }

    #[test]
    fn corpus_text_is_one_token_a_piece_and_survives_a_round_trip() {
        let (_dir, _, _, tokenizer) = load();
        for (i, example) in corpus(&CorpusConfig::default()).take(500).enumerate() {
            let row = row(&example, i % 2 == 0);
            for text in [&row.prompt, &row.completion] {
                let ids = tokenizer.encode(text).unwrap();
                assert_eq!(ids.len(), pre_tokens(text).len(), "{text}");
                assert_eq!(&tokenizer.decode(&ids).unwrap(), text);
            }
        }
    }

    #[test]
    fn any_text_survives_a_round_trip() {
        let (_dir, _, _, tokenizer) = load();
        for text in ["Natalia sold 48/2 = 24 clips (\\frac{1}{2})…", "日本 \t\r\n é", ""] {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn the_prompt_written_out_equals_the_template() {
        let (_dir, _, source, tokenizer) = load();
        let form = PromptForm::read(&source, &tokenizer, &PromptOptions::default()).unwrap();
        for example in corpus(&CorpusConfig::default()).take(100) {
            let problem = example.problem();
            assert_eq!(form.render(problem, &tokenizer).unwrap(), prompt(problem));
        }
    }

    #[test]
    fn judge_labels_are_single_tokens() {
        let (_dir, _, _, tokenizer) = load();
        let label = tokenizer.encode(" A").unwrap();
        assert_eq!(label.len(), 1);
        assert!(tokenizer.label_ids("A").contains(&label[0]));
    }
}
