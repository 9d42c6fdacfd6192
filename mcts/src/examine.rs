//! Examines new children with the verifier and the equation checker: outcomes of finished solutions, findings
//! about steps.
//!
//! Called once for each expanded node, before its children get values. A verifier command gets all children
//! in one call, so that it can process them together.

use regrowth_verifiers::{About, Claim, Finding, FoundBy, Verdict, equations};

use crate::expand::Child;
use crate::record::checked;
use crate::search::Subject;

/// Sets the outcomes and findings of the children of one node.
pub(crate) fn examine(subject: &Subject<'_>, children: &mut [Child]) {
    let turns: Vec<String> =
        children.iter().map(|child| subject.turn(&child.solution).into_owned()).collect();
    let abouts: Vec<Option<About>> = children.iter().map(|child| about(subject, child)).collect();
    let claims: Vec<Claim<'_>> = children
        .iter()
        .zip(&turns)
        .zip(&abouts)
        .filter_map(|((child, turn), about)| {
            Some(Claim {
                about: (*about)?,
                solution: turn,
                step: &child.step.sampled.text,
                finish: child.step.sampled.finish,
                reference: subject.config.value.oracle,
            })
        })
        .collect();
    let found = match claims.is_empty() {
        true => None,
        false => subject.verifier.examine(subject.problem, &claims),
    };
    drop(claims);
    let mut found = found.map(Vec::into_iter);
    for ((child, turn), about) in children.iter_mut().zip(&turns).zip(abouts) {
        if let (Some(found), Some(_)) = (&mut found, about) {
            child.step.findings.extend(found.next());
        }
        if child.step.terminal && subject.config.value.oracle {
            decide(subject, child, turn);
        }
        if subject.config.verifier.calculator {
            child.step.findings.extend(calculated(&child.step.sampled.text));
        }
    }
}

/// Subject of a verifier command's check of a child: the finished solution if the command decides outcomes
/// and the oracle is on; otherwise the step if the command checks steps; otherwise `None`.
fn about(subject: &Subject<'_>, child: &Child) -> Option<About> {
    let config = &subject.config.verifier;
    if child.step.terminal && subject.config.value.oracle && config.solutions {
        return Some(About::Solution);
    }
    config.steps.then_some(About::Step)
}

/// Sets the outcome of a finished solution: from the command's finding if there is one, otherwise from the
/// verifier's verdict. If a command gives no verdict, the outcome stays open; if the built-in grader cannot
/// decide, the solution counts as wrong.
fn decide(subject: &Subject<'_>, child: &mut Child, turn: &str) {
    if let Some(finding) = checked(&child.step.findings) {
        child.correct = finding.correct;
        child.undecided = finding.correct.is_none().then(|| finding.undecided());
        return;
    }
    let finish = child.step.sampled.finish;
    let verdict = subject.verifier.verify_finished(subject.problem, turn, finish);
    child.correct = Some(verdict.is_correct());
    child.undecided = match verdict {
        Verdict::Undecided(reason) => Some(reason),
        _ => None,
    };
}

/// A verifier command's score of a step, in [0, 1], from the step's findings; `None` if there is none.
pub(crate) fn step_score(findings: &[Finding]) -> Option<f64> {
    findings.iter().find(|found| found.by == FoundBy::Command)?.step_score()
}

/// The equation checker's finding about a step; `None` if the step has no equation. The finding has no score:
/// the penalty for false equations is set by `value.arithmetic`.
fn calculated(step: &str) -> Option<Finding> {
    let found = equations(step);
    let wrong: Vec<String> = found
        .iter()
        .filter(|equation| !equation.holds)
        .map(|equation| format!("{} (left side: {})", &step[equation.span.range()], equation.left))
        .collect();
    (!found.is_empty()).then(|| Finding {
        by: FoundBy::Calculator,
        about: About::Step,
        correct: Some(wrong.is_empty()),
        score: None,
        trace: wrong.join("; "),
        fault: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calculator_names_false_equations() {
        let found = calculated("3 + 4 = 8, 2 * 4 = 8").expect("has equations");
        assert_eq!((found.correct, &*found.trace), (Some(false), "3 + 4 = 8 (left side: 7)"));
        assert_eq!(
            calculated("3 + 4 = 7").map(|f| (f.correct, f.trace)),
            Some((Some(true), String::new()))
        );
        assert_eq!(calculated("no equation"), None);
        // The equation checker is not a verifier command, so its finding does not become the step's C.
        assert_eq!(step_score(&[calculated("3 + 4 = 8").expect("has one")]), None);
    }
}
