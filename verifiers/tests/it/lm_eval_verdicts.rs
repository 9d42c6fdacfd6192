//! Verdicts of lm-eval's MATH tasks on recorded outputs, written by `benches/peers/lm_eval_math.py`.

use std::collections::BTreeMap;

use regrowth_verifiers::lm_eval;
use serde_json::Value;

/// Minimum number of outputs of either verdict; a comparison in which all outputs are wrong would show
/// nothing.
const FEWEST: usize = 100;

#[derive(Debug, Default)]
struct Counts {
    right: usize,
    wrong: usize,
    /// Outputs for which SymPy's verdict depends on more than the formulas, by the reason.
    unfollowed: BTreeMap<String, usize>,
    differ: usize,
}

#[test]
#[ignore = "needs the rows that benches/peers/lm_eval_math.py writes, which runs it"]
fn verdicts_are_those_of_the_harness() {
    let path = std::env::var_os("REGROWTH_LM_EVAL_ROWS")
        .expect("REGROWTH_LM_EVAL_ROWS names the rows: run benches/peers/lm_eval_math.py");
    let mut counts = BTreeMap::<String, Counts>::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| row[field].as_str().unwrap();
        let verdict = match text("task") {
            "minerva_math" => lm_eval::minerva_math(text("solution"), text("output")),
            "hendrycks_math" => lm_eval::hendrycks_math(text("solution"), text("output")),
            other => panic!("{other} is no task"),
        };
        let count = counts.entry(text("task").to_owned()).or_default();
        if let Some(reason) = row["unfollowed"].as_str() {
            *count.unfollowed.entry(reason.to_owned()).or_default() += 1;
            continue;
        }
        let theirs = row["verdict"].as_bool().unwrap();
        *(if theirs { &mut count.right } else { &mut count.wrong }) += 1;
        if verdict != theirs {
            count.differ += 1;
            let tail = |text: &str| {
                text.chars().skip(text.chars().count().saturating_sub(300)).collect::<String>()
            };
            eprintln!(
                "{} {}: harness {theirs}, {:?}, {:?}",
                text("task"),
                text("from"),
                tail(text("solution")),
                tail(text("output"))
            );
        }
    }
    eprintln!("{counts:#?}");
    assert_eq!(counts.len(), 2);
    assert!(counts.values().all(|c| c.right >= FEWEST && c.wrong >= FEWEST && c.differ == 0));
}
