//! Details of the selected step, or of the problem at the root: figures, verdict, pairs, full text.

use regrowth_datasets::Finish;

use super::text::wrapped;
use super::walk::Walk;
use crate::show::marked_equations;
use crate::viewer::{EndView, NodeView};

/// A line of the pane.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A heading.
    Heading(String),
    /// A fact about the step or the problem.
    Fact(String),
    /// Text of a model or of a problem.
    Text(String),
}

/// All details of the selected row, in lines of at most `width` columns.
pub(super) fn lines(walk: &Walk, width: usize) -> Vec<Line> {
    let mut pane = Pane { lines: Vec::new(), width };
    match walk.node() {
        0 => problem(walk, &mut pane),
        node => step(walk, node, &mut pane),
    }
    pane.lines
}

/// The lines collected so far.
struct Pane {
    lines: Vec<Line>,
    width: usize,
}

impl Pane {
    fn heading(&mut self, text: &str) {
        self.lines.extend(wrapped(text, self.width).into_iter().map(Line::Heading));
    }

    fn fact(&mut self, text: &str) {
        self.lines.extend(wrapped(text, self.width).into_iter().map(Line::Fact));
    }

    /// Adds a text under a heading.
    fn text(&mut self, heading: &str, text: &str) {
        self.lines.push(Line::Fact(String::new()));
        self.heading(heading);
        self.lines.extend(wrapped(text, self.width).into_iter().map(Line::Text));
    }
}

fn problem(walk: &Walk, pane: &mut Pane) {
    let (view, problem) = (&walk.view, &walk.record.problem);
    pane.heading(&format!("Problem {}", view.id));
    let solved = match (problem.has_reference(), view.correct) {
        (false, _) => "no reference answer",
        (true, true) => "committed answer right",
        (true, false) => "committed answer wrong",
    };
    pane.fact(&format!("{solved}; policy {}", view.policy));
    let (right, wrong) = (view.solutions("right"), view.solutions("wrong"));
    pane.fact(&format!("{right} right and {wrong} wrong solutions, {} pairs", view.pairs()));
    pane.fact(&format!(
        "{} nodes, {} simulations, {} sampled tokens, {} duplicates dropped",
        view.nodes(),
        view.simulations,
        view.sampled_tokens,
        view.duplicates
    ));
    pane.fact(&format!(
        "model calls: {} proposals, {} judgements, {} scores",
        view.propose_calls, view.judge_calls, view.score_calls
    ));
    for (why, count) in &view.dropped {
        pane.fact(&format!("no pair: {why} ({count})"));
    }
    pane.text("Question", &problem.question);
    for choice in &problem.choices {
        let line = format!("({}) {}", choice.label, choice.text);
        pane.lines.extend(wrapped(&line, pane.width).into_iter().map(Line::Text));
    }
    if problem.has_reference() {
        pane.text("Reference", &problem.answer);
    }
    if let Some(solution) = &problem.solution {
        pane.text("Reference solution", solution);
    }
}

fn step(walk: &Walk, id: u32, pane: &mut Pane) {
    let (record, node) = (&walk.record.nodes[id as usize], &walk.view.nodes[id as usize]);
    let committed = if walk.view.committed.contains(&id) { ", committed" } else { "" };
    pane.heading(&format!("Step {id} at depth {}{committed}", record.depth));
    pane.fact(&figures(node));
    pane.fact(&origin(node));
    node.end.iter().for_each(|end| pane.fact(&verdict(end)));
    for pair in &walk.view.pairs {
        let (side, other) = match (pair.chosen == id, pair.rejected == id) {
            (true, _) => ("chosen over", pair.rejected),
            (_, true) => ("rejected for", pair.chosen),
            _ => continue,
        };
        let [margin, alpha] = [pair.margin, pair.alpha];
        pane.fact(&format!("pair: {side} step {other}, margin {margin:.3}, alpha {alpha:.3}"));
    }
    node.findings.iter().for_each(|finding| pane.fact(&format!("verifier: {finding}")));
    pane.text("Text", &marked_equations(&record.text));
}

fn figures(node: &NodeView) -> String {
    let judged = node.self_evaluation.map_or("unknown".to_owned(), |c| format!("{c:.3}"));
    format!(
        "Q {:+.3}, V {:+.3}, N {}, prior {:.3}, reward {:+.3}, self-evaluation {judged}",
        node.q, node.v, node.visits, node.prior, node.reward
    )
}

fn origin(node: &NodeView) -> String {
    let ended = match node.finish {
        Some(Finish::Length) => ", cut off by the token limit",
        _ => "",
    };
    let origin = if node.injected { ", from the reference solution" } else { "" };
    format!("{} tokens, log-probability {:.2}{ended}{origin}", node.tokens, node.logp)
}

fn verdict(end: &EndView) -> String {
    let reason = if end.reason.is_empty() { String::new() } else { format!(" ({})", end.reason) };
    let answer = if end.answer.is_empty() { "none" } else { &end.answer };
    format!(
        "solution ends: {}{reason}, outcome {:+}, answer {answer} (read by: {})",
        end.verdict, end.outcome, end.rule
    )
}
