//! The development set of answer cases.

use std::collections::BTreeMap;

use crate::published::published;
use regrowth_verifiers::{ChoiceOption, Form, Grader, Pair, Verdict};
use serde_json::Value;

fn form(row: &Value, field: &str) -> Form {
    if row[field] == "answer" { Form::Answer } else { Form::Text }
}

fn verdict(row: &Value) -> (Verdict, &'static str) {
    let text = |field: &str| row[field].as_str().unwrap_or_default();
    let labels: Vec<&str> = row["choices"]
        .as_array()
        .map(|a| a.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let options: Vec<ChoiceOption<'_>> = labels
        .iter()
        .map(|label| ChoiceOption { label, text: row["options"][label].as_str().unwrap_or("") })
        .collect();
    let graded = Grader::default().grade(&Pair {
        gold: text("gold"),
        answer: text("pred"),
        gold_form: form(row, "gold_form"),
        answer_form: form(row, "form"),
        options: &options,
    });
    (graded.verdict, graded.rule.name())
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn core_tier_is_right() {
    let text = std::fs::read_to_string(published("verifier_cases/dev.jsonl")).unwrap();
    let mut tally: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (verdict, rule) = verdict(&row);
        let expected = row["expect"].as_bool().unwrap();
        let kind = match (&verdict, expected) {
            (Verdict::Equal, true) | (Verdict::Different, false) => "right",
            (Verdict::Undecided(_), false) => "undecided, rejected",
            (Verdict::Undecided(_), true) => "undecided, should be equal",
            (Verdict::Equal, false) => "wrong accept",
            (Verdict::Different, true) => "wrong reject",
        };
        let tier = row["tier"].as_str().unwrap().to_owned();
        if kind != "right" {
            let tail = |f: &str| {
                let s = row[f].as_str().unwrap_or_default();
                let at = s.char_indices().rev().nth(150).map_or(0, |(i, _)| i);
                format!("{:?}", &s[at..])
            };
            eprintln!(
                "{number} {tier} {kind} by {rule} {verdict:?}\n   gold {}\n   pred {}",
                tail("gold"),
                tail("pred")
            );
        }
        *tally.entry((tier, kind)).or_default() += 1;
    }
    eprintln!("{tally:#?}");
    let core = tally.iter().filter(|((tier, _), _)| tier == "core");
    let core: Vec<_> = core.map(|((_, kind), count)| (*kind, *count)).collect();
    assert_eq!(core, [("right", 393)]);
}
