//! Example pairs of a round as text, and why each is shown.

use regrowth_datasets::PreferencePair;
use regrowth_mcts::foreign::readable;
use serde::Serialize;

use super::sources::{RoundSources, Sources};
use super::words::signed;

/// Maximum number of characters shown of a pair's prompt, from its end: few-shot prompts are long.
const PROMPT_CHARS: usize = 700;

/// A pair on the page.
#[derive(Debug, Serialize)]
pub(super) struct Example {
    round: u32,
    problem: String,
    /// Why this pair is shown.
    why: &'static str,
    depth: u32,
    prompt: String,
    chosen: Side,
    rejected: Side,
    margin: String,
    alpha: String,
    /// Whether the page shows its tree.
    has_tree: bool,
}

#[derive(Debug, Serialize)]
struct Side {
    text: String,
    q: String,
    visits: u64,
    self_evaluation: Option<String>,
    /// Outcome of the solution that the step ends; empty if the step does not end one.
    outcome: &'static str,
}

/// Examples of the last round that has pairs.
pub(super) fn examples(sources: &Sources) -> Vec<Example> {
    let Some(round) = sources.rounds.iter().rev().find(|r| !r.examples.is_empty()) else {
        return Vec::new();
    };
    round.examples.iter().map(|(why, pair)| example(round, why, pair)).collect()
}

/// Chooses distinct typical pairs, each with the reason why it is shown.
pub(super) fn picked(pairs: &[PreferencePair]) -> Vec<(&'static str, &PreferencePair)> {
    let mut by_margin: Vec<&PreferencePair> = pairs.iter().collect();
    by_margin.sort_by(|a, b| b.margin.total_cmp(&a.margin));
    let ends = |p: &&PreferencePair| p.outcome_chosen > 0.0 && p.outcome_rejected < 0.0;
    let goes_on = |p: &&PreferencePair| !p.terminal_chosen && !p.terminal_rejected;
    let candidates = [
        ("The largest margin of the round.", by_margin.first().copied()),
        (
            "The first choice of a solution: the largest margin at depth 1.",
            by_margin.iter().copied().find(|p| p.depth == 1),
        ),
        (
            "One side ends in a right answer and the other in a wrong one.",
            by_margin.iter().copied().filter(ends).nth(by_margin.len() / 8),
        ),
        (
            "Neither side is the end: the values come from what the search found below.",
            by_margin.iter().copied().filter(goes_on).nth(by_margin.len() / 8),
        ),
        ("A typical pair: the median margin.", by_margin.get(by_margin.len() / 2).copied()),
        ("The smallest margin that was kept.", by_margin.last().copied()),
    ];
    let mut found: Vec<(&str, &PreferencePair)> = Vec::new();
    for (why, pair) in candidates {
        if let Some(pair) = pair.filter(|pair| !found.iter().any(|(_, other)| other == pair)) {
            found.push((why, pair));
        }
    }
    found
}

fn example(round: &RoundSources, why: &'static str, pair: &PreferencePair) -> Example {
    let prompt: Vec<char> = pair.prompt.chars().collect();
    let start = prompt.len().saturating_sub(PROMPT_CHARS);
    let tail: String = prompt[start..].iter().collect();
    let tail = readable(tail.trim());
    let outcome = |value: f64, terminal: bool| match (terminal, value) {
        (false, _) => "",
        (true, v) if v > 0.0 => "right",
        (true, v) if v < 0.0 => "wrong",
        (true, _) => "not checked",
    };
    let side = |text: &str, q: f64, visits, own: Option<f64>, outcome| Side {
        text: readable(text.trim_end()),
        q: signed(q, 2),
        visits,
        self_evaluation: own.map(|c| format!("{c:.2}")),
        outcome,
    };
    Example {
        round: round.report.round,
        problem: readable(&pair.problem_id),
        why,
        depth: pair.depth,
        prompt: if start > 0 { format!("... {tail}") } else { tail },
        chosen: side(
            &pair.chosen,
            pair.q_chosen,
            pair.n_chosen,
            pair.self_evaluation_chosen,
            outcome(pair.outcome_chosen, pair.terminal_chosen),
        ),
        rejected: side(
            &pair.rejected,
            pair.q_rejected,
            pair.n_rejected,
            pair.self_evaluation_rejected,
            outcome(pair.outcome_rejected, pair.terminal_rejected),
        ),
        margin: format!("{:.2}", pair.margin),
        alpha: format!("{:.2}", pair.alpha),
        has_tree: round.trees.iter().any(|tree| tree.problem.id == pair.problem_id),
    }
}
