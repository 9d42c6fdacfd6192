//! Recorded model outputs with published correctness flags. All verdicts agree with the flags; a new
//! disagreement is printed with the end of its output.

use crate::published::published;
use regrowth_verifiers::{Grader, Pair, Verdict};
use serde_json::Value;

/// A published solution with its flag.
struct Flagged {
    name: String,
    gold: String,
    text: String,
    flag: bool,
}

fn rows(file: &str) -> Vec<Value> {
    let path = published(&format!("model_outputs/{file}"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn gsm8k_solutions() -> Vec<Flagged> {
    let models = ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"];
    let mut all = Vec::new();
    for (line, row) in rows("gsm8k_example_model_solutions_first300.jsonl").iter().enumerate() {
        let gold = string(&row["ground_truth"]).rsplit("A: ").next().unwrap_or_default().to_owned();
        for model in models {
            all.push(Flagged {
                name: format!("line {} {model}", line + 1),
                gold: gold.clone(),
                text: string(&row[model]["solution"]),
                flag: row[model]["is_correct"].as_bool().unwrap(),
            });
        }
    }
    all
}

fn math_samples() -> Vec<Flagged> {
    let mut all = Vec::new();
    for (line, row) in rows("math_cot_8samples.jsonl").iter().enumerate() {
        for (k, text) in row["code"].as_array().unwrap().iter().enumerate() {
            all.push(Flagged {
                name: format!("line {} sample {}", line + 1, k + 1),
                gold: string(&row["gt"]),
                text: string(text),
                flag: row["score"][k].as_bool().unwrap(),
            });
        }
    }
    all
}

/// Solutions whose verdict differs from their flag.
fn disagreements(solutions: &[Flagged]) -> Vec<String> {
    let differs = |s: &&Flagged| {
        let verdict = Grader::default().grade(&Pair::new(&s.gold, &s.text)).verdict;
        (verdict == Verdict::Equal) != s.flag
    };
    let told = |s: &Flagged| {
        let end: String = s.text.chars().rev().take(120).collect();
        let end: String = end.chars().rev().collect();
        format!("{} gold {:?} flag {} end {end:?}", s.name, s.gold, s.flag)
    };
    solutions.iter().filter(differs).map(told).collect()
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn verdicts_agree_with_published_flags() {
    for (solutions, count) in [(gsm8k_solutions(), 1200), (math_samples(), 320)] {
        assert_eq!(solutions.len(), count);
        let found = disagreements(&solutions);
        eprintln!("{} of {} disagree", found.len(), solutions.len());
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn program_outputs_are_read() {
    let rows = rows("gsm8k_tora_first300.jsonl");
    let mut differ = Vec::new();
    for (line, row) in rows.iter().enumerate() {
        let (gold, text, pred) =
            (string(&row["gt"]), string(&row["code"][0]), string(&row["pred"][0]));
        let ours = Grader::default().grade(&Pair::new(&gold, &text)).verdict == Verdict::Equal;
        let value = |text: &str| text.replace(',', "").parse::<f64>().ok();
        let theirs = value(&gold).is_some() && value(&gold) == value(&pred);
        if ours != theirs {
            differ.push(format!("line {} gold {gold} pred {pred} ours {ours}", line + 1));
        }
    }
    assert_eq!(rows.len(), 300);
    eprintln!("{} of {} differ", differ.len(), rows.len());
    assert!(differ.is_empty(), "{differ:#?}");
}
