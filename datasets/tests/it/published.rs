//! Reads a full copy of the published sets and checks that the number of problems is right, that every
//! reference answer is read and that every id is unique. These tests are ignored by default;
//! `benches/scripts/outside_data.sh FOLDER` runs them on a copy of the sets. The samples in `samples/` are
//! always tested, in `samples.rs` and `layouts.rs`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use regrowth_datasets::{
    AnswerKind, Format, Notices, Problem, ReadOptions, Split, overlap, read_problem_file,
    read_problems, split_of,
};

/// Path of a published file in the folder that the environment variable holds.
fn published(name: &str) -> PathBuf {
    let folder = std::env::var_os("REGROWTH_DATA")
        .expect("REGROWTH_DATA names the folder: run benches/scripts/outside_data.sh FOLDER");
    PathBuf::from(folder).join(name)
}

fn read(name: &str) -> Vec<Problem> {
    read_problems(&published(name), None).unwrap_or_else(|e| panic!("{e}"))
}

/// Name, format and number of problems of every file.
const FILES: [(&str, &str, usize); 34] = [
    ("gsm8k/train.jsonl", "gsm8k", 7473),
    ("gsm8k/test_first300.jsonl", "gsm8k", 300),
    ("gsm8k/test_socratic_first300.jsonl", "gsm8k", 300),
    ("math/train/algebra.jsonl", "math", 465),
    ("math/test/algebra.jsonl", "math", 24),
    ("math/train/counting_and_probability.jsonl", "math", 206),
    ("math/test/counting_and_probability.jsonl", "math", 10),
    ("math/train/geometry.jsonl", "math", 232),
    ("math/test/geometry.jsonl", "math", 10),
    ("math/train/intermediate_algebra.jsonl", "math", 345),
    ("math/test/intermediate_algebra.jsonl", "math", 17),
    ("math/train/number_theory.jsonl", "math", 232),
    ("math/test/number_theory.jsonl", "math", 11),
    ("math/train/prealgebra.jsonl", "math", 321),
    ("math/test/prealgebra.jsonl", "math", 18),
    ("math/train/precalculus.jsonl", "math", 199),
    ("math/test/precalculus.jsonl", "math", 10),
    ("arc/ARC-Challenge-Train.jsonl", "arc", 1119),
    ("arc/ARC-Challenge-Dev.jsonl", "arc", 299),
    ("arc/ARC-Easy-Train.jsonl", "arc", 2251),
    ("arc/ARC-Easy-Dev.jsonl", "arc", 570),
    ("openbookqa/train.jsonl", "openbookqa", 4957),
    ("openbookqa/dev.jsonl", "openbookqa", 500),
    ("sciq/valid.json", "sciq", 1000),
    ("commonsenseqa/train_rand_split.jsonl", "commonsenseqa", 9741),
    ("ai2_science/8thGr-NDMC-Train.csv", "ai2", 272),
    ("ai2_science/8thGr-NDMC-Dev.csv", "ai2", 35),
    ("ai2_science/Elementary-NDMC-Train.csv", "ai2", 426),
    ("ai2_science/Elementary-NDMC-Dev.csv", "ai2", 84),
    ("svamp/SVAMP.json", "svamp", 1000),
    ("asdiv/ASDiv.xml", "asdiv", 2305),
    ("multiarith/MultiArith.json", "mawps", 600),
    ("aqua/dev.json", "aqua", 254),
    ("science_mcq/mcq_sqa_train.jsonl", "science_mcq", 9551),
];

/// Checks that hold for every problem of every set.
fn check(name: &str, problems: &[Problem]) {
    let ids: BTreeSet<&str> = problems.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(ids.len(), problems.len(), "{name}: repeated ids");
    for p in problems {
        assert!(!p.question.trim().is_empty() && !p.answer.trim().is_empty(), "{name}: {}", p.id);
        match p.kind {
            AnswerKind::Number => assert!(p.answer.parse::<f64>().is_ok(), "{name}: {p:?}"),
            AnswerKind::Choice => {
                let right = p.choices.iter().filter(|c| c.label == p.answer).count();
                assert_eq!(right, 1, "{name}: {p:?}");
                assert!(p.choices.len() >= 3, "{name}: {p:?}");
                assert!(p.choices.iter().all(|c| !c.text.is_empty()), "{name}: {p:?}");
            }
            _ => {}
        }
    }
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn every_file_is_told_by_its_content_and_read_whole() {
    for (name, source, count) in FILES {
        let problems = read(name);
        check(name, &problems);
        assert_eq!(problems.len(), count, "{name}");
        assert_eq!(problems[0].source, source, "{name}");
    }
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn options_inside_questions_are_those_that_the_file_names() {
    // The file repeats the text of the right option: an independent check of the parsed options.
    let path = published("science_mcq/mcq_sqa_train.jsonl");
    let problems = read_problems(&path, Some(Format::ScienceMcq)).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    for (problem, line) in problems.iter().zip(text.lines()) {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let right = problem.choices.iter().find(|c| c.label == problem.answer).unwrap();
        assert_eq!(right.text, row["answer_content"].as_str().unwrap().trim(), "{line}");
    }
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn references_of_known_problems() {
    let problems = read("gsm8k/train.jsonl");
    assert_eq!(problems[0].answer, "72");
    assert!(problems[0].solution.as_ref().unwrap().ends_with("in April and May."));
    assert!(problems.iter().any(|p| p.answer == "109200000"));
    let problems = read("asdiv/ASDiv.xml");
    let count = |kind: &AnswerKind| problems.iter().filter(|p| p.kind == *kind).count();
    // Counted with another program: 2084 numbers, 90 lists and 9 fractions, 122 other texts.
    let kinds = [AnswerKind::Number, AnswerKind::Math, AnswerKind::Text];
    assert_eq!(kinds.map(|kind| count(&kind)), [2084, 99, 122]);
    // Two rows occur twice in the published file.
    let problems = read("ai2_science/Elementary-NDMC-Train.csv");
    assert_eq!(problems.iter().filter(|p| p.id.ends_with("#2")).count(), 2);
    let at_a = read("sciq/valid.json").iter().filter(|p| p.answer == "A").count();
    assert!((200..300).contains(&at_a), "{at_a}");
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn the_same_problem_is_found_across_formats_and_never_in_two_parts() {
    let arc = read("arc/ARC-Easy-Train.jsonl");
    let mixture = read("science_mcq/mcq_sqa_train.jsonl");
    let shared = overlap(&arc, &mixture);
    assert!(shared.len() > 1000, "{}", shared.len());
    let test: Vec<Problem> = arc.iter().filter(|p| split_of(p) == Split::Test).cloned().collect();
    let train: Vec<Problem> = mixture.into_iter().filter(|p| split_of(p) == Split::Train).collect();
    assert_eq!(overlap(&test, &train), Vec::<usize>::new());
    let [plain, socratic] =
        ["gsm8k/test_first300.jsonl", "gsm8k/test_socratic_first300.jsonl"].map(read);
    assert_eq!(overlap(&plain, &socratic).len(), 300);
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn no_column_of_a_published_file_is_unknown() {
    for (name, ..) in FILES {
        let mut notices = Notices::default();
        read_problem_file(&published(name), ReadOptions::default(), &mut notices).unwrap();
        let lines = notices.lines();
        let unread = lines.iter().find(|line| line.contains("does not read"));
        assert_eq!(unread, None, "{name}");
    }
    // Its parts overlap, with different labels.
    let mut notices = Notices::default();
    let mixture = published("science_mcq/mcq_sqa_train.jsonl");
    read_problem_file(&mixture, ReadOptions::default(), &mut notices).unwrap();
    assert!(notices.lines().iter().any(|line| line.contains("another reference")));
}
