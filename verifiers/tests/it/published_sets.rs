//! References of the published sets against themselves and their neighbours.

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

/// The same answer in another layout, so that equal text does not decide.
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
    // A number on the other side shows whether the reference parses.
    let unparsed: Vec<&String> = answers
        .iter()
        .filter(|a| matches!(bare(a, "9876543").verdict, Verdict::Undecided(_)))
        .collect();
    eprintln!("{} of {} undecided against a number: {unparsed:#?}", unparsed.len(), answers.len());
    assert!(unparsed.len() * 100 <= answers.len());
    let numbers: Vec<&String> = answers.iter().filter(|a| a.parse::<f64>().is_ok()).collect();
    assert!(numbers.iter().all(|a| bare(a, &relaid(a)).verdict == Verdict::Equal));
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn neighbouring_references_differ() {
    let answers = math_references();
    let grader = Grader::default();
    let mut undecided = Vec::new();
    let mut equal = Vec::new();
    for (k, gold) in answers.iter().enumerate() {
        for step in 1..40 {
            let answer = &answers[(k + step * 7) % answers.len()];
            if gold == answer {
                continue;
            }
            let pair = Pair { answer_form: Form::Answer, ..Pair::new(gold, answer) };
            match grader.grade(&pair).verdict {
                Verdict::Equal => equal.push((gold, answer)),
                Verdict::Undecided(why) => undecided.push((gold, answer, why)),
                Verdict::Different => {}
            }
        }
    }
    equal.sort();
    equal.dedup();
    eprintln!("equal: {equal:#?}");
    eprintln!("{} undecided of {}", undecided.len(), answers.len() * 39);
    for item in undecided.iter().step_by(undecided.len() / 60 + 1) {
        eprintln!("{item:?}");
    }
    assert!(undecided.len() * 50 <= answers.len() * 39);
}
