//! Generated problems, and the verifier for their answers.

use regrowth_datasets::{AnswerKind, Choice, Problem};
use regrowth_verifiers::{ProblemVerifier, Verifier};

/// Word problems with different numbers; every third one is multiple choice.
pub fn problems(count: usize) -> Vec<Problem> {
    (0..count).map(|i| if i % 3 == 2 { choice(i) } else { arithmetic(i) }).collect()
}

fn arithmetic(i: usize) -> Problem {
    let (a, b) = (3 + i, 4 + 2 * i);
    Problem {
        id: format!("test/{i}"),
        source: "test".to_owned(),
        question: format!("Ann has {a} apples and buys {b} more. How many has she now?"),
        choices: Vec::new(),
        answer: (a + b).to_string(),
        kind: AnswerKind::Number,
        solution: Some(format!("{a} + {b} = {}.\nThe answer is {}.\n", a + b, a + b)),
        level: None,
    }
}

fn choice(i: usize) -> Problem {
    let choice =
        |label: &str, text: &str| Choice { label: label.to_owned(), text: text.to_owned() };
    Problem {
        id: format!("test/{i}"),
        source: "test".to_owned(),
        question: format!("Which of {i} things is a plant?"),
        choices: vec![choice("A", "a stone"), choice("B", "a fern"), choice("C", "a cat")],
        answer: "B".to_owned(),
        kind: AnswerKind::Choice,
        solution: None,
        level: None,
    }
}

/// The built-in verifier.
pub fn verifier() -> impl Verifier {
    ProblemVerifier
}
