//! What a user is told about a file that cannot be read, and that no file makes a reader panic.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;
use regrowth_datasets::{DataError, Format, PreferencePair, read_jsonl, read_pairs, read_problems};
use tempfile::TempDir;

fn try_read(name: &str, content: &[u8], format: Option<Format>) -> Result<Vec<String>, DataError> {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    Ok(read_problems(&path, format)?.into_iter().map(|p| p.id).collect())
}

/// The message without the folder.
fn message(name: &str, content: &str, format: Option<Format>) -> String {
    let message = try_read(name, content.as_bytes(), format).unwrap_err().to_string();
    message[message.find(name).unwrap()..].to_owned()
}

#[test]
fn a_wrong_path_is_named() {
    let error = read_problems(Path::new("no/such/file.jsonl"), None).unwrap_err();
    assert!(error.to_string().starts_with("no/such/file.jsonl: No such file"), "{error}");
    assert!(read_problems(&std::env::temp_dir(), None).is_err());
}

#[test]
fn a_malformed_line_is_named_with_field_expected_and_got() {
    let good = r#"{"question": "Q", "answer": "1\n#### 1"}"#;
    let cases = [
        (
            r#"{"question": "Q", "answer": 5}"#,
            "f.jsonl:2: field `answer`: expected text that is not empty, got `5`",
        ),
        (
            r#"{"question": "", "answer": "x"}"#,
            "f.jsonl:2: field `question`: expected text that is not empty, got ``",
        ),
        (
            r#"{"answer": "x #### 1"}"#,
            "f.jsonl:2: field `question`: expected text that is not empty, got nothing",
        ),
        (
            r#"{"question": "Q", "answer": "no mark"}"#,
            "f.jsonl:2: field `answer`: expected a solution that ends in `#### N`, got `no mark`",
        ),
        ("[1]", "f.jsonl:2: field `row`: expected a JSON object, got a list of 1"),
        (
            "{\"question\": Q}",
            "f.jsonl:2: field `question`: expected JSON (expected value at column 14)",
        ),
    ];
    for (row, expected) in cases {
        let got = message("f.jsonl", &format!("{good}\n{row}\n"), None);
        assert!(got.starts_with(expected), "{got}");
    }
    let long = format!("{{\"question\": \"Q\", \"answer\": \"{}\"}}", "x".repeat(100_000));
    assert!(message("f.jsonl", &format!("{good}\n{long}\n"), None).len() < 250);
}

#[test]
fn places_are_lines_in_every_container() {
    let array = "[\n {\"sQuestion\": \"Q\", \"lSolutions\": [1]},\n {\"sQuestion\": \"Q\"}\n]";
    assert!(message("f.json", array, None).starts_with("f.json:3: field `lSolutions`"));
    let csv = "questionID,question,AnswerKey\n1,\"Q\n(A) a (B) b\",A\n2,Q (A) a (B) b,C\n";
    assert!(message("f.csv", csv, None).starts_with("f.csv:4: field `AnswerKey`"));
    let short = "question,answer\na,1\nb\n";
    assert!(message("f.csv", short, None).starts_with("f.csv:3: field `row`: expected 2 columns"));
    let xml = "<S>\n<Problem><Body>b</Body><Question>q</Question><Formula/><Answer>1</Answer></Problem>\n<Problem/>\n</S>";
    assert!(message("f.xml", xml, None).starts_with("f.xml:3: field `Question`"));
    assert!(message("f.xml", "<S>\n<Problem></S>", None).starts_with("f.xml:2: field `row`"));
}

#[test]
fn an_unknown_format_lists_the_known_ones() {
    for content in ["{\"text\": \"x\", \"label\": 1}\n", "hello world\n", "a,b\n1,2\n"] {
        let message = message("f.txt", content, None);
        assert!(message.contains("name one with --format, one of: gsm8k, math, arc,"), "{message}");
    }
    // Named, but it does not fit: the field that is missing.
    let message = message("f.jsonl", "{\"text\": \"x\"}\n", Some(Format::Gsm8k));
    assert!(message.starts_with("f.jsonl:1: field `question`"), "{message}");
}

#[test]
fn an_empty_file_is_said_to_be_empty() {
    for (name, content) in [
        ("f.jsonl", ""),
        ("f.jsonl", "\n \r\n"),
        ("f.json", "[]"),
        ("f.csv", "question,answer\n"),
        ("f.xml", "<Set/>"),
    ] {
        let error = try_read(name, content.as_bytes(), None).unwrap_err();
        assert!(matches!(error, DataError::Empty { .. }), "{name} {content:?}: {error}");
        assert!(try_read(name, content.as_bytes(), Some(Format::Math)).is_err());
    }
}

#[test]
fn one_id_for_two_problems_is_refused_and_a_repeated_row_renamed() {
    let row = |id, q| format!("{{\"id\": {id}, \"question\": \"{q}\", \"answer\": 1}}\n");
    let two = row(7, "a") + &row(8, "b") + &row(7, "c");
    let error = try_read("f.jsonl", two.as_bytes(), None).unwrap_err();
    assert!(matches!(error, DataError::DuplicateId { line: 3, first: 1, .. }), "{error}");
    let same = row(7, "a") + &row(7, "a") + &row(7, "a");
    assert_eq!(try_read("f.jsonl", same.as_bytes(), None).unwrap(), ["7", "7#2", "7#3"]);
}

#[test]
fn mark_carriage_returns_and_a_missing_last_line_feed_are_fine() {
    let row = "{\"question\": \"Q\", \"answer\": 1}";
    let text = format!("\u{feff}{row}\r\n\r\n{row}");
    for name in ["f.jsonl", "f.json", "f"] {
        assert_eq!(try_read(name, text.as_bytes(), None).unwrap().len(), 2, "{name}");
    }
    let csv = "\u{feff}question,answer\r\n\"Q, q\",1\r\nQ,2";
    assert_eq!(try_read("f.csv", csv.as_bytes(), None).unwrap().len(), 2);
}

#[test]
fn bytes_that_are_no_text_and_a_cut_row_are_named() {
    let error = try_read("f.jsonl", b"{\"question\": \"\xff\"}", None).unwrap_err();
    assert!(
        error.to_string().contains("f.jsonl:1: field `row`: expected UTF-8 text, got byte 0xff")
    );
    let error = try_read("f.jsonl", b"{\"question\": \"Q\", \"ans", None).unwrap_err();
    assert!(matches!(error, DataError::Torn { line: 1, .. }), "{error}");
}

#[test]
fn deep_nesting_is_an_error() {
    let deep = 200_000;
    for (name, content) in [
        ("f.jsonl", format!("{{\"question\": {}", "[".repeat(deep))),
        ("f.json", "[".repeat(deep)),
        ("f.xml", "<a>".repeat(deep)),
    ] {
        assert!(try_read(name, content.as_bytes(), None).is_err(), "{name}");
    }
}

/// Fields of every format.
const FIELDS: &[&str] = &[
    "question",
    "answer",
    "choices",
    "answerKey",
    "problem",
    "solution",
    "options",
    "correct",
    "Body",
    "Question",
    "Answer",
    "sQuestion",
    "lSolutions",
    "correct_answer",
    "distractor1",
    "distractor2",
    "distractor3",
    "questionID",
    "AnswerKey",
    "id",
    "kind",
    "level",
    "question_stem",
];

const VALUES: &[&str] = &[
    "null",
    "true",
    "-0.0",
    "1e300",
    "18446744073709551615",
    "\"\"",
    "\"A\"",
    "\"#### 5\"",
    "\"\\\\boxed{\"",
    "\"(A) é (B) b\"",
    "\"Answer Choices: (A) (B)\"",
    "[]",
    "{}",
    "[1]",
    "[\"A)x\", \"B)\"]",
    "[\"a\", \"b\"]",
    "{\"text\": [\"a\"], \"label\": [\"A\", \"B\"]}",
    "{\"stem\": \"s\", \"choices\": [{\"label\": \"A\", \"text\": \"t\"}]}",
    "[{\"label\": 1, \"text\": 2}, {\"label\": \"B\", \"text\": \"é\"}]",
];

/// Rows with the right fields and any values, so that the parsers of every format are reached.
fn row_of_known_fields() -> impl Strategy<Value = String> {
    let field = (select(FIELDS), select(VALUES));
    proptest::collection::vec(field, 0..12).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(n, v)| format!("\"{n}\": {v}")).collect();
        format!("{{{}}}\n", fields.join(", "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_row_makes_a_format_panic(rows in proptest::collection::vec(row_of_known_fields(), 1..4)) {
        let content = rows.concat();
        for format in Format::ALL.map(Some).into_iter().chain([None]) {
            if let Ok(ids) = try_read("f.jsonl", content.as_bytes(), format) {
                prop_assert_eq!(ids.len(), rows.len());
            }
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        start in select(vec!["", "[", "{", "<", "\u{feff}", "{\"question\":", "a,b\n", "<Problem ID='"]),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let content = [start.as_bytes(), &bytes].concat();
        for name in ["f.jsonl", "f.json", "f.csv", "f.xml", "f"] {
            let _ = try_read(name, &content, None);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        fs::write(&path, &content).unwrap();
        let _ = read_pairs(&path);
        let _ = read_jsonl::<PreferencePair>(&path);
    }
}
