//! Unusual layouts of rows in real files: how each is read or refused.

use std::fs;

use regrowth_datasets::{AnswerKind, Notices, Problem, ReadOptions, read_problem_file};

/// The problems of a file, and the notices without the folder.
fn read(name: &str, content: impl AsRef<[u8]>) -> (Result<Vec<Problem>, String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    let short = |text: String| text.replace(&format!("{}/", folder.path().display()), "");
    let mut notices = Notices::default();
    let read = read_problem_file(&path, ReadOptions::default(), &mut notices);
    let lines = notices.lines().into_iter().map(short).collect();
    (read.map_err(|error| short(error.to_string())), lines)
}

/// The references of a file.
fn answers(name: &str, content: impl AsRef<[u8]>) -> Vec<String> {
    read(name, content).0.unwrap().into_iter().map(|problem| problem.answer).collect()
}

/// The error with which a file is refused.
fn refused(name: &str, content: impl AsRef<[u8]>) -> String {
    read(name, content).0.unwrap_err()
}

#[test]
fn numbers_keep_the_digits_of_the_file_wherever_they_stand() {
    let big = "265252859812191058636308480000000";
    let fine = "0.12345678901234567891";
    let row = |answer: &str| format!("{{\"question\": \"Q\", \"answer\": {answer}}}\n");
    assert_eq!(answers("f.jsonl", row(big) + &row(fine)), [big, fine]);
    assert_eq!(answers("f.json", format!("[{},\n{}]", row(big), row(fine))), [big, fine]);
    assert_eq!(answers("f.jsonl", row("18446744073709551616.0")), ["18446744073709551616"]);
    assert_eq!(read("f.jsonl", row(big)).0.unwrap()[0].kind, AnswerKind::Number);
    let mawps = format!("[{{\"sQuestion\": \"Q\", \"lSolutions\": [{big}]}}]");
    assert_eq!(answers("f.json", mawps), [big]);
    let options = format!(
        "{{\"question\": \"Q\", \"options\": [18446744073709551616, {big}], \"answer\": \"B\"}}"
    );
    assert_eq!(read("f.jsonl", options).0.unwrap()[0].choices[1].text, big);
    // Two ids that would become the same double.
    let id = |id: &str| format!("{{\"id\": {id}, \"question\": \"{id}\", \"answer\": 1}}\n");
    let two = id("18446744073709551616") + &id("18446744073709551617");
    assert_eq!(read("f.jsonl", two).0.unwrap()[1].id, "18446744073709551617");
}

#[test]
fn a_worked_solution_is_not_the_reference() {
    let rows = "{\"question\": \"Many?\", \"answer\": \"8\"}\n\
                {\"question\": \"3+4?\", \"answer\": \"It is 3+4=7\\n#### 7\"}\n\
                {\"question\": \"1+1?\", \"answer\": \"So\\n$\\\\boxed{2}$\"}\n";
    let (problems, lines) = read("f.jsonl", rows);
    let problems = problems.unwrap();
    let found: Vec<_> =
        problems.iter().map(|p| (p.answer.as_str(), p.solution.as_deref())).collect();
    let wanted = [("8", None), ("7", Some("It is 3+4=7")), ("2", Some("So\n$\\boxed{2}$"))];
    assert_eq!(found, wanted);
    assert!(lines.is_empty(), "{lines:?}");
    let unclear = "{\"question\": \"Q\", \"answer\": 8}\n\
                   {\"question\": \"R\", \"answer\": \"#### Step 1\\nWe add.\"}\n";
    let message = refused("f.jsonl", unclear);
    assert!(message.starts_with("f.jsonl:2: field `answer`: expected a solution"), "{message}");
}

#[test]
fn references_that_no_answer_will_equal_are_counted_once() {
    let rows = "{\"question\": \"Why?\", \"answer\": \"Paris\"}\n\
                {\"question\": \"How?\", \"answer\": \"We add.\\nThe answer is seven.\"}\n\
                {\"question\": \"So?\", \"answer\": \"We add.\\nThe answer is eight.\"}\n";
    let (problems, lines) = read("f.jsonl", rows);
    assert_eq!(problems.unwrap().len(), 3);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("f.jsonl:2: 2 reference answers are several lines"), "{lines:?}");
}

#[test]
fn what_could_mean_two_things_is_refused() {
    let twice = refused("f.jsonl", "{\"question\": \"Q\", \"answer\": 1, \"answer\": 2}\n");
    assert!(twice.starts_with("f.jsonl:1: field `"), "{twice}");
    assert!(twice.contains("one value of each name, got two of `answer`"), "{twice}");
    let twice = refused("f.json", "[{\"question\": \"Q\",\n\"answer\": 1, \"answer\": 2}]");
    assert!(twice.contains("one value of each name, got two of `answer`"), "{twice}");
    assert_eq!(answers("f.jsonl", "{\"question\": \"Q\", \"answer\": 1, \"answer\": 1}"), ["1"]);
    let header = refused("f.csv", "question,answer, answer\nQ,1,2\n");
    assert!(header.starts_with("f.csv:1: field `row`: expected one column of each"), "{header}");
    for truth in ["true", "false"] {
        for options in ["", ", \"options\": [\"True\", \"False\"]"] {
            let row = format!("{{\"question\": \"Q\", \"answer\": {truth}{options}}}");
            let message = refused("f.jsonl", row);
            assert!(message.contains("such as `yes` or `no`"), "{message}");
        }
    }
    let escaped = "question,answer\nQ,1\n\"a \\\"b\\\" c\",5\n";
    let open = refused("f.tsv", "question\tanswer\nQ\t\"5\nR\t6\n");
    assert!(open.starts_with("f.tsv:2: field `row`: expected the closing quote"), "{open}");
    let message = refused("f.csv", escaped);
    assert!(message.starts_with("f.csv:3: field `row`: expected the end of a field"), "{message}");
}

#[test]
fn a_list_of_one_is_its_member_and_a_missing_value_none() {
    let rows = "{\"question\": \"Q\", \"answer\": [\"5\"]}\n{\"question\": \"R\", \"answer\": [6.0]}\n\
                {\"question\": \"S\", \"answer\": [1, 2], \"kind\": \"math\"}\n";
    assert!(refused("f.jsonl", rows).starts_with("f.jsonl:3: field `answer`: expected one answer"));
    let two: String = rows.lines().take(2).map(|line| format!("{line}\n")).collect();
    assert_eq!(answers("f.jsonl", two), ["5", "6"]);
    assert_eq!(
        answers("f.csv", "question,answer\nQ,['5']\nR,\"[\"\"6\"\"]\"\nS,\"[1, 2]\"\n"),
        ["5", "6", "[1, 2]"]
    );
    assert_eq!(answers("f.csv", "question,answer\nQ,nan\nR,\nS,None\n"), ["", "", "None"]);
}

#[test]
fn a_reference_of_another_type_is_never_read_as_none() {
    let turn = "\"prompt\": \"Q\", \"reward_model\": {\"ground_truth\":";
    let list = "\"choices\": [\"a\", \"b\"]";
    for (start, end) in [
        (format!("{{{turn}"), "}}".to_owned()),
        (format!("{{\"question\": \"Q\", \"id\": \"M_1\", {list}, \"answerKey\":"), "}".into()),
        ("{\"question\": \"Q\", \"options\": [\"A)a\", \"B)b\"], \"correct\":".into(), "}".into()),
        ("{\"question\": \"Q Answer Choices: (A) a (B) b\", \"answer\":".into(), "}".into()),
        ("{\"ctx\": \"Q\", \"endings\": [\"a\", \"b\"], \"label\":".into(), "}".into()),
        ("{\"Body\": \"b\", \"Question\": \"q\", \"Answer\":".into(), "}".into()),
        (
            "{\"Body\": \"b\", \"Question\": \"q\", \"Formula\": \"\", \"Answer\":".into(),
            "}".into(),
        ),
        ("{\"problem\": \"Q\", \"answer\":".into(), "}".into()),
    ] {
        for value in ["[1, 2]", "false", "{\"value\": 1}"] {
            let message = refused("f.jsonl", format!("{start}{value}{end}"));
            assert!(message.starts_with("f.jsonl:1: field `"), "{start} {value}: {message}");
        }
    }
    let asdiv = "{\"Body\": \"b\", \"Question\": \"q\", \"Formula\": \"\", \"Answer\": 9}";
    assert_eq!(answers("f.jsonl", asdiv), ["9"]);
}

#[test]
fn options_of_one_column_each_keep_their_numbers() {
    let row =
        "{\"question\": \"Q\", \"option1\": \"red\", \"option2\": \"blue\", \"answer\": \"1\"}";
    let (problems, lines) = read("f.jsonl", row);
    let problem = &problems.unwrap()[0];
    assert_eq!((problem.answer.as_str(), problem.choices[0].text.as_str()), ("1", "red"));
    assert_eq!(problem.choices[0].label, "1");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let gap =
        "{\"question\": \"Q\", \"option_2\": \"red\", \"option_3\": \"blue\", \"answer\": \"2\"}";
    assert!(refused("f.jsonl", gap).contains("field `option_2`: expected nothing"));
}

#[test]
fn tables_may_be_parted_by_tabs_or_semicolons_and_have_an_index() {
    assert_eq!(answers("f.tsv", "question\tanswer\nQ, is it?\t1\n"), ["1"]);
    assert_eq!(answers("f.csv", "question;answer\nQ, is it?;\"1;5\"\n"), ["1;5"]);
    let (problems, lines) = read("f.csv", ",question,answer\n0,Q,1\n1,R,2\n");
    assert_eq!((problems.unwrap().len(), lines.len()), (2, 0));
    let (_, lines) = read("f.csv", "question,answer,\nQ,1,note\n");
    assert!(lines[0].contains("does not read these columns: ``"), "{lines:?}");
    for table in ["question\tanswer\nQ\t1\n", "question;answer\nQ;1\n"] {
        assert_eq!(answers("f.txt", table), ["1"]);
    }
}

#[test]
fn files_of_other_kinds_are_called_what_they_are() {
    let cases: [(&str, &[u8], &str); 7] = [
        ("f.jsonl", b"\x1f\x8b\x08\x00", "f.jsonl: a gzip archive; unpack it with `gunzip`"),
        ("f.jsonl.zst", b"\x28\xb5\x2f\xfd\x00", "a Zstandard archive"),
        ("f.xlsx", b"PK\x03\x04\x00", "a zip archive or spreadsheet"),
        ("f.arrow", b"ARROW1\0\0", "an Arrow file"),
        ("f.arrow", b"\xff\xff\xff\xff\x18\0", "an Arrow file"),
        ("f.jsonl", b"\xff\xfe{\0", "UTF-16 text"),
        ("f.json", b"<!DOCTYPE html><html>404</html>", "a web page, not the file itself"),
    ];
    for (name, content, sign) in cases {
        let message = refused(name, content);
        assert!(message.contains(sign), "{message}");
    }
    let folder = tempfile::tempdir().unwrap();
    let read = read_problem_file(folder.path(), ReadOptions::default(), &mut Notices::default());
    assert!(read.unwrap_err().to_string().contains("a folder; expected a file"));
}

#[test]
fn rows_that_stand_further_inside_are_shown_the_way_out() {
    let row = "{\"question\": \"Q\", \"answer\": 1}";
    for (document, way) in [
        (format!("{{\"version\": 1, \"data\": [{row}]}}"), "jq -c '.data[]' FILE"),
        (format!("{{\"rows\": [{{\"row_idx\": 0, \"row\": {row}}}]}}"), "jq -c '.rows[].row' FILE"),
        (format!("{{\"train\": [{row}], \"test\": [{row}]}}"), "jq -c '.test[]' FILE"),
        (format!("{{\"q1\": {row}, \"q2\": {row}}}"), "jq -c '.[]' FILE"),
        ("{\"question\": {\"0\": \"Q\"}, \"answer\": {\"0\": 1}}".into(), "orient=\"records\""),
        ("{\"query\": \"Q\", \"response\": \"1\"}".into(), "rename the columns"),
    ] {
        let message = refused("f.json", document);
        assert!(message.contains(way), "{message}");
    }
    assert_eq!(answers("f.jsonl", format!("{{\n{}\n{{\n{}", &row[1..], &row[1..])), ["1", "1"]);
}

#[test]
fn objects_and_lists_in_texts_are_read() {
    let csv = "prompt,reward_model\n\
               \"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"Q\"\"}]\",\"{\"\"ground_truth\"\":\"\"5\"\"}\"\n";
    let problem = &read("f.csv", csv).0.unwrap()[0];
    assert_eq!((problem.question.as_str(), problem.answer.as_str()), ("Q", "5"));
    let steps = "{\"question\": \"Q\", \"answer\": 5, \"solution\": [\"Add.\", \"So 5.\"]}";
    let solution = read("f.jsonl", steps).0.unwrap()[0].solution.clone();
    assert_eq!(solution.as_deref(), Some("Add.\nSo 5."));
    let xml = refused("f.xml", "<data><row><question>Q</question></row></data>");
    assert!(xml.starts_with("f.xml:1: field `row`: expected `Problem` elements"), "{xml}");
    assert!(refused("f.jsonl", "{'question': 'Q'}\n").contains("as `json.dumps` writes them"));
    assert!(refused("f.jsonl", "{}\n").contains("the first row has no columns"));
}

#[test]
fn json_of_python_is_refused_with_a_way_out() {
    for (name, start, end) in [("f.jsonl", "", "\n"), ("f.json", "[", "]")] {
        for word in ["NaN", "Infinity", "-Infinity", "None"] {
            let row = format!("{start}{{\"question\": \"Q\", \"answer\": {word}}}{end}");
            let message = refused(name, row);
            assert!(message.contains("is not JSON, write null"), "{message}");
        }
    }
}

#[cfg(feature = "parquet")]
#[test]
fn bytes_of_parquet_are_text_where_they_are_and_floats_keep_their_digits() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/binary.parquet");
    // The second row holds a picture.
    let mut notices = Notices::skipping(1);
    let problems = read_problem_file(&path, ReadOptions::default(), &mut notices).unwrap();
    let found: Vec<_> = problems.iter().map(|p| (p.question.as_str(), p.answer.as_str())).collect();
    assert_eq!(found, [("What is 0.3 − 0.2?", "0.1")]);
    assert!(notices.skipped()[0].to_string().contains("field `image`: expected nothing"));
}
