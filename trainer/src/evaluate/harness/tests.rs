use std::sync::atomic::AtomicBool;

use regrowth_policy::Scripted;
use serde_json::{Value, json};

use super::*;

fn file(rows: &[Value]) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".jsonl").tempfile().unwrap();
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn gsm8k(range: std::ops::Range<usize>) -> tempfile::NamedTempFile {
    let row = |n| json!({ "question": format!("What is {n}?"), "answer": format!("It is {n}.\n#### {n}") });
    file(&range.map(row).collect::<Vec<_>>())
}

fn read(
    task: &str,
    items: &Path,
    examples: Option<&Path>,
    shots: usize,
) -> Result<Harness, String> {
    let files = HarnessFiles { items, examples };
    Harness::read(task.parse().unwrap(), files, shots, usize::MAX).map_err(|e| e.to_string())
}

#[test]
fn worked_examples_are_those_that_the_harness_draws() {
    // From lm-eval: `r = random.Random(1234); r.sample(range(7473), 5)` for each item in turn.
    let (items, train) = (gsm8k(0..2), gsm8k(0..7473));
    let harness = read("gsm8k", items.path(), Some(train.path()), 5).unwrap();
    for (item, places) in [(0, [6374, 3610, 957, 61, 742]), (1, [7462, 6610, 4769, 286, 5501])] {
        let example = |n: &i32| format!("Question: What is {n}?\nAnswer: It is {n}.\n#### {n}\n\n");
        let before: String = places.iter().map(example).collect();
        assert_eq!(harness.prompts()[item], format!("{before}Question: What is {item}?\nAnswer:"));
    }
}

#[test]
fn tasks_with_their_own_examples_show_the_first() {
    let items = gsm8k(3..4);
    let harness = read("gsm8k_cot", items.path(), None, 8).unwrap();
    let prompt = &harness.prompts()[0];
    assert!(prompt.starts_with("Q: There are 15 trees in the grove."), "{prompt}");
    assert!(prompt.ends_with("15 is 8. The answer is 8.\n\nQ: What is 3?\nA:"), "{prompt}");
    let items = file(&[json!({ "problem": "P", "solution": "\\boxed{1}" })]);
    let harness = read("minerva_math_algebra", items.path(), None, 4).unwrap();
    let prompt = &harness.prompts()[0];
    assert!(prompt.starts_with("Problem:\nFind the domain of the expression"), "{prompt}");
    assert!(prompt.ends_with("I hope it is correct.\n\nProblem:\nP\n\nSolution:"), "{prompt}");
}

#[test]
fn a_file_for_the_examples_is_asked_for_and_must_hold_enough() {
    let (items, few) = (gsm8k(0..2), gsm8k(0..3));
    let error = read("gsm8k", items.path(), None, 5).unwrap_err();
    assert!(error.contains("shots-from") && error.contains("--shots 0"), "{error}");
    let error = read("gsm8k", items.path(), Some(few.path()), 5).unwrap_err();
    assert!(error.contains("is 5") && error.contains("only 3"), "{error}");
    assert!(read("gsm8k", items.path(), None, 0).is_ok());
}

#[test]
fn every_item_is_scored_once_for_each_filter() {
    let items = gsm8k(0..70);
    let harness = read("gsm8k", items.path(), None, 0).unwrap();
    let (policy, cancel) = (Scripted::new(), AtomicBool::new(false));
    let mut seen = 0;
    let result = harness.measure(&policy, &cancel, &mut |_| seen += 1).unwrap();
    assert_eq!((seen, result.samples.len()), (70, 140));
    let names: Vec<_> = result.metrics.iter().map(|(name, share)| (*name, share.n)).collect();
    assert_eq!(names, [("exact_match,strict-match", 70), ("exact_match,flexible-extract", 70)]);
    let ids: Vec<_> = result.samples.iter().map(|row| row["doc_id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted());

    let options = json!({ "text": ["a b", "c d e", "f"], "label": ["A", "B", "C"] });
    let row = json!({ "question": "Which?", "choices": options, "answerKey": "B" });
    let items = file(&vec![row; 9]);
    let harness = read("arc_challenge", items.path(), None, 0).unwrap();
    let result = harness.measure(&policy, &cancel, &mut |_| {}).unwrap();
    assert_eq!(result.samples.len(), 9);
    assert_eq!(result.samples[8]["filtered_resps"].as_array().unwrap().len(), 3);
    assert_eq!(result.samples[8]["target"], 1);

    cancel.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(harness.measure(&policy, &cancel, &mut |_| {}), Err(TrainError::Interrupted)));
}
