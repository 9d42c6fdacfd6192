//! Every published layout in its current form on the Hugging Face hub: a row or two of our own in JSON
//! lines and in Parquet (`samples/hub/make.py` writes both). Both must give the same problems without a
//! warning.

use std::path::{Path, PathBuf};

use regrowth_datasets::{Notices, Problem, ReadOptions, read_problem_file};

/// Name of the file, source of its problems, and the reference of each problem; for multiple choice the
/// text of the right option, empty if the row has none.
const LAYOUTS: [(&str, &str, &[&str]); 25] = [
    ("gsm8k", "gsm8k", &["9"]),
    ("math", "math", &["\\frac{3}{4}"]),
    ("math500", "math", &["\\frac{7}{2}"]),
    ("arc", "arc", &["sedimentary", "Mercury"]),
    ("openbookqa", "openbookqa", &["light"]),
    ("commonsenseqa", "commonsenseqa", &["fridge", ""]),
    ("sciq", "sciq", &["iron"]),
    ("aqua", "aqua", &["90"]),
    ("mmlu", "mmlu", &["3", "carbon dioxide"]),
    ("mmlu_pro", "mmlu_pro", &["30"]),
    ("medqa", "medqa", &["Vitamin D"]),
    ("gpqa", "gpqa", &["gravity"]),
    ("aime_capital", "math", &["211"]),
    ("aime", "math", &["289"]),
    ("numinamath", "math", &["3"]),
    ("svamp", "svamp", &["5"]),
    ("asdiv", "asdiv", &["12"]),
    ("mawps", "mawps", &["15.5"]),
    ("multiarith", "generic", &["24"]),
    ("hellaswag", "hellaswag", &["lets it rise."]),
    ("piqa", "piqa", &["stuff them with paper.", ""]),
    ("truthfulqa", "truthfulqa", &["Blue"]),
    ("olympiadbench", "olympiadbench", &["3"]),
    ("dapo", "verl", &["36"]),
    // Not from the hub: options in columns of their own.
    ("../columns", "generic", &["carbon dioxide"]),
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/hub").join(name)
}

fn read(name: &str) -> (Vec<Problem>, Vec<String>) {
    let mut notices = Notices::default();
    let problems = read_problem_file(&path(name), ReadOptions::default(), &mut notices)
        .unwrap_or_else(|error| panic!("{error}"));
    (problems, notices.lines())
}

fn reference(problem: &Problem) -> &str {
    let right = problem.choices.iter().find(|choice| choice.label == problem.answer);
    right.map_or(&problem.answer, |choice| &choice.text)
}

#[test]
fn every_layout_reads_to_its_reference_without_a_warning() {
    for (name, source, references) in LAYOUTS {
        let (problems, warnings) = read(&format!("{name}.jsonl"));
        // MMLU's positions could be mistaken for its options, which are numbers, so a notice states how
        // they were read.
        let expected = usize::from(name == "mmlu");
        assert_eq!(warnings.len(), expected, "{name}: {warnings:?}");
        assert!(problems.iter().all(|p| p.source == source), "{name}");
        let found: Vec<&str> = problems.iter().map(reference).collect();
        assert_eq!(found, references, "{name}");
    }
}

#[cfg(feature = "parquet")]
#[test]
fn parquet_reads_to_the_same_problems() {
    for (name, ..) in LAYOUTS.iter().filter(|(name, ..)| !name.starts_with("..")) {
        let (problems, _) = read(&format!("{name}.jsonl"));
        assert_eq!(read(&format!("{name}.parquet")).0, problems, "{name}");
    }
}

#[test]
fn labels_questions_and_ids_are_those_of_the_set() {
    let first = |name: &str| read(&format!("{name}.jsonl")).0.remove(0);
    assert_eq!(first("arc").answer, "2");
    assert_eq!(first("mmlu").answer, "C");
    assert_eq!((first("mmlu_pro").answer.as_str(), first("mmlu_pro").id.as_str()), ("I", "70"));
    assert_eq!(first("medqa").choices.len(), 4);
    assert_eq!(first("dapo").question, "Find the sum of $1$ to $8$.");
    assert!(first("mawps").question.starts_with("Tom has 12 marbles and buys 3.5 more"));
    assert!(first("hellaswag").question.starts_with("Baking bread: A baker kneads"));
    assert!(first("olympiadbench").question.starts_with("A ball rolls at 1 m/s"));
    assert_eq!(first("gpqa").id, "recOwn1");
    assert_eq!(first("math500").level, Some(2));
}
