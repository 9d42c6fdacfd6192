use std::path::Path;

use super::*;
use serde_json::json;

#[test]
fn a_label_is_one_however_it_is_written() {
    assert!(["A", " A", "(A", " (A", "A\n", "( A"].iter().all(|t| is_label(t, "A")));
    assert!(["AB", "a", "A)", "B", ""].iter().all(|t| !is_label(t, "A")));
}

/// Writes a tokenizer in which each word is one token, and other files next to it.
fn written(change: impl FnOnce(&mut Value), files: &[(&str, Value)]) -> tempfile::TempDir {
    let vocab = json!({ "<s>": 0, "</s>": 1, "<|eot|>": 2, "a": 3, "b": 4, "<pad>": 5 });
    let special = |id: u32, content: &str| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true })
    };
    let mut file = json!({
        "version": "1.0", "pre_tokenizer": { "type": "Whitespace" },
        "added_tokens": [special(0, "<s>"), special(1, "</s>"), special(2, "<|eot|>"),
                         special(5, "<pad>")],
        "model": { "type": "WordLevel", "vocab": vocab, "unk_token": "a" },
    });
    change(&mut file);
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(TOKENIZER_FILE), file.to_string()).unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content.to_string()).unwrap();
    }
    dir
}

fn read(dir: &tempfile::TempDir) -> Result<Tokenizer, PolicyError> {
    Tokenizer::from_files(dir.path(), &Value::Null)
}

#[test]
fn nothing_is_cut_or_padded() {
    let dir = written(
        |file| {
            file["truncation"] = json!({ "max_length": 2, "strategy": "LongestFirst",
                                         "stride": 0, "direction": "Right" });
            file["padding"] = json!({ "strategy": { "Fixed": 6 }, "direction": "Left",
                                      "pad_to_multiple_of": null, "pad_id": 5,
                                      "pad_type_id": 0, "pad_token": "<pad>" });
        },
        &[],
    );
    assert_eq!(read(&dir).unwrap().encode("a b a b").unwrap(), [3, 4, 3, 4]);
}

#[test]
fn bos_begins_what_it_begins_in_transformers() {
    let settings = |more: Value| {
        let mut all = json!({ "bos_token": "<s>" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        written(|_| {}, &[("tokenizer_config.json", all)])
    };
    let opening = |more: Value| read(&settings(more)).unwrap().opening();
    assert_eq!(opening(json!({})), None);
    // Only the file's post-processor decides; transformers ignores the setting if there is a
    // `tokenizer.json`.
    assert_eq!(opening(json!({ "add_bos_token": true })), None);
    let frame = json!({
        "type": "TemplateProcessing", "pair": [],
        "single": [{ "SpecialToken": { "id": "<s>", "type_id": 0 } },
                   { "Sequence": { "id": "A", "type_id": 0 } }],
        "special_tokens": { "<s>": { "id": "<s>", "ids": [0], "tokens": ["<s>"] } },
    });
    for class in ["LlamaTokenizerFast", "GemmaTokenizer", "PreTrainedTokenizerFast"] {
        let unset = json!({ "bos_token": "<s>", "add_bos_token": false, "tokenizer_class": class });
        let files = [("tokenizer_config.json", unset)];
        let tokenizer = read(&written(|file| file["post_processor"] = frame.clone(), &files));
        let tokenizer = tokenizer.unwrap();
        assert_eq!(tokenizer.opening(), Some(0), "{class}");
        assert_eq!(tokenizer.encode_framed("a").unwrap(), [0, 3], "{class}");
        assert_eq!(tokenizer.without_frame("<s>a<s>"), "a<s>");
    }
    let map = [("special_tokens_map.json", json!({ "bos_token": { "content": "<s>" } }))];
    let tokenizer = read(&written(|_| {}, &map)).unwrap();
    assert_eq!(tokenizer.bos(), Some(0));
    assert_eq!(tokenizer.without_frame("<s>a"), "<s>a");
}

#[test]
fn what_the_settings_name_special_is_found_in_a_text() {
    let unlisted = |file: &mut Value| file["added_tokens"] = json!([]);
    let settings = json!({ "bos_token": "<s>", "pad_token": "[nothing]" });
    let tokenizer = read(&written(unlisted, &[("tokenizer_config.json", settings)])).unwrap();
    assert_eq!(tokenizer.encode("a<s>b").unwrap(), [3, 0, 4]);
    assert_eq!(tokenizer.decode(&[0, 3]).unwrap(), "a");
    assert!(tokenizer.fits(6, Path::new("")).is_ok());
}

#[test]
fn an_added_token_needs_no_row_and_another_one_does() {
    let more = |file: &mut Value| {
        let pad = json!({ "id": 6, "content": "[PAD]", "single_word": false, "lstrip": false,
                          "rstrip": false, "normalized": false, "special": true });
        file["added_tokens"].as_array_mut().unwrap().push(pad);
    };
    let dir = written(more, &[]);
    let tokenizer = read(&dir).unwrap();
    assert_eq!(tokenizer.encode("a[PAD]").unwrap(), [3, 6]);
    assert!(tokenizer.fits(6, dir.path()).is_ok());
    let error = tokenizer.fits(5, dir.path()).unwrap_err().to_string();
    assert!(error.contains("token id 5"), "{error}");
}

#[test]
fn a_template_has_one_end_of_a_line_and_one_name() {
    let template = |setting: Value| {
        let settings = ("tokenizer_config.json", json!({ "chat_template": setting }));
        read(&written(|_| {}, &[settings])).map(|tokenizer| tokenizer.chat_template)
    };
    assert_eq!(template(json!("a\r\nb\rc")).unwrap().as_deref(), Some("a\nb\nc"));
    let named = |names: [&str; 2]| {
        json!(names.map(|name| json!({ "name": name, "template": format!("of {name}") })))
    };
    assert_eq!(template(named(["rag", "default"])).unwrap().as_deref(), Some("of default"));
    let error = template(named(["rag", "tools"])).unwrap_err().to_string();
    assert!(error.contains("`rag`, `tools`") && error.contains("tokenizer_config.json"), "{error}");
    assert_eq!(template(Value::Null).unwrap(), None);
}

#[test]
fn the_tokenizer_s_own_end_comes_first_and_every_end_is_an_id() {
    let ends = |ids: Value| {
        let files = [
            ("generation_config.json", json!({ "eos_token_id": ids })),
            ("tokenizer_config.json", json!({ "eos_token": "<|eot|>" })),
        ];
        let dir = written(|_| {}, &files);
        let tokenizer = read(&dir)?;
        tokenizer.fits(6, dir.path()).map(|()| tokenizer)
    };
    let tokenizer = ends(json!([1, 2])).unwrap();
    assert_eq!((tokenizer.eos_ids(), tokenizer.eos_text()), (&[2, 1][..], "<|eot|>".into()));
    assert_eq!(ends(json!(1)).unwrap().eos_text(), "<|eot|>");
    assert_eq!(ends(json!(1)).unwrap().eos_ids(), [2, 1]);
    assert_eq!(ends(Value::Null).unwrap().eos_ids(), [2]);
    for bad in [json!([1, 99]), json!(-1), json!("2")] {
        let error = ends(bad).unwrap_err().to_string();
        assert!(error.contains("generation_config.json"), "{error}");
    }
}

#[test]
fn every_file_that_names_an_end_of_a_turn_is_heard() {
    let ends = |config: Value, files: &[(&str, Value)]| {
        let dir = written(|_| {}, files);
        Tokenizer::from_files(dir.path(), &config).unwrap().eos_ids().to_vec()
    };
    let settings = |template: &str| {
        ("tokenizer_config.json", json!({ "eos_token": "</s>", "chat_template": template }))
    };
    const PLAIN: &str = "{% for m in messages %}{{ m.content }}{% endfor %}";
    let generation = ("generation_config.json", json!({ "eos_token_id": 5 }));
    assert_eq!(
        ends(json!({ "eos_token_id": 2 }), &[settings(PLAIN), generation.clone()]),
        [1, 5, 2]
    );
    // If another file has an EOS id, an ordinary token in `config.json` is a default that a converter left.
    assert_eq!(ends(json!({ "eos_token_id": 3 }), &[settings(PLAIN)]), [1]);
    assert_eq!(ends(json!({ "eos_token_id": 3 }), &[]), [3]);
    for (template, expected) in [
        ("{% for m in messages %}<s>{{ m.content }}<|eot|>\n{% endfor %}", &[1, 2][..]),
        (
            "{% for m in messages %}{{ m.content | trim }} <|eot|>{{ eos_token }}{% endfor %}",
            &[1, 2],
        ),
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}<s>", &[1, 0]),
        ("{% for m in messages %}{{ m.content }} and <|eot|>{% endfor %}", &[1]),
        ("{{ raise_exception('no') }}", &[1]),
    ] {
        assert_eq!(ends(Value::Null, &[settings(template)]), expected, "{template}");
    }
}

#[test]
fn special_tokens_are_shown_where_they_are_asked_for() {
    let tokenizer = read(&written(|_| {}, &[])).unwrap();
    assert_eq!(tokenizer.decode(&[3, 5]).unwrap(), "a");
    assert!(tokenizer.decode_as(&[3, 5], true).unwrap().contains("<pad>"));
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

/// A normalizer with a base64 table of this many empty entries. The library looks up bytes in this table
/// without a bounds check.
fn normalizer(entries: u32) -> Value {
    let table = match entries {
        1 => "BAAAAAAAAAA=".to_owned(),
        128 => format!("AAIA{}", "A".repeat(684)),
        _ => unreachable!(),
    };
    json!({ "type": "Precompiled", "precompiled_charsmap": table })
}

/// A decoder that strips more of this letter from a token than the token has.
fn decoder(letter: char) -> Value {
    json!({ "type": "Strip", "content": letter, "start": 0, "stop": 5 })
}

#[test]
fn files_on_which_the_library_panics_are_refused_by_name() {
    for (part, value) in [("normalizer", normalizer(1)), ("decoder", decoder('a'))] {
        let dir = written(|file| file[part] = value, &[]);
        let error = read(&dir).unwrap_err().to_string();
        assert!(error.contains("tokenizer.json") && error.contains("panicked"), "{error}");
    }
}

#[test]
fn texts_and_ids_on_which_the_library_panics_are_refused() {
    let dir = written(|file| file["normalizer"] = normalizer(128), &[]);
    let tokenizer = read(&dir).unwrap();
    assert_eq!(tokenizer.encode("a b").unwrap(), [3, 4]);
    let error = tokenizer.encode("\u{e9}").unwrap_err();
    assert!(matches!(error, PolicyError::Request(_)), "{error}");
    let tokenizer = read(&written(|file| file["decoder"] = decoder('b'), &[])).unwrap();
    assert_eq!(tokenizer.decode(&[3]).unwrap(), "a");
    assert!(matches!(tokenizer.decode(&[4]), Err(PolicyError::Request(_))));
    assert!(tokenizer.label_ids("b").is_empty());
}

#[cfg(feature = "candle")]
#[test]
fn ids_on_which_the_library_panics_piece_by_piece_are_refused() {
    let tokenizer = read(&written(|file| file["decoder"] = decoder('b'), &[])).unwrap();
    let more = tokenizer.decode_more(&[4], false, &mut DecodeStream::default());
    assert!(matches!(more, Err(PolicyError::Request(_))));
}
