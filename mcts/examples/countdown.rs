//! Search as a library, without a model: reach 26 with 3, 5 and 7, each used at most once.

use regrowth_datasets::{AnswerKind, Problem};
use regrowth_mcts::{PairConfig, RunOptions, Search, SearchConfig, extract_pairs};
use regrowth_policy::Scripted;
use regrowth_verifiers::ProblemVerifier;

/// The policy's candidate steps, and its self-evaluation of each.
const SCRIPT: &str = r#"{"entries": [
  {"candidates": [{"text": "7 - 3 = 4.\n", "correct": 0.6}, {"text": "3 * 7 = 21.\n", "correct": 0.5}]},
  {"after": "3 * 7 = 21.\n", "candidates": [
    {"text": "The answer is 3 * 7 + 5.\n", "end": true, "correct": 0.9},
    {"text": "The answer is 3 * 7 - 5.\n", "end": true, "correct": 0.4}]},
  {"after": "7 - 3 = 4.\n", "candidates": [
    {"text": "The answer is (7 - 3) * 5.\n", "end": true, "correct": 0.5},
    {"text": "The answer is 7 - 3 + 5.\n", "end": true, "correct": 0.3}]}]}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let problem = Problem {
        id: "26 from 3, 5, 7".to_owned(),
        source: "example".to_owned(),
        question: "Use the numbers 3, 5 and 7, each at most once, to make 26.".to_owned(),
        choices: Vec::new(),
        answer: "26".to_owned(),
        kind: AnswerKind::Countdown { numbers: vec![3, 5, 7], target: 26 },
        solution: None,
        level: None,
    };
    let (policy, config) = (Scripted::from_json(SCRIPT)?, SearchConfig::default());
    let (problems, options) = ([problem], RunOptions::default());
    Search::new(&policy, &ProblemVerifier, &config).options(&options).run(&problems, |tree| {
        println!("{}: {}", if tree.correct { "found" } else { "missed" }, tree.solution());
        for pair in extract_pairs(&tree, &PairConfig::default()).pairs {
            println!("better {:?} than {:?}: {:+.2}", pair.chosen, pair.rejected, pair.margin);
        }
    })?;
    Ok(())
}
