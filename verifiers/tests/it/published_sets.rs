//! Compares references of the published sets with themselves and with their neighbours.

use std::collections::BTreeSet;

use crate::published::published;
use regrowth_verifiers::{Form, Grader, Pair, Verdict, extract};
use serde_json::Value;

/// Answers of the MATH training solutions, in file order.
fn math_references() -> Vec<String> {
    let folder = published("math/train");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let mut answers = Vec::new();
    for file in files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            answers.push(extract(row["solution"].as_str().unwrap()).text.into_owned());
        }
    }
    answers
}

/// The same answer in another layout, so that equality of the texts does not decide.
fn relaid(answer: &str) -> String {
    format!("{} + 0", answer.replace("\\frac", "\\dfrac"))
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn math_references_parse() {
    let answers = math_references();
    let grader = Grader::default();
    let bare = |gold: &str, answer: &str| {
        let pair = Pair { answer_form: Form::Answer, ..Pair::new(gold, answer) };
        grader.grade(&pair)
    };
    // Comparing with an unrelated number shows whether the reference parses.
    let unparsed: Vec<&String> = answers
        .iter()
        .filter(|a| matches!(bare(a, "9876543").verdict, Verdict::Undecided(_)))
        .collect();
    eprintln!("{} of {} undecided against a number: {unparsed:#?}", unparsed.len(), answers.len());
    assert_eq!(answers.len(), 2000);
    assert!(unparsed.is_empty());
    let numbers: Vec<&String> = answers.iter().filter(|a| a.parse::<f64>().is_ok()).collect();
    assert!(numbers.len() > 1000, "{}", numbers.len());
    assert!(numbers.iter().all(|a| bare(a, &relaid(a)).verdict == Verdict::Equal));
}

/// Neighbouring references with the same value: another notation, a unit, a name, or a base.
const SAME: [[&str; 2]; 27] = [
    ["-4", "b = -4"],
    ["0.56 = 56\\%", "56"],
    ["1", "1_7"],
    ["10", "10.00"],
    ["10", "10\\%"],
    ["2", "2 \\text{ euros}"],
    ["2", "x = 2"],
    ["3", "3:1"],
    ["3", "q = 3"],
    ["32", "32 \\%"],
    ["4", "\\mbox{four}"],
    ["40", "40\\text{ min}"],
    ["48", "48.0"],
    ["5", "\\$ 5"],
    ["6", "6\\%"],
    ["6", "k=6"],
    ["60", "60\\text{ inches}"],
    ["60", "60^\\circ"],
    ["7", "7\\text{ hours}."],
    ["9", "9\\text{ values}"],
    ["9", "9^\\circ"],
    ["\\frac 13", "\\frac{1}{3}"],
    ["\\frac13", "\\frac{1}{3}"],
    ["\\frac{3}{2}", "\\tfrac32"],
    ["\\frac{3}{2}", "x = \\frac{3}{2}"],
    ["\\frac{5}{2}", "2.5"],
    ["\\text{(C)}", "\\text{C}"],
];

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn neighbouring_references_differ() {
    let answers = math_references();
    let grader = Grader::default();
    let mut undecided = Vec::new();
    let mut equal = BTreeSet::new();
    for (k, gold) in answers.iter().enumerate() {
        for step in 1..40 {
            let answer = &answers[(k + step * 7) % answers.len()];
            if gold == answer {
                continue;
            }
            let pair = Pair { answer_form: Form::Answer, ..Pair::new(gold, answer) };
            match grader.grade(&pair).verdict {
                Verdict::Equal => drop(equal.insert([gold.min(answer), gold.max(answer)])),
                Verdict::Undecided(why) => undecided.push((gold, answer, why)),
                Verdict::Different => {}
            }
        }
    }
    let known: BTreeSet<_> = SAME.map(|[a, b]| [a.min(b), a.max(b)]).into();
    let equal: BTreeSet<_> = equal.into_iter().map(|pair| pair.map(String::as_str)).collect();
    assert_eq!(equal, known);
    assert!(undecided.is_empty(), "{undecided:#?}");
}
