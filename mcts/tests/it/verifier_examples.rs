//! The verifier commands under `examples/verifiers`, run as `docs/judges.md` shows. They need Python, which
//! a build does not: `.ci/run` runs what the machine can.

use std::time::Duration;

use regrowth_datasets::{AnswerKind, Finish, Problem};
use regrowth_mcts::config::VerifierConfig;
use regrowth_verifiers::{About, Claim, Finding};

fn check(script: &str, answer: &str, solutions: &[&str]) -> Vec<Finding> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/verifiers");
    let command = Some(format!("exec python3 '{folder}/{script}'"));
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
    let claim = |&solution: &&str| Claim {
        about: About::Solution,
        solution,
        step: "",
        finish: Finish::Eos,
        reference: true,
    };
    let claims: Vec<_> = solutions.iter().map(claim).collect();
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
