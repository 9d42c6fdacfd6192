//! The value of a step: the only place that combines outcome and self-evaluation.
//!
//! Notation of arXiv:2405.00451, section 2.1: O is the outcome and C the self-evaluation. R(s) = O(s) + C(s)
//! scores state s by itself, without what follows it, so R is known as soon as the step is sampled. The
//! reward of the step from s to s' is r = R(s') - R(s). V, the value of s with what follows it, and Q are
//! backed up from r in the tree. The options used here that deviate from the
//! paper follow the authors' code, except the false-equation penalty and scores of verifier commands, which are
//! additions of this program.

use regrowth_datasets::Problem;
use regrowth_verifiers::true_share;

use crate::config::ValueConfig;

/// Inputs to [`step_value`].
#[derive(Debug, Clone, Copy)]
pub struct StepObservation<'a> {
    /// The judge's probability that the step is right, in [0, 1]; `None` if it is unknown or was not
    /// requested.
    pub self_evaluation: Option<f64>,
    /// A verifier command's score of the step, in [0, 1]; it replaces the self-evaluation.
    pub verifier_score: Option<f64>,
    /// Whether the answer of the solution that ends with this step is right. `None` if the solution does not
    /// end here, if the oracle is off, or if a verifier command gave no verdict. The built-in grader always
    /// decides about a finished solution: an undecided answer counts as wrong, because outcome 0 would rank
    /// an unparsable answer above a wrong one.
    pub correct: Option<bool>,
    /// Depth of the step's node; the root's children are at depth 1.
    pub depth: u32,
    /// R of the parent's node; 0 at the root.
    pub parent_value: f64,
    /// Text of the solution up to and including this step.
    pub solution: &'a str,
    /// Text of this step.
    pub step: &'a str,
}

/// The score of a step, with its parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepValue {
    /// O: the outcome; 0 unless the solution ends here and reference answers may be used (`oracle`).
    pub outcome: f64,
    /// R(s') = O(s') + C(s'), where s' is the state after the step.
    pub value: f64,
    /// Penalty for false equations in the step.
    pub cost: f64,
    /// r(s, a) = R(s') - R(s) - cost.
    pub reward: f64,
}

/// Score and reward of a step: `R = O + C`, `r = R(s') - R(s) - cost` (arXiv:2405.00451, section 2.1, eq. 2).
#[must_use]
pub fn step_value(
    config: &ValueConfig,
    problem: &Problem,
    observation: StepObservation<'_>,
) -> StepValue {
    let outcome =
        observation.correct.map_or(0.0, |correct| outcome(config, problem, correct, &observation));
    let value = value(
        config,
        outcome,
        Evaluation {
            verifier_score: observation.verifier_score,
            self_evaluation: observation.self_evaluation,
            depth: observation.depth,
        },
        observation.parent_value,
    );
    let cost = false_arithmetic(config, observation.step);
    StepValue { outcome, value, cost, reward: reward(value, observation.parent_value, cost) }
}

/// Inputs of C, the self-evaluation part of a step's value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evaluation {
    /// Same as [`StepObservation::verifier_score`].
    pub(crate) verifier_score: Option<f64>,
    /// Same as [`StepObservation::self_evaluation`].
    pub(crate) self_evaluation: Option<f64>,
    /// Same as [`StepObservation::depth`].
    pub(crate) depth: u32,
}

/// R of a step, computed from its outcome, the inputs of C and the parent's R.
pub(crate) fn value(
    config: &ValueConfig,
    outcome: f64,
    evaluation: Evaluation,
    parent_value: f64,
) -> f64 {
    let confidence = confidence(config, evaluation);
    let inherits = config.inherit_zero && confidence == 0.0 && evaluation.verifier_score.is_none();
    outcome + if inherits { parent_value } else { confidence }
}

/// Reward r of a step from its R, its parent's R and its penalty.
pub(crate) fn reward(value: f64, parent_value: f64, cost: f64) -> f64 {
    value - parent_value - cost
}

/// Penalty for false equations in a step. It is subtracted from r and not from R: r of the next step is a
/// difference of R, so a penalty in R would be refunded there.
fn false_arithmetic(config: &ValueConfig, step: &str) -> f64 {
    if config.arithmetic == 0.0 {
        return 0.0;
    }
    config.arithmetic * (1.0 - true_share(step).unwrap_or(1.0))
}

/// C: a verifier command's score if there is one, otherwise the self-evaluation: `unknown` if there is no
/// judgement, `unasked` if self-evaluation is off. `depth_decay` and `inherit_zero` apply to self-evaluations only, not to a
/// verifier command's score.
fn confidence(config: &ValueConfig, evaluation: Evaluation) -> f64 {
    let Evaluation { verifier_score, self_evaluation, depth } = evaluation;
    if let Some(score) = verifier_score {
        return score;
    }
    if !config.self_evaluation {
        return config.unasked;
    }
    let c = self_evaluation.unwrap_or(config.unknown);
    if config.depth_decay {
        // The authors' code divides by max(parent depth - 3, 1), and the parent is at depth - 1.
        c / f64::from(depth.saturating_sub(4).max(1))
    } else {
        c
    }
}

/// O: -1 for a wrong solution; +1 for a correct one, modified by `own_reasoning_bonus` and `choice_guard` as in
/// the authors' code.
fn outcome(
    config: &ValueConfig,
    problem: &Problem,
    correct: bool,
    observation: &StepObservation<'_>,
) -> f64 {
    if !correct {
        return -1.0;
    }
    if problem.choices.is_empty() {
        let own =
            config.own_reasoning_bonus && differs_from_reference(problem, observation.solution);
        return if own { 1.25 } else { 1.0 };
    }
    if !config.choice_guard {
        return 1.0;
    }
    let by_depth = match observation.depth {
        0 | 1 => 0.0,
        2 => 0.5,
        _ => 1.0,
    };
    let named = named_options(problem, answer_clause(observation.solution));
    by_depth * if named > 1 { 0.9 / named as f64 } else { 1.0 }
}

/// Whether there is a reference solution and `solution` is not merely a prefix of it (ignoring white space).
fn differs_from_reference(problem: &Problem, solution: &str) -> bool {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let reference = problem.solution.as_deref().map(words).unwrap_or_default();
    !reference.is_empty() && !reference.starts_with(&words(solution))
}

/// The text after the last "answer is" or "Answer:"; if there is none, the last non-blank line.
fn answer_clause(solution: &str) -> &str {
    const ANNOUNCED: [&str; 2] = ["answer is", "Answer:"];
    let after = |words: &&str| Some(solution.rfind(*words)? + words.len());
    match ANNOUNCED.iter().filter_map(after).max() {
        Some(at) => &solution[at..],
        None => solution.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default(),
    }
}

/// Number of options that the text names as `(A)` or `A)`.
fn named_options(problem: &Problem, text: &str) -> usize {
    let names = |label: &str| {
        let named = format!("{label})");
        text.match_indices(&named).any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
    };
    problem.choices.iter().filter(|c| names(&c.label)).count()
}

#[cfg(test)]
mod tests {
    use regrowth_datasets::{AnswerKind, Choice};

    use super::*;

    fn problem(labels: &[&str]) -> Problem {
        Problem {
            id: "p".to_owned(),
            source: "test".to_owned(),
            question: "q".to_owned(),
            choices: labels
                .iter()
                .map(|l| Choice { label: (*l).to_owned(), text: String::new() })
                .collect(),
            answer: "A".to_owned(),
            kind: AnswerKind::Number,
            solution: Some("one two\nthe answer is 3".to_owned()),
            level: None,
        }
    }

    fn observation(c: f64, correct: Option<bool>) -> StepObservation<'static> {
        StepObservation {
            self_evaluation: Some(c),
            verifier_score: None,
            correct,
            depth: 3,
            parent_value: 0.0,
            solution: "own words",
            step: "words",
        }
    }

    #[test]
    fn terminal_rewards_have_the_worked_values() {
        let config = ValueConfig::default();
        let right = step_value(&config, &problem(&[]), observation(0.8, Some(true)));
        let wrong = step_value(&config, &problem(&[]), observation(0.3, Some(false)));
        assert!((right.value - 1.8).abs() < 1e-12);
        assert!((wrong.value - -0.7).abs() < 1e-12);
    }

    #[test]
    fn the_reward_is_the_difference_of_values() {
        let config = ValueConfig::default();
        let inner = StepObservation { parent_value: 0.25, ..observation(0.75, None) };
        let step_value = step_value(&config, &problem(&[]), inner);
        assert_eq!((step_value.outcome, step_value.value, step_value.reward), (0.0, 0.75, 0.5));
    }

    #[test]
    fn an_unknown_judgement_is_neither_right_nor_wrong() {
        let config = ValueConfig::default();
        let unknown = StepObservation { self_evaluation: None, ..observation(0.0, None) };
        assert_eq!(step_value(&config, &problem(&[]), unknown).value, 0.5);
    }

    #[test]
    fn without_self_evaluation_the_outcome_is_alone() {
        let config = ValueConfig { self_evaluation: false, ..ValueConfig::default() };
        assert_eq!(step_value(&config, &problem(&[]), observation(0.8, Some(true))).value, 1.0);
        let code = ValueConfig { unasked: 1.0, ..config };
        assert_eq!(step_value(&code, &problem(&[]), observation(0.8, Some(true))).value, 2.0);
    }

    #[test]
    fn a_verifiers_score_takes_the_place_of_the_self_evaluation() {
        let config = ValueConfig { depth_decay: true, ..ValueConfig::default() };
        let scored =
            StepObservation { verifier_score: Some(0.25), depth: 9, ..observation(0.8, None) };
        assert_eq!(step_value(&config, &problem(&[]), scored).value, 0.25);
        let right = StepObservation { correct: Some(true), ..scored };
        assert_eq!(step_value(&config, &problem(&[]), right).value, 1.25);
        let off = ValueConfig { self_evaluation: false, ..config };
        assert_eq!(step_value(&off, &problem(&[]), scored).value, 0.25);
        // Without a verdict the outcome is 0, and only C is left.
        assert_eq!(
            step_value(&off, &problem(&[]), StepObservation { verifier_score: None, ..scored })
                .outcome,
            0.0
        );
    }

    #[test]
    fn depth_decay_starts_at_the_fifth_parent() {
        let config = ValueConfig { depth_decay: true, ..ValueConfig::default() };
        let at = |depth| {
            step_value(&config, &problem(&[]), StepObservation { depth, ..observation(0.8, None) })
                .value
        };
        assert_eq!((at(1), at(5), at(6), at(7)), (0.8, 0.8, 0.4, 0.8 / 3.0));
    }

    #[test]
    fn a_zero_takes_the_parents_value() {
        let config = ValueConfig { inherit_zero: true, ..ValueConfig::default() };
        let zero = StepObservation { parent_value: 0.4, ..observation(0.0, None) };
        assert_eq!(step_value(&config, &problem(&[]), zero).reward, 0.0);
        // Inheritance looks at C, not at R: R = 0.4 + 1 for a right solution; R = 1 - 1 = 0 with C = 1 does
        // not inherit.
        let right = StepObservation { correct: Some(true), ..zero };
        assert_eq!(step_value(&config, &problem(&[]), right).value, 1.4);
        let cancelled =
            StepObservation { self_evaluation: Some(1.0), correct: Some(false), ..zero };
        assert_eq!(step_value(&config, &problem(&[]), cancelled).value, 0.0);
        assert_eq!(step_value(&ValueConfig::default(), &problem(&[]), zero).reward, -0.4);
    }

    #[test]
    fn own_reasoning_earns_a_quarter() {
        let config = ValueConfig { own_reasoning_bonus: true, ..ValueConfig::default() };
        let own = step_value(&config, &problem(&[]), observation(0.0, Some(true)));
        let copied =
            StepObservation { solution: "one  two\nthe answer", ..observation(0.0, Some(true)) };
        assert_eq!(own.outcome, 1.25);
        assert_eq!(step_value(&config, &problem(&[]), copied).outcome, 1.0);
        assert_eq!(step_value(&config, &problem(&[]), observation(0.0, Some(false))).outcome, -1.0);
        // No bonus for multiple choice, or if there is no reference solution.
        assert_eq!(
            step_value(&config, &problem(&["A"]), observation(0.0, Some(true))).outcome,
            1.0
        );
        let alone = Problem { solution: None, ..problem(&[]) };
        assert_eq!(step_value(&config, &alone, observation(0.0, Some(true))).outcome, 1.0);
    }

    #[test]
    fn false_equations_cost_their_share_once() {
        let config = ValueConfig { arithmetic: 0.5, ..ValueConfig::default() };
        let reward = |config, step| {
            step_value(
                config,
                &problem(&[]),
                StepObservation { step, parent_value: 0.5, ..observation(0.75, None) },
            )
        };
        assert_eq!(reward(&config, "no equation").reward, 0.25);
        assert_eq!(reward(&config, "3 + 4 = 7").reward, 0.25);
        assert_eq!(reward(&config, "3 + 4 = 8").reward, -0.25);
        assert_eq!(reward(&config, "3 + 4 = 8 and 2 * 4 = 8").reward, 0.0);
        assert_eq!(reward(&config, "3 + 4 = 8").value, 0.75);
        assert_eq!(reward(&ValueConfig::default(), "3 + 4 = 8").reward, 0.25);
    }

    #[test]
    fn the_choice_guard_devalues_guesses() {
        let config = ValueConfig { choice_guard: true, ..ValueConfig::default() };
        let options = problem(&["A", "B"]);
        let at = |depth, solution| {
            let observation = StepObservation { depth, solution, ..observation(0.0, Some(true)) };
            step_value(&config, &options, observation).outcome
        };
        assert_eq!((at(1, "(A)"), at(2, "(A)"), at(3, "(A)")), (0.0, 0.5, 1.0));
        assert_eq!((at(3, "(A) or (B)"), at(2, "(A) or (B)")), (0.45, 0.225));
        // Options discussed before the answer are not counted, nor is a letter at the end of a word.
        assert_eq!(at(3, "(B) melts.\nThe answer is (A)."), 1.0);
        assert_eq!(at(3, "(B) melts, so the answer is A) or B)."), 0.45);
        assert_eq!(at(3, "(B) melts.\nIt is (A), by the law of DNA)\n"), 1.0);
        let free = StepObservation { depth: 1, ..observation(0.0, Some(true)) };
        assert_eq!(step_value(&config, &problem(&[]), free).outcome, 1.0);
    }
}
