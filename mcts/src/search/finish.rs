//! Turns a finished search into a row.
//!
//! Nodes are numbered breadth-first, because with several leaves in flight the order of creation depends on
//! timing.

use regrowth_verifiers::{About, Claim};

use super::grow::GrowingTree;
use super::subject::Subject;
use crate::expand::ProposedStep;
use crate::probe::StateProbe;
use crate::record::{CommitRecord, NodeRecord, TREE_VERSION, TreeRecord, checked};
use crate::tree::{NodeId, Tree};

/// Data of a strategy for the row, in addition to the tree.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// The committed path.
    pub(super) committed: Vec<NodeId>,
    /// Statistics of the root's children at each commit; empty unless `commit_values` is set.
    pub(super) commits: Vec<CommitRecord>,
    /// Number of completed simulations.
    pub(super) simulations: u64,
}

/// Builds the row; `None` if the search committed to nothing.
pub(super) fn record(
    growing: GrowingTree<'_>,
    ended: Ended,
    policy: &str,
    round: u32,
) -> Option<TreeRecord> {
    let Ended { committed, commits, simulations } = ended;
    let last = *committed.last()?;
    let solution = growing.solution(last);
    let GrowingTree { subject, tree, mut steps, counts, .. } = growing;
    let correct = is_correct(&subject, &mut steps[last as usize], &solution);
    let order = breadth_first(&tree);
    let mut place = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        place[old as usize] = new as u32;
    }
    let mut steps: Vec<_> = steps.into_iter().map(Some).collect();
    let nodes = order.iter().filter_map(|&id| {
        let parent = tree.parent(id).map(|p| place[p as usize]);
        Some(node(&tree, id, parent, steps[id as usize].take()?))
    });
    Some(TreeRecord {
        version: TREE_VERSION,
        round,
        policy: policy.to_owned(),
        seed: subject.config.seed,
        oracle: subject.config.value.oracle,
        hinted: subject.config.value.hinted,
        judge: None,
        probe: subject.probe.map(StateProbe::identity),
        verifier: subject.config.verifier.command.clone(),
        timed: subject.config.is_timed(),
        problem: subject.problem.clone(),
        prompt: subject.prompt.text.clone(),
        prompt_ids: subject.prompt.ids.to_vec(),
        nodes: nodes.collect(),
        committed: committed.iter().map(|&id| place[id as usize]).collect(),
        commits,
        correct,
        simulations,
        propose_calls: counts.propose_calls,
        judge_calls: counts.judge_calls,
        score_calls: counts.score_calls,
        sampled_tokens: counts.sampled_tokens,
        duplicates: counts.duplicates,
    })
}

/// Whether the committed solution is right. The search is over, so the reference answer may be used. A
/// verifier command's findings are stored with the solution's last step.
fn is_correct(subject: &Subject<'_>, last: &mut ProposedStep, solution: &str) -> bool {
    if let Some(finding) = checked(&last.findings) {
        return finding.correct == Some(true);
    }
    let (solution, finish) = (subject.turn(solution), last.sampled.finish);
    let step = last.sampled.text.as_str();
    let claim =
        Claim { about: About::Solution, solution: &solution, step, finish, reference: true };
    if let Some(found) = subject.verifier.examine(subject.problem, &[claim]) {
        last.findings.extend(found);
        return checked(&last.findings).is_some_and(|finding| finding.correct == Some(true));
    }
    subject.verifier.verify_finished(subject.problem, &solution, finish).is_correct()
}

/// All nodes, parents before children and siblings adjacent.
fn breadth_first(tree: &Tree) -> Vec<NodeId> {
    let mut order = vec![tree.root()];
    let mut next = 0;
    while let Some(&id) = order.get(next) {
        order.extend(tree.children(id));
        next += 1;
    }
    order
}

fn node(tree: &Tree, id: NodeId, parent: Option<u32>, step: ProposedStep) -> NodeRecord {
    let edge = tree.edge(id);
    NodeRecord {
        parent,
        depth: step.depth,
        finish: (id != tree.root()).then_some(step.sampled.finish),
        text: step.sampled.text,
        ids: step.sampled.ids,
        logps: step.sampled.logps,
        logps_exact: step.logps_exact,
        injected: step.injected,
        terminal: step.terminal,
        prior: step.prior,
        visits: tree.visits(id),
        reward: edge.reward,
        q: tree.q(id),
        v: tree.v(id),
        self_evaluation: step.self_evaluation,
        outcome: step.outcome,
        findings: step.findings,
        hidden_state: step.state,
    }
}
