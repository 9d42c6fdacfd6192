//! The verifier commands under `examples/verifiers`, run as described in `docs/judges.md`. They need Python,
//! which a build does not; `.ci/run` runs those that the machine supports.

use std::time::Duration;

use regrowth_datasets::{AnswerKind, Finish, Problem};
use regrowth_mcts::config::VerifierConfig;
use regrowth_verifiers::{About, Claim, Finding};

fn claim(solution: &str) -> Claim<'_> {
    let (about, finish) = (About::Solution, Finish::Eos);
    Claim { about, solution, step: "", finish, reference: true }
}

/// Python as found by the shell that runs a command; the variable `PYTHON` sets another one.
const PYTHON: &str = "${PYTHON:-python3}";

fn check(script: &str, answer: &str, solutions: &[&str]) -> Vec<Finding> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/verifiers");
    let command = Some(format!("exec {PYTHON} {folder}/{script}"));
    let config = VerifierConfig { command, timeout: 120, ..VerifierConfig::default() };
    let verifier = config.start(None, |_| {}).expect("starts");
    let problem = Problem {
        id: "p".into(),
        source: "test".into(),
        question: "?".into(),
        choices: Vec::new(),
        answer: answer.into(),
        kind: AnswerKind::Text,
        solution: None,
        level: None,
    };
    let claims: Vec<_> = solutions.iter().map(|text| claim(text)).collect();
    let found = verifier.examine(&problem, &claims).expect("finds");
    assert_eq!(verifier.failure(), None);
    found
}

#[test]
#[ignore = "needs python3"]
fn unit_tests_run_programs_with_limits() {
    let tests = "assert f(2) == 4\nassert f(3) == 9";
    let solutions = [
        "I square it:\n```python\ndef f(x):\n    return x * x\n```\n",
        "def f(x): return x + x",
        "import os; os._exit(0)",
        "def f(x):\n    while True: pass",
        "def f(x): return len(bytearray(1 << 40))",
        "print('nonsense",
    ];
    let start = std::time::Instant::now();
    let found = check("unit_tests.py", tests, &solutions);
    assert!(start.elapsed() < Duration::from_secs(100));
    let verdicts: Vec<_> = found.iter().map(|f| (f.correct, f.score)).collect();
    let wrong = (Some(false), Some(0.0));
    let expected = [(Some(true), Some(1.0)), (Some(false), Some(0.5)), wrong, wrong, wrong, wrong];
    assert_eq!(verdicts, expected, "{found:?}");
    assert_eq!(found[1].trace, "1 of 2 tests pass; assert f(3) == 9: AssertionError");
    let untested = check("unit_tests.py", "42", &["def f(x): return x"]);
    assert_eq!((untested[0].correct, untested[0].fault.clone()), (None, None));
}

#[test]
#[ignore = "needs python3 with SymPy"]
fn sympy_compares_expressions_and_runs_no_code() {
    let verdicts = |answer: &str, solutions: &[&str]| -> Vec<Option<bool>> {
        check("sympy_answer.py", answer, solutions).iter().map(|f| f.correct).collect()
    };
    let found = verdicts(
        "x^2-1",
        &["so \\boxed{(x-1)(x+1)}", "\\boxed{x^2+1}", "#### x^2 - 1", "no answer at all"],
    );
    assert_eq!(found, [Some(true), Some(false), Some(true), Some(false)]);
    let found = verdicts(
        "\\frac{1}{2}",
        &["The answer is 0.5.", "\\boxed{__import__('os').system('true')}", "\\boxed{\\foo{1}}"],
    );
    assert_eq!(found, [Some(true), None, None]);
    assert_eq!(verdicts("2\\sqrt{3}", &["\\boxed{\\sqrt{12}}"]), [Some(true)]);
}

/// Writes a random reward model with the bundled tokenizer. Prints its score of the problem `?` and the
/// solution `1 + 1 = 2`: the sigmoid of the score head at the last token, computed from the model's parts.
const TINY: &str = r#"
import sys, torch
from transformers import LlamaConfig, LlamaForSequenceClassification, PreTrainedTokenizerFast
torch.manual_seed(0)
tokenizer = PreTrainedTokenizerFast(tokenizer_file=sys.argv[1])
config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                     num_attention_heads=4, num_labels=1, pad_token_id=0)
model = LlamaForSequenceClassification(config)
model.save_pretrained(sys.argv[2])
tokenizer.save_pretrained(sys.argv[2])
ids = tokenizer("?\n1 + 1 = 2", return_tensors="pt")["input_ids"]
hidden = model.model(ids).last_hidden_state[0, -1]
print(torch.sigmoid(model.score.weight @ hidden).item())
"#;

#[test]
#[ignore = "needs python3 with PyTorch and transformers"]
fn a_reward_model_scores_as_transformers_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokenizer = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/bundled/tokenizer.json");
    let (script, model) = (folder.path().join("tiny.py"), folder.path().join("model"));
    std::fs::write(&script, TINY).expect("written");
    let line = format!("exec {PYTHON} {} {tokenizer} {}", script.display(), model.display());
    let made = std::process::Command::new("sh").args(["-c", &line]).output().expect("runs");
    let expected: f64 =
        String::from_utf8_lossy(&made.stdout).trim().parse().expect("a probability");
    let found = check(&format!("reward_model.py {}", model.display()), "", &["1 + 1 = 2"]);
    let score = found[0].score.expect("a score");
    assert!((score - expected).abs() < 1e-4, "{score} {expected}");
    assert!((0.01..0.99).contains(&score) && (score - 0.5).abs() > 1e-3, "{score} tells nothing");
}
