//! A tree as text, one line per node: the search's figures for each step (Q, N, p, C, O), with marks for the
//! committed path, the sides of pairs and false equations.
//!
//! The text comes from a model: control characters in it are replaced, so that it cannot affect the terminal
//! (`foreign`).

use std::fmt::Write;

use regrowth_verifiers::{Finding, FoundBy, equations};

use crate::foreign::shown;
use crate::record::{NodeRecord, TreeRecord};
use crate::{PairConfig, extract_pairs};

/// Default number of characters of a step's text in a line.
pub const STEP_CHARS: usize = 100;

/// The tree as text: `*` committed, `+` chosen and `-` rejected by these rules. At most `longest` characters
/// of each step are shown; an ellipsis marks longer ones.
#[must_use]
pub fn render_text(tree: &TreeRecord, rules: &PairConfig, longest: usize) -> String {
    let mut out: String = head(tree).chars().map(shown).collect();
    let marks = marks(tree, rules);
    let mut stack = tree.children(0);
    stack.reverse();
    while let Some(id) = stack.pop() {
        line(tree, id, &marks[id as usize], longest, &mut out);
        stack.extend(tree.children(id).into_iter().rev());
    }
    out
}

/// The problem, and the outcome of its search.
fn head(tree: &TreeRecord) -> String {
    let mut head = format!("{} ({})\n{}\n", tree.problem.id, tree.policy, tree.problem.question);
    for choice in &tree.problem.choices {
        let _ = writeln!(head, "({}) {}", choice.label, choice.text);
    }
    let _ = writeln!(head, "{}\n", outline(tree));
    head
}

/// The outcome of the search in one line.
fn outline(tree: &TreeRecord) -> String {
    format!(
        "reference {}, committed answer {}{}; {} simulations, {} nodes",
        tree.problem.answer,
        if tree.correct { "right" } else { "wrong" },
        if tree.oracle { " (outcomes see the reference answer)" } else { "" },
        tree.simulations,
        tree.nodes.len(),
    )
}

/// The search's figures for a step.
fn figures(node: &NodeRecord) -> String {
    let c = node.self_evaluation.map_or("-".to_owned(), |c| format!("{c:.2}"));
    format!("Q {:+.3} N {} p {:.3} C {c} O {:+}", node.q, node.visits, node.prior, node.outcome)
}

/// Marks of every node: whether it is committed, and which side of a pair it is.
fn marks(tree: &TreeRecord, rules: &PairConfig) -> Vec<[char; 2]> {
    let mut marks = vec![[' ', ' ']; tree.nodes.len()];
    for &id in &tree.committed {
        marks[id as usize][0] = '*';
    }
    for (chosen, rejected) in extract_pairs(tree, rules).sides {
        marks[chosen as usize][1] = '+';
        marks[rejected as usize][1] = '-';
    }
    marks
}

/// The text, with its false equations in brackets.
pub(crate) fn marked_equations(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for equation in equations(text).into_iter().filter(|e| !e.holds) {
        // Equations of one chain, such as `3 + 4 = 8 = 2`, overlap.
        if equation.span.start < done {
            continue;
        }
        let (before, span) = (&text[done..equation.span.start], &text[equation.span.range()]);
        let _ = write!(out, "{before}[FALSE: {span}]");
        done = equation.span.end;
    }
    out.push_str(&text[done..]);
    out
}

/// Whether the step's text already shows the finding: true for findings of the equation checker.
fn is_shown(finding: &Finding) -> bool {
    finding.by == FoundBy::Calculator
}

fn line(tree: &TreeRecord, id: u32, marks: &[char; 2], longest: usize, out: &mut String) {
    let node = &tree.nodes[id as usize];
    let marked = marked_equations(node.text.trim_end());
    let text = marked.replace('\n', " / ");
    let mut chars = text.chars().map(shown);
    let mut text: String = chars.by_ref().take(longest).collect();
    if chars.next().is_some() {
        text.push_str(" ...");
    }
    let indent = 2 * (node.depth as usize).saturating_sub(1);
    let end = if node.terminal { " [end]" } else { "" };
    let [committed, side] = marks;
    let _ = writeln!(out, "{committed}{side} {:indent$}{}  {text}{end}", "", figures(node));
    for finding in node.findings.iter().filter(|found| !is_shown(found)) {
        let mut summary = finding.summary().chars().map(shown).collect::<Vec<_>>();
        if summary.len() > longest {
            summary.truncate(longest);
            summary.extend(" ...".chars());
        }
        let summary: String = summary.into_iter().collect();
        let _ = writeln!(out, "   {:indent$}  verifier: {summary}", "");
    }
}

#[cfg(test)]
mod tests {
    use regrowth_verifiers::About;

    use super::*;
    use crate::pairs::tests::example;

    #[test]
    fn text_marks_the_committed_path_and_the_pairs() {
        let text = render_text(&example(), &PairConfig::default(), STEP_CHARS);
        let lines: Vec<_> = text.lines().skip_while(|l| !l.is_empty()).skip(1).collect();
        let starts: Vec<_> = lines.iter().map(|l| l[..2].to_owned()).collect();
        // The nodes a, b, its children d and e, e's child f, and c.
        assert_eq!(starts, ["  ", "*+", " -", "*+", "* ", " -"]);
        assert!(lines[2].contains("d. [end]"), "{text}");
        let rules = PairConfig { min_margin: 0.7, ..PairConfig::default() };
        let text = render_text(&example(), &rules, STEP_CHARS);
        assert_eq!(text.matches("\n*+").count(), 1, "{text}");
    }

    #[test]
    fn false_equations_are_marked() {
        let mut tree = example();
        tree.nodes[1].text = "First 3 + 4 = 8 < 9, then 2 * 4 = 8.".to_owned();
        let text = render_text(&tree, &PairConfig::default(), STEP_CHARS);
        assert!(text.contains("First [FALSE: 3 + 4 = 8] < 9, then 2 * 4 = 8."), "{text}");
    }

    #[test]
    fn what_a_verifier_command_found_stands_below_its_step() {
        let mut tree = example();
        tree.nodes[4].findings = vec![Finding {
            by: FoundBy::Command,
            about: About::Solution,
            correct: Some(false),
            score: Some(0.5),
            trace: "1 of 2 tests\u{1b} pass".to_owned(),
            fault: None,
        }];
        let text = render_text(&tree, &PairConfig::default(), STEP_CHARS);
        assert!(text.contains("verifier: wrong 0.50 (1 of 2 tests\u{fffd} pass)"), "{text}");
        let short = render_text(&tree, &PairConfig::default(), 5);
        assert!(short.contains("verifier: wrong ...\n"), "{short}");
    }

    #[test]
    fn nothing_that_acts_on_a_terminal_is_shown() {
        let mut tree = example();
        let evil = "a\u{1b}[2Jb\u{202e}c\u{2067}d\u{9b}e\r";
        tree.nodes[1].text = evil.to_owned();
        (tree.problem.id, tree.problem.question) = (evil.to_owned(), evil.to_owned());
        (tree.problem.answer, tree.policy) = (evil.to_owned(), evil.to_owned());
        let (label, text) = (evil.to_owned(), evil.to_owned());
        tree.problem.choices = vec![regrowth_datasets::Choice { label, text }];
        let shown = render_text(&tree, &PairConfig::default(), STEP_CHARS);
        let acts = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2067}".contains(c));
        assert!(!shown.contains(acts), "{shown:?}");
        assert_eq!(shown.matches("b\u{fffd}c\u{fffd}d").count(), 7, "{shown}");
    }

    #[test]
    fn long_steps_end_in_an_ellipsis_unless_all_is_asked_for() {
        let mut tree = example();
        tree.nodes[1].text = "x".repeat(STEP_CHARS) + "yz";
        tree.nodes[2].text = "w".repeat(STEP_CHARS);
        let text = |longest| render_text(&tree, &PairConfig::default(), longest);
        assert!(text(STEP_CHARS).contains("xx ...\n") && !text(STEP_CHARS).contains('y'));
        assert!(text(STEP_CHARS).contains("ww\n"), "{}", text(STEP_CHARS));
        assert!(text(usize::MAX).contains("xxyz\n"));
    }
}
