//! The format of every sample file is detected, and the answers are those that a person would give.

use std::path::{Path, PathBuf};

use regrowth_datasets::{AnswerKind, Format, Problem, read_problems};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name)
}

fn read(name: &str) -> Vec<Problem> {
    read_problems(&sample(name), None).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn formats_and_answers() {
    let cases: [(&str, Format, &[&str]); 22] = [
        ("gsm8k.jsonl", Format::Gsm8k, &["72", "10", "5"]),
        ("gsm8k_socratic.jsonl", Format::Gsm8k, &["26"]),
        ("math.jsonl", Format::Math, &["4", "45", "\\frac{8}{16575}"]),
        ("math_single.json", Format::Math, &["4"]),
        ("math_answer.jsonl", Format::Math, &["\\frac{3}{2}"]),
        ("arc.jsonl", Format::Arc, &["B", "1"]),
        ("arc_hub.jsonl", Format::Arc, &["B"]),
        ("openbookqa.jsonl", Format::OpenBookQa, &["A"]),
        ("openbookqa_hub.jsonl", Format::OpenBookQa, &["A"]),
        ("commonsenseqa.jsonl", Format::CommonsenseQa, &["C"]),
        ("commonsenseqa_hub.jsonl", Format::CommonsenseQa, &["C"]),
        ("aqua.json", Format::Aqua, &["A", "D"]),
        ("svamp.json", Format::Svamp, &["51", "1"]),
        ("mawps.json", Format::Mawps, &["40", "7.5"]),
        ("asdiv.xml", Format::Asdiv, &["8", "4, 8", "Ann"]),
        ("ai2.csv", Format::Ai2, &["B", "A"]),
        ("science_mcq.jsonl", Format::ScienceMcq, &["A", "2"]),
        ("generic.jsonl", Format::Generic, &["42", "Paris", "2x + 1", "B", "B"]),
        ("generic.csv", Format::Generic, &["42", "B"]),
        ("sciq.json", Format::SciQ, &["", ""]),
        ("gsm8k.parquet", Format::Gsm8k, &["72", "10", "5"]),
        ("arc_hub.parquet", Format::Arc, &["B"]),
    ];
    for (name, format, answers) in cases {
        if name.ends_with(".parquet") && cfg!(not(feature = "parquet")) {
            let message = read_problems(&sample(name), None).unwrap_err().to_string();
            assert!(message.contains("--features parquet"), "{message}");
            continue;
        }
        let problems = read(name);
        assert!(problems.iter().all(|p| p.source == format.name()), "{name}");
        assert_eq!(problems, read_problems(&sample(name), Some(format)).unwrap(), "{name}");
        assert_eq!(problems.len(), answers.len(), "{name}");
        for (problem, answer) in problems.iter().zip(answers) {
            assert!(answer.is_empty() || problem.answer == *answer, "{name}: {problem:?}");
        }
    }
}

#[test]
fn the_order_of_sciq_options_keeps_the_right_one() {
    for (problem, right) in read("sciq.json").iter().zip(["carbon dioxide", "atom"]) {
        let labels: String = problem.choices.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(labels, "ABCD");
        let chosen = problem.choices.iter().find(|c| c.label == problem.answer).unwrap();
        assert_eq!(chosen.text, right);
    }
}

#[test]
fn ids_are_those_of_the_file_or_its_places() {
    let ids = |name: &str| read(name).into_iter().map(|p| p.id).collect::<Vec<_>>();
    assert_eq!(ids("gsm8k.jsonl"), ["gsm8k/1", "gsm8k/2", "gsm8k/3"]);
    assert_eq!(ids("arc.jsonl"), ["OWN_2026_5_1", "OWN_2026_5_2"]);
    assert_eq!(ids("svamp.json"), ["chal-1", "chal-2"]);
    assert_eq!(ids("mawps.json"), ["0", "1"]);
    assert_eq!(ids("generic.jsonl")[..2], ["generic/1", "capital"]);
}

#[test]
fn questions_options_and_solutions_are_parted() {
    let ai2 = read("ai2.csv");
    assert_eq!(ai2[1].question, "Which unit measures force?");
    assert_eq!(ai2[1].choices[0].text, "the newton (N)");
    assert_eq!(read("science_mcq.jsonl")[0].question, "A magnet pulls");
    assert_eq!(read("aqua.json")[0].choices[0].text, "32400");
    let asdiv = read("asdiv.xml");
    assert!(asdiv[2].question.starts_with("Ann & Ben ran. "), "{}", asdiv[2].question);
    let kinds: Vec<_> = asdiv.iter().map(|p| p.kind.clone()).collect();
    assert_eq!(kinds, [AnswerKind::Number, AnswerKind::Math, AnswerKind::Text]);
    let gsm8k = read("gsm8k.jsonl");
    assert_eq!(gsm8k[0].solution.as_ref().unwrap().lines().count(), 2);
    assert_eq!(read("math.jsonl")[0].level, Some(2));
}

#[test]
fn released_and_hub_files_hold_the_same_problems() {
    assert_eq!(read("arc.jsonl")[0], read("arc_hub.jsonl")[0]);
    assert_eq!(read("openbookqa.jsonl"), read("openbookqa_hub.jsonl"));
    assert_eq!(read("commonsenseqa.jsonl"), read("commonsenseqa_hub.jsonl"));
    if cfg!(feature = "parquet") {
        for (name, parquet) in [
            ("gsm8k.jsonl", "gsm8k.parquet"),
            ("math.jsonl", "math.parquet"),
            ("arc_hub.jsonl", "arc_hub.parquet"),
        ] {
            assert_eq!(read(name), read(parquet), "{name}");
        }
    }
}
