//! A second implementation of the method's search, written from its description: serial, over a plain vector,
//! with none of the library's search, statistics or selection code.
//!
//! `golden.rs` compares the library's trees with those of [`grow`]. It implements the serial tree search with
//! its priors, backups, depth limits, commits and values (arXiv:2405.00451, section 2.1, and the options of
//! the authors' code). The variants that it does not implement are listed in `golden.rs` and have stored
//! trees instead.

mod steps;

use regrowth_datasets::{Problem, TokenId};
use regrowth_mcts::config::{
    BackupWeights, CommitRule, DepthLimit, FirstPlay, Selection, VisitSpread,
};
use regrowth_mcts::record::{CommitRecord, NodeRecord, TREE_VERSION};
use regrowth_mcts::{SearchConfig, TreeRecord};
use regrowth_policy::{Policy, Prompt};
use regrowth_verifiers::Verifier;

/// A node: its row, and data that the row leaves out.
struct Node {
    row: NodeRecord,
    children: Vec<usize>,
    /// Index among the siblings at each depth.
    path: Vec<String>,
    /// Token ids of the prompt and of the steps up to and including this node; below, the text of these
    /// steps.
    ids: Vec<TokenId>,
    solution: String,
    /// R(s).
    value: f64,
}

/// The search of one tree.
struct Search<'a> {
    policy: &'a dyn Policy,
    verifier: &'a dyn Verifier,
    problem: &'a Problem,
    config: &'a SearchConfig,
    prompt_tokens: usize,
    nodes: Vec<Node>,
    /// Numbers of candidate requests, judge requests, sampled tokens and dropped candidates.
    counts: [u64; 4],
}

/// Grows a whole tree.
pub fn grow(
    policy: &dyn Policy,
    verifier: &dyn Verifier,
    problem: &Problem,
    config: &SearchConfig,
) -> TreeRecord {
    let prompt = policy.prompt(problem).expect("a prompt");
    let mut search = Search {
        policy,
        verifier,
        problem,
        config,
        prompt_tokens: prompt.ids.len(),
        nodes: vec![Node::root(prompt.ids.to_vec())],
        counts: [0; 4],
    };
    let (mut committed, mut commits, mut simulations) = (Vec::new(), Vec::new(), 0);
    let mut root = 0;
    let mut budget = config.simulations * config.first_root_factor;
    while !search.nodes[root].row.terminal {
        (0..budget).for_each(|_| search.simulate(root));
        simulations += budget;
        budget = config.simulations;
        let rows = search.nodes[root].children.iter().map(|&c| &search.nodes[c].row);
        let (q, visits) = rows.map(|row| (row.q, row.visits)).unzip();
        commits.push(CommitRecord { q, visits });
        root = search.commit(root);
        committed.push(root);
    }
    commits.retain(|_| config.commit_values);
    search.record(prompt, committed, commits, simulations)
}

impl Node {
    fn root(prompt: Vec<TokenId>) -> Self {
        Self {
            row: NodeRecord { prior: 1.0, ..steps::blank() },
            children: Vec::new(),
            path: Vec::new(),
            ids: prompt,
            solution: String::new(),
            value: 0.0,
        }
    }
}

impl Search<'_> {
    /// Selects, expands and evaluates down to the end of a solution or the depth limit; then backs up.
    fn simulate(&mut self, root: usize) {
        let mut path = vec![root];
        loop {
            let leaf = path[path.len() - 1];
            let below = (self.nodes[leaf].row.depth - self.nodes[root].row.depth) as usize;
            let most = self.config.max_depth as usize;
            let stops = match self.config.depth_limit {
                DepthLimit::Absolute => false,
                DepthLimit::Relative => below >= most,
                DepthLimit::Both => below >= most.saturating_sub(1).max(1),
            };
            if self.nodes[leaf].row.terminal || stops {
                break;
            }
            if self.nodes[leaf].children.is_empty() {
                self.expand(leaf);
            }
            path.push(self.select(leaf));
        }
        path.iter().for_each(|&node| self.nodes[node].row.visits += 1);
        // V is defined by the children's Q, so V of earlier search roots changes as well.
        let mut above = path.pop();
        while let Some(node) = above {
            self.backup(node);
            above = self.nodes[node].row.parent.map(|parent| parent as usize);
        }
    }

    /// The child with the highest score; ties go to the first child.
    fn select(&self, parent: usize) -> usize {
        let above = &self.nodes[parent].row;
        let n = above.visits as f64;
        let score = |child: usize| {
            let NodeRecord { q, prior, visits, .. } = self.nodes[child].row;
            let q = match self.config.first_play {
                FirstPlay::Fixed(value) if visits == 0 => value,
                FirstPlay::BelowParent(loss) if visits == 0 => above.v - loss,
                _ => q,
            };
            let c = self.config.c_puct;
            match self.config.selection {
                Selection::Puct => q + c * prior * n.sqrt() / (1.0 + visits as f64),
                Selection::Uct if visits == 0 => f64::INFINITY,
                Selection::Uct => q + c * (n.max(1.0).ln() / visits as f64).sqrt(),
            }
        };
        first_best(&self.nodes[parent].children, |child| [score(child), 0.0, 0.0])
    }

    /// Recomputes V, a mean over the children, and Q = r + gamma V.
    fn backup(&mut self, node: usize) {
        let rows = || self.nodes[node].children.iter().map(|&c| &self.nodes[c].row);
        let weight = |row: &NodeRecord| match self.config.backup_weights {
            BackupWeights::AtLeastOne => row.visits.max(1) as f64,
            BackupWeights::Visits => row.visits as f64,
            BackupWeights::Returns => panic!("the reference has no backup of returns"),
        };
        let total: f64 = rows().map(weight).sum();
        let v = rows().map(|row| weight(row) * row.q).sum::<f64>() / total.max(1.0);
        let row = &mut self.nodes[node].row;
        row.v = v;
        row.q = row.reward + self.config.gamma * v;
    }

    /// The child that becomes the next search root.
    fn commit(&self, root: usize) -> usize {
        let spread = |child: usize| {
            let below = self.nodes[child].children.iter().map(|&c| self.nodes[c].row.visits as f64);
            let n = below.clone().count().max(1) as f64;
            let mean = below.clone().sum::<f64>() / n;
            match self.config.visit_spread {
                VisitSpread::Variance => below.map(|v| (v - mean).powi(2)).sum::<f64>() / n,
                VisitSpread::Range => {
                    below.clone().fold(0.0, f64::max) - below.reduce(f64::min).unwrap_or(0.0)
                }
            }
        };
        first_best(&self.nodes[root].children, |child| {
            let NodeRecord { q, v, visits, .. } = self.nodes[child].row;
            let n = visits as f64;
            match self.config.commit {
                CommitRule::SpreadVisits => [n * (1.0 + spread(child)), q, v],
                CommitRule::SpreadValue => [(q + 2.0) * (1.0 + spread(child)), n, v],
                CommitRule::Visits => [n, q, v],
                CommitRule::Value => [n.min(1.0), q, n],
                rule => panic!("the reference does not draw: {rule:?}"),
            }
        })
    }

    /// The tree in the form of a row: siblings adjacent, parents before children.
    fn record(
        self,
        prompt: Prompt,
        committed: Vec<usize>,
        commits: Vec<CommitRecord>,
        simulations: u64,
    ) -> TreeRecord {
        let mut order = vec![0];
        for at in 0..self.nodes.len() {
            order.extend(&self.nodes[order[at]].children);
        }
        let place = |old: usize| order.iter().position(|&o| o == old).expect("in the tree") as u32;
        let row = |&old: &usize| {
            let row = self.nodes[old].row.clone();
            NodeRecord { parent: row.parent.map(|parent| place(parent as usize)), ..row }
        };
        let end = &self.nodes[*committed.last().expect("a commit")];
        let [propose_calls, judge_calls, sampled_tokens, duplicates] = self.counts;
        TreeRecord {
            version: TREE_VERSION,
            round: 0,
            policy: self.policy.identity().to_owned(),
            seed: self.config.seed,
            oracle: self.config.value.oracle,
            hinted: self.config.value.hinted,
            judge: None,
            probe: None,
            verifier: None,
            timed: false,
            problem: self.problem.clone(),
            prompt: prompt.text,
            prompt_ids: prompt.ids.to_vec(),
            nodes: order.iter().map(row).collect(),
            committed: committed.iter().map(|&node| place(node)).collect(),
            commits,
            correct: self.is_correct(&end.solution, &end.row),
            simulations,
            propose_calls,
            judge_calls,
            score_calls: 0,
            sampled_tokens,
            duplicates,
        }
    }
}

/// The item with the highest key, compared part by part; ties go to the first item.
fn first_best(items: &[usize], key: impl Fn(usize) -> [f64; 3]) -> usize {
    let better = |best: usize, next: usize| if key(next) > key(best) { next } else { best };
    items.iter().copied().reduce(better).expect("at least one child")
}
