//! One side of a pair, and the row made of two sides.

use regrowth_datasets::{PAIR_VERSION, PreferencePair, TokenId};

use super::PairConfig;
use crate::record::{NodeRecord, TreeRecord};

/// One side of a pair: a step, merged with the single-child steps that follow it (`glue_chains`).
pub(super) struct Side {
    pub(super) text: String,
    pub(super) ids: Vec<TokenId>,
    pub(super) logps: Vec<f32>,
    pub(super) exact: bool,
    pub(super) injected: bool,
    pub(super) terminal: bool,
    pub(super) outcome: f64,
}

impl Side {
    pub(super) fn new(
        tree: &TreeRecord,
        config: &PairConfig,
        children: &[Vec<u32>],
        id: u32,
    ) -> Self {
        let mut side = Self {
            text: String::new(),
            ids: Vec::new(),
            logps: Vec::new(),
            exact: true,
            injected: false,
            terminal: false,
            outcome: 0.0,
        };
        let mut at = id;
        loop {
            let node = &tree.nodes[at as usize];
            side.text.push_str(&node.text);
            side.ids.extend_from_slice(&node.ids);
            side.logps.extend_from_slice(&node.logps);
            side.exact &= node.logps_exact;
            side.injected |= node.injected;
            side.terminal = node.terminal;
            side.outcome = node.outcome;
            match children[at as usize].as_slice() {
                [only] if config.glue_chains => at = *only,
                _ => return side,
            }
        }
    }
}

pub(super) fn assemble(
    tree: &TreeRecord,
    (w, chosen): (&NodeRecord, Side),
    (l, rejected): (&NodeRecord, Side),
    alpha: f64,
) -> PreferencePair {
    let parent = w.parent.unwrap_or(0);
    let (prompt, prompt_ids) = tree.prefix(parent);
    let before = tree.path(parent).into_iter().any(|id| tree.nodes[id as usize].injected);
    PreferencePair {
        version: PAIR_VERSION,
        problem_id: tree.problem.id.clone(),
        round: tree.round,
        policy: tree.policy.clone(),
        oracle: tree.oracle,
        hinted: tree.hinted,
        injected: before || chosen.injected || rejected.injected,
        timed: tree.timed,
        depth: w.depth,
        prompt,
        chosen: chosen.text,
        rejected: rejected.text,
        prompt_ids,
        chosen_ids: chosen.ids,
        rejected_ids: rejected.ids,
        chosen_logps: chosen.logps,
        rejected_logps: rejected.logps,
        logps_exact: chosen.exact && rejected.exact,
        q_chosen: w.q,
        q_rejected: l.q,
        advantage_chosen: None,
        advantage_rejected: None,
        n_chosen: w.visits,
        n_rejected: l.visits,
        prior_chosen: w.prior,
        prior_rejected: l.prior,
        self_evaluation_chosen: w.self_evaluation,
        self_evaluation_rejected: l.self_evaluation,
        outcome_chosen: chosen.outcome,
        outcome_rejected: rejected.outcome,
        terminal_chosen: chosen.terminal,
        terminal_rejected: rejected.terminal,
        alpha,
        margin: w.q - l.q,
        weight: 1.0,
    }
}
