//! Error messages for files that cannot be read; and no file makes a reader panic.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::select;
use regrowth_datasets::{
    DataError, Format, Notices, PreferencePair, Problem, ReadOptions, read_jsonl, read_pairs,
    read_problem_file, read_problems,
};
use tempfile::TempDir;

fn try_read(name: &str, content: &[u8], format: Option<Format>) -> Result<Vec<String>, DataError> {
    let folder: TempDir = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    Ok(read_problems(&path, format)?.into_iter().map(|p| p.id).collect())
}

/// The problems of a file, and the notices without the folder.
fn noticed(
    name: &str,
    content: &str,
    skip_bad: usize,
) -> (Result<Vec<Problem>, String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    let short = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    let mut notices = Notices::skipping(skip_bad);
    let read = read_problem_file(&path, ReadOptions::default(), &mut notices);
    (
        read.map_err(|error| short(error.to_string())),
        notices.lines().into_iter().map(short).collect(),
    )
}

/// The error message without the folder.
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
    let array = "[\n {\"sQuestion\": \"Q\", \"lSolutions\": [1]},\n {\"sQuestion\": \"Q\", \"lSolutions\": [1, 2]}\n]";
    assert!(message("f.json", array, None).starts_with("f.json:3: field `lSolutions`"));
    let csv = "questionID,question,AnswerKey\n1,\"Q\n(A) a (B) b\",A\n2,Q (A) a (B) b,C\n";
    assert!(message("f.csv", csv, None).starts_with("f.csv:4: field `AnswerKey`"));
    let short = "question,answer\na,1\nb\n";
    assert!(message("f.csv", short, None).starts_with("f.csv:3: field `row`: expected 2 columns"));
    let xml = "<S>\n<Problem><Body>b</Body><Question>q</Question><Formula/><Answer>1</Answer></Problem>\n<Problem/>\n</S>";
    assert!(message("f.xml", xml, None).starts_with("f.xml:3: field `question`"));
    assert!(message("f.xml", "<S>\n<Problem></S>", None).starts_with("f.xml:2: field `row`"));
}

#[test]
fn an_unknown_format_lists_the_known_ones() {
    for content in ["{\"text\": \"x\", \"label\": 1}\n", "hello world\n", "a,b\n1,2\n"] {
        let message = message("f.txt", content, None);
        assert!(message.contains("name one with --format, one of: gsm8k, math, arc,"), "{message}");
    }
    // A format is given but does not fit: the error names the missing field.
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
fn bad_rows_are_passed_over_up_to_a_number_and_named() {
    let good = "{\"id\": 1, \"question\": \"a\", \"answer\": 1}\n";
    let other = "{\"id\": 1, \"question\": \"b\", \"answer\": 1}\n";
    let text =
        format!("not json\n{good}{{\"question\": 3}}\n{other}{{\"question\": \"c\"}}\n{{\"que");
    let (read, lines) = noticed("f.jsonl", &text, 4);
    assert_eq!(read.unwrap().len(), 2);
    for (line, sign) in
        lines.iter().zip([":1:", ":3: field `question`", ":4: id `1`", ":6: the last line"])
    {
        assert!(line.starts_with("skipped a bad row: f.jsonl") && line.contains(sign), "{line}");
    }
    assert_eq!(lines.len(), 4);
    let (read, _) = noticed("f.jsonl", &text, 3);
    let message = read.unwrap_err();
    assert!(
        message.contains(":6:") && message.contains("3 bad rows before it were skipped"),
        "{message}"
    );
    let (read, _) = noticed("f.jsonl", &text, 0);
    assert!(read.unwrap_err().starts_with("f.jsonl:1: field `row`"));
    // The rows after a damaged place in an array cannot be found; they must not be lost silently.
    let (read, _) = noticed("f.json", &format!("[{good},\n{{\"question\" 2}},\n{good}]"), 4);
    assert!(read.unwrap_err().contains("expected `:`"));
    let csv = "question,answer\na,1\nb\nc,3\n";
    assert_eq!(noticed("f.csv", csv, 1).0.unwrap().len(), 2);
}

#[test]
fn a_reference_is_asked_for_only_where_it_is_needed() {
    let text = "{\"question\": \"a\", \"answer\": 1}\n{\"question\": \"b\", \"gold\": 2}\n";
    let (read, lines) = noticed("f.jsonl", text, 0);
    assert_eq!(read.unwrap()[1].answer, "");
    assert_eq!(lines, ["f.jsonl:2: format `generic` does not read these columns: `gold` (1 rows)"]);
    let message = message("f.jsonl", text, None);
    assert!(
        message.starts_with("f.jsonl:2: field `answer`: expected a reference answer"),
        "{message}"
    );
    assert!(message.contains("`gold, question`"), "{message}");
}

#[test]
fn a_git_lfs_pointer_is_called_that() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n";
    for name in ["f.jsonl", "f.parquet", "f.csv", "f"] {
        let message = message(name, pointer, None);
        assert!(message.contains("git lfs pull"), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.jsonl");
    fs::write(&path, pointer).unwrap();
    assert!(read_pairs(&path).unwrap_err().to_string().contains("git lfs pull"));
}

#[test]
fn one_question_with_two_references_is_named_with_both_lines() {
    let row = |q: &str, a: u32| format!("{{\"question\": \"{q}\", \"answer\": {a}}}\n");
    let text = [row("Is it?", 1), row("is  it?", 1), row("Is it?", 2), row("Other?", 3)].concat();
    let (read, lines) = noticed("f.jsonl", &text, 0);
    assert_eq!(read.unwrap().len(), 4);
    let expected = "f.jsonl:3: the same question as f.jsonl:1, with another reference answer: `2` here, `1` there";
    assert_eq!(lines, [expected]);
    // References are compared by the text of the option: with other labels and another order they are
    // equal.
    let choice = |options: &str, answer: &str| {
        format!("{{\"question\": \"Q\", \"choices\": {options}, \"answer\": \"{answer}\"}}\n")
    };
    let same = choice(r#"["red", "blue"]"#, "A") + &choice(r#"["blue", "red"]"#, "B");
    assert_eq!(noticed("f.jsonl", &same, 0).1, Vec::<String>::new());
    let other = choice(r#"["red", "blue"]"#, "A") + &choice(r#"["blue", "red"]"#, "A");
    assert!(noticed("f.jsonl", &other, 0).1[0].contains("`blue` here, `red` there"));
}

#[test]
fn columns_that_a_question_may_depend_on_are_refused_by_name() {
    let text = "{\"question\": \"Q\", \"answer\": 1, \"image\": null}\n\
                {\"question\": \"R\", \"answer\": 1, \"image\": \"x.png\"}\n";
    let message = message("f.jsonl", text, None);
    assert!(message.starts_with("f.jsonl:2: field `image`: expected nothing"), "{message}");
    let (read, _) = noticed("f.jsonl", text, 1);
    assert_eq!(read.unwrap().len(), 1);
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
    "answer_index",
    "A",
    "B",
    "mc1_targets",
    "ctx",
    "endings",
    "label",
    "goal",
    "sol1",
    "sol2",
    "prompt",
    "reward_model",
    "final_answer",
    "context",
    "unit",
    "Numbers",
    "Correct Answer",
    "Incorrect Answer 1",
    "Incorrect Answer 2",
    "Incorrect Answer 3",
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
    "{\"choices\": [\"a\", \"b\"], \"labels\": [0, 1]}",
    "[{\"role\": \"user\", \"content\": \"Q\"}]",
    "{\"ground_truth\": 3}",
    "\"N_00 N_01\"",
    "1",
];

/// Rows with known field names and arbitrary values, which reach the parsers of every format.
fn row_of_known_fields() -> impl Strategy<Value = String> {
    let field = (select(FIELDS), select(VALUES));
    proptest::collection::vec(field, 0..12).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(n, v)| format!("\"{n}\": {v}")).collect();
        format!("{{{}}}\n", fields.join(", "))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn no_row_makes_a_format_panic(rows in proptest::collection::vec(row_of_known_fields(), 1..4)) {
        let content = rows.concat();
        for format in Format::ALL.map(Some).into_iter().chain([None]) {
            if let Ok(ids) = try_read("f.jsonl", content.as_bytes(), format) {
                prop_assert_eq!(ids.len(), rows.len());
            }
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("f.jsonl");
            fs::write(&path, &content).unwrap();
            let options = ReadOptions { format, needs_answer: false };
            let mut notices = Notices::skipping(9);
            if let Ok(problems) = read_problem_file(&path, options, &mut notices) {
                prop_assert_eq!(problems.len() + notices.skipped().len(), rows.len());
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
