//! The request that judges a step. A search uses it when it expands a node; whole solutions are judged with
//! it to select the best of several.

use std::sync::Arc;

use regrowth_datasets::{Choice, Problem, Step, TokenId};
use regrowth_policy::{Judge, Restated};

use crate::config::{JudgeForm, ValueConfig};

/// A step to judge, with its context.
#[derive(Debug, Clone, Copy)]
pub struct JudgedStep<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// Token ids of the prompt and of the previous steps.
    pub prefix: &'a Arc<[TokenId]>,
    /// Text of the previous steps.
    pub before: &'a str,
    /// The step.
    pub step: &'a Step,
}

/// Builds the request that judges a step as the settings require.
#[must_use]
pub fn judge_request(config: &ValueConfig, judged: JudgedStep<'_>) -> Judge {
    let JudgedStep { problem, prefix, before, step } = judged;
    let hint = config.hinted.then(|| shown_reference(problem)).flatten();
    Judge {
        prefix: prefix.clone(),
        step: Arc::from(step.ids.as_slice()),
        hint,
        order: config.order,
        restated: config.says_all().then(|| Restated {
            question: problem.question.clone(),
            choices: problem.choices.clone(),
            solution: format!("{before}{}", step.text),
            direction: config.judge == JudgeForm::Direction,
        }),
        grades: config.graded(),
    }
}

/// The reference shown to a hinted judge: the solution, or the answer if there is no solution; for a
/// multiple-choice problem, with the option's text.
fn shown_reference(problem: &Problem) -> Option<String> {
    let given = |text: &String| !text.trim().is_empty();
    if let Some(solution) = problem.solution.as_ref().filter(|text| given(text)) {
        return Some(solution.clone());
    }
    let answer = Some(&problem.answer).filter(|text| given(text))?;
    let option = problem.choices.iter().find(|choice| choice.label == *answer);
    Some(match option {
        Some(Choice { label, text }) => format!("The answer is ({label}) {text}"),
        None => format!("The answer is {answer}"),
    })
}

#[cfg(test)]
mod tests {
    use regrowth_datasets::AnswerKind;

    use super::*;

    #[test]
    fn the_judge_is_shown_the_solution_or_else_the_answer() {
        let mut problem = Problem {
            id: "p".to_owned(),
            source: "test".to_owned(),
            question: "q".to_owned(),
            choices: vec![Choice { label: "A".to_owned(), text: "iron".to_owned() }],
            answer: "A".to_owned(),
            kind: AnswerKind::Choice,
            solution: None,
            level: None,
        };
        let shown = |problem: &Problem| shown_reference(problem);
        assert_eq!(shown(&problem).as_deref(), Some("The answer is (A) iron"));
        problem.choices.clear();
        assert_eq!(shown(&problem).as_deref(), Some("The answer is A"));
        problem.solution = Some("Magnets attract iron.".to_owned());
        assert_eq!(shown(&problem), problem.solution);
        problem.solution = None;
        problem.answer.clear();
        assert_eq!(shown(&problem), None);
    }
}
