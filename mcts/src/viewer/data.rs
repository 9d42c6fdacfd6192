//! The data of a tree for the viewer's script: the figures of each node that a reader needs, without data
//! that only training needs (token ids, log-probabilities of single tokens).

use std::collections::BTreeMap;

use regrowth_datasets::{Choice, Finish};
use regrowth_verifiers::{FoundBy, ProblemVerifier, Statement, Verdict, Verifier, equations};
use serde::Serialize;

use crate::foreign::readable;
use crate::pairs::ExtractedPairs;
use crate::record::{NodeRecord, TreeRecord};
use crate::{PairConfig, extract_pairs};

/// Trees of one source, i.e. of a round or of a search.
#[derive(Debug, Clone, Serialize)]
pub struct TreeSet {
    name: String,
    /// Number of trees in the source; `trees` may be a part of them.
    total: usize,
    trees: Vec<TreeView>,
}

impl TreeSet {
    /// Trees with a name (such as "round 2"); `total` is the number of trees in the source.
    #[must_use]
    pub fn new(name: &str, total: usize, trees: Vec<TreeView>) -> Self {
        Self { name: readable(name), total, trees }
    }

    /// Whether there are no trees.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }
}

/// One tree.
#[derive(Debug, Clone, Serialize)]
pub struct TreeView {
    pub(crate) id: String,
    pub(crate) source: String,
    pub(crate) question: String,
    pub(crate) choices: Vec<Choice>,
    pub(crate) reference: String,
    pub(crate) solution: Option<String>,
    pub(crate) policy: String,
    /// Whether the committed solution is right.
    pub(crate) correct: bool,
    /// Whether outcomes saw the reference answer.
    pub(crate) oracle: bool,
    pub(crate) hinted: bool,
    pub(crate) simulations: u64,
    pub(crate) propose_calls: u64,
    pub(crate) judge_calls: u64,
    pub(crate) score_calls: u64,
    pub(crate) prompt_tokens: usize,
    pub(crate) sampled_tokens: u64,
    pub(crate) duplicates: u64,
    pub(crate) committed: Vec<u32>,
    pub(crate) pairs: Vec<PairView>,
    /// Why other pairs were dropped, in words, with counts.
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    pub(crate) nodes: Vec<NodeView>,
}

/// A pair of sibling nodes.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PairView {
    pub(crate) chosen: u32,
    pub(crate) rejected: u32,
    pub(crate) margin: f64,
    pub(crate) alpha: f64,
}

/// One step and the state after it; a missing field is 0, false or unknown.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct NodeView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<u32>,
    /// The step's text in pieces; every second piece is a false equation.
    pub(crate) text: Vec<String>,
    pub(crate) q: f64,
    pub(crate) v: f64,
    pub(crate) visits: u64,
    pub(crate) prior: f64,
    pub(crate) reward: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) self_evaluation: Option<f64>,
    pub(crate) tokens: usize,
    /// Log-probability of the whole step.
    pub(crate) logp: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finish: Option<Finish>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) injected: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<EndView>,
    /// A verifier command's findings, one per line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<String>,
}

/// The verifier's reading of a finished solution.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EndView {
    /// Outcome part of the value.
    pub(crate) outcome: f64,
    /// The answer that the solution states; empty if it states none.
    pub(crate) answer: String,
    /// The rule that found the answer, or the reason why there is none.
    pub(crate) rule: &'static str,
    /// `right`, `wrong`, `undecided` or, without a reference answer, `unknown`.
    pub(crate) verdict: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
}

impl TreeView {
    /// The viewer's data of a tree, with the pairs that `rules` extract.
    #[must_use]
    pub fn new(tree: &TreeRecord, rules: &PairConfig) -> Self {
        let problem = &tree.problem;
        let choice = |c: &Choice| Choice { label: readable(&c.label), text: readable(&c.text) };
        let extracted = extract_pairs(tree, rules);
        let dropped = extracted.dropped.iter().map(|(why, n)| (why.in_words(), *n)).collect();
        Self {
            id: readable(&problem.id),
            source: readable(&problem.source),
            question: readable(&problem.question),
            choices: problem.choices.iter().map(choice).collect(),
            reference: readable(&problem.answer),
            solution: problem.solution.as_deref().map(readable),
            policy: readable(&tree.policy),
            correct: tree.correct,
            oracle: tree.oracle,
            hinted: tree.hinted,
            simulations: tree.simulations,
            propose_calls: tree.propose_calls,
            judge_calls: tree.judge_calls,
            score_calls: tree.score_calls,
            prompt_tokens: tree.prompt_ids.len(),
            sampled_tokens: tree.sampled_tokens,
            duplicates: tree.duplicates,
            committed: tree.committed.clone(),
            pairs: pairs(&extracted),
            dropped,
            nodes: (0u32..).zip(&tree.nodes).map(|(id, node)| view(tree, id, node)).collect(),
        }
    }

    /// Number of pairs.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Whether the tree has both right and wrong solutions.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.solutions("right") > 0 && self.solutions("wrong") > 0
    }

    /// Number of solutions with this verdict.
    #[must_use]
    pub fn solutions(&self, verdict: &str) -> usize {
        self.nodes.iter().filter_map(|n| n.end.as_ref()).filter(|e| e.verdict == verdict).count()
    }
}

fn pairs(extracted: &ExtractedPairs) -> Vec<PairView> {
    let pairs = extracted.sides.iter().zip(&extracted.pairs);
    pairs
        .map(|(&(chosen, rejected), pair)| PairView {
            chosen,
            rejected,
            margin: rounded(pair.margin),
            alpha: rounded(pair.alpha),
        })
        .collect()
}

fn view(tree: &TreeRecord, id: u32, node: &NodeRecord) -> NodeView {
    NodeView {
        parent: node.parent,
        text: pieces(node.text.trim()),
        q: rounded(node.q),
        v: rounded(node.v),
        visits: node.visits,
        prior: rounded(node.prior),
        reward: rounded(node.reward),
        self_evaluation: node.self_evaluation.map(rounded),
        tokens: node.ids.len(),
        logp: rounded(node.logps.iter().map(|&l| f64::from(l)).sum()),
        finish: node.finish,
        injected: node.injected,
        end: node.terminal.then(|| end(tree, id, node)),
        findings: findings(node),
    }
}

/// A verifier command's findings; those of the equation checker are marked in the text.
fn findings(node: &NodeRecord) -> Vec<String> {
    let found = node.findings.iter().filter(|found| found.by == FoundBy::Command);
    found.map(|found| readable(&found.summary())).collect()
}

/// The verifier's reading of the solution that ends here.
fn end(tree: &TreeRecord, id: u32, node: &NodeRecord) -> EndView {
    let (solution, finish) = (tree.turn(id), node.finish.unwrap_or(Finish::Eos));
    let statement = Statement::of(&tree.problem, &solution, finish);
    let mut reason = String::new();
    let verdict = if let Some(finding) = node.checked() {
        match finding.correct {
            Some(true) => "right",
            Some(false) => "wrong",
            None => {
                reason = finding.undecided();
                "undecided"
            }
        }
    } else if tree.problem.has_reference() {
        match ProblemVerifier.verify_finished(&tree.problem, &solution, finish) {
            Verdict::Equal => "right",
            Verdict::Different => "wrong",
            Verdict::Undecided(why) => {
                reason = why;
                "undecided"
            }
        }
    } else {
        "unknown"
    };
    EndView {
        outcome: node.outcome,
        answer: readable(&statement.answer),
        rule: statement.source(finish),
        verdict,
        reason,
    }
}

/// Rounds to four decimals: the viewer never shows more, and a page of many trees stays small.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Splits the text into pieces; every second piece is a false equation.
fn pieces(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut done = 0;
    for equation in equations(text).into_iter().filter(|e| !e.holds) {
        // Equations of one chain, such as `3 + 4 = 8 = 2`, overlap.
        if equation.span.start < done {
            continue;
        }
        out.push(readable(&text[done..equation.span.start]));
        out.push(readable(&text[equation.span.range()]));
        done = equation.span.end;
    }
    out.push(readable(&text[done..]));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::tests::example;

    #[test]
    fn pairs_are_those_of_the_rules() {
        let sides = |rules: &PairConfig| -> Vec<_> {
            TreeView::new(&example(), rules).pairs.iter().map(|p| (p.chosen, p.rejected)).collect()
        };
        assert_eq!(sides(&PairConfig::default()), [(2, 3), (5, 4)]);
        let strict = PairConfig { min_margin: 0.7, ..PairConfig::default() };
        assert_eq!(sides(&strict), [(2, 3)]);
        let none = TreeView::new(&example(), &PairConfig { min_margin: 9.0, ..strict });
        assert_eq!(none.dropped.values().sum::<u64>(), 3, "{:?}", none.dropped);
    }

    #[test]
    fn false_equations_stand_apart() {
        assert_eq!(
            pieces("First 3 + 4 = 8 < 9, then 2 * 4 = 8."),
            ["First ", "3 + 4 = 8", " < 9, then 2 * 4 = 8."]
        );
        assert_eq!(pieces("a"), ["a"]);
    }

    #[test]
    fn an_end_says_what_was_read_and_the_verdict() {
        let mut tree = example();
        tree.problem.answer = "7".to_owned();
        tree.nodes[4].text = "The answer is \\boxed{7}.".to_owned();
        tree.nodes[6].text = "The answer is \\boxed{8}.".to_owned();
        let view = TreeView::new(&tree, &PairConfig::default());
        let end = |id: usize| view.nodes[id].end.as_ref().map(|e| (&*e.answer, e.rule, e.verdict));
        assert_eq!(end(4), Some(("7", "boxed", "right")));
        assert_eq!(end(6), Some(("8", "boxed", "wrong")));
        assert_eq!(end(5), None);
        assert!(view.is_mixed());
    }
}
