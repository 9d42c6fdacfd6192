//! Layouts of rows that are odd and that real files have: what each is read as, or how it is refused.

use std::fs;

use regrowth_datasets::{AnswerKind, Notices, Problem, ReadOptions, read_problem_file};

/// The problems of a file and what was noticed, the folder left out.
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

/// What a file is refused with.
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
    // Two ids that one double would stand for.
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
