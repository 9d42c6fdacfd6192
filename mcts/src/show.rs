//! A tree as text: one line a node, indented by depth, committed path and pair sides marked.
//!
//! It knows nothing of files. It shows what the search saw of each step: Q, N, p, C, O.

use std::fmt::Write;

use crate::record::TreeRecord;
use crate::{PairConfig, Parents, extract_pairs};

/// Characters of a step's text that are shown.
const TEXT: usize = 100;

/// The tree for people: `*` committed, `+` chosen and `-` rejected by the default rules over all
/// parents.
#[must_use]
pub fn render_text(tree: &TreeRecord) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} ({})\n{}", tree.problem.id, tree.policy, tree.problem.question);
    for choice in &tree.problem.choices {
        let _ = writeln!(out, "({}) {}", choice.label, choice.text);
    }
    let _ = writeln!(
        out,
        "reference {}, committed answer {}{}; {} simulations, {} nodes\n",
        tree.problem.answer,
        if tree.correct { "right" } else { "wrong" },
        if tree.oracle { " (with the reference in sight)" } else { "" },
        tree.simulations,
        tree.nodes.len(),
    );
    let marks = marks(tree);
    let mut stack = tree.children(0);
    stack.reverse();
    while let Some(id) = stack.pop() {
        line(tree, id, &marks[id as usize], &mut out);
        stack.extend(tree.children(id).into_iter().rev());
    }
    out
}

/// Of every node: whether it is committed, and which side of a pair it is.
fn marks(tree: &TreeRecord) -> Vec<[char; 2]> {
    let mut marks = vec![[' ', ' ']; tree.nodes.len()];
    for &id in &tree.committed {
        marks[id as usize][0] = '*';
    }
    let config =
        PairConfig { parents: Parents::All, max_per_tree: usize::MAX, ..PairConfig::default() };
    for (chosen, rejected) in extract_pairs(tree, &config).sides {
        marks[chosen as usize][1] = '+';
        marks[rejected as usize][1] = '-';
    }
    marks
}

fn line(tree: &TreeRecord, id: u32, marks: &[char; 2], out: &mut String) {
    let node = &tree.nodes[id as usize];
    let mut text: String = node.text.trim_end().replace('\n', " / ").chars().take(TEXT).collect();
    if node.terminal {
        text.push_str(" [end]");
    }
    let c = node.self_evaluation.map_or("-".to_owned(), |c| format!("{c:.2}"));
    let _ = writeln!(
        out,
        "{}{} {:indent$}Q {:+.3} N {} p {:.3} C {c} O {:+}  {text}",
        marks[0],
        marks[1],
        "",
        node.q,
        node.visits,
        node.prior,
        node.outcome,
        indent = 2 * (node.depth as usize).saturating_sub(1),
    );
}
