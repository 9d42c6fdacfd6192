//! Extracts preference pairs from a finished tree: a pure function of the tree.
//!
//! The rules follow arXiv:2405.00451, section 2.2, and are set in [`PairConfig`]. Dropped pairs are counted
//! by reason. The *ensemble* combines the judgements that a tree already contains (self-evaluation, token
//! probability, share of right solutions below; [`Strength`]): it may drop pairs, swap their sides, or replace their
//! label smoothing or margin.

mod config;
mod dropped;
mod joint;
mod rows;
mod side;
mod strength;

use std::borrow::Cow;
use std::collections::BTreeMap;

use rand::RngExt;
use regrowth_datasets::{PreferencePair, keyed_rng};

use self::side::{Side, assemble};
use self::strength::has_outcome_contrast;
use crate::record::TreeRecord;

pub use self::config::{Keep, PairConfig, PairValues, Parents, Rejected};
pub use self::dropped::DropReason;
pub use self::joint::{JointCounts, JointPairs};
pub use self::rows::extract_rows;
pub use self::strength::{Ensemble, Strength};

/// Pairs of one tree, and counts of the dropped ones.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExtractedPairs {
    /// The pairs, by depth and then by parent.
    pub pairs: Vec<PreferencePair>,
    /// Ids of the chosen and the rejected child of each pair.
    pub sides: Vec<(u32, u32)>,
    /// Number of pairs whose sides the ensemble swapped.
    pub flipped: u64,
    /// Number of dropped pairs by reason. A dropped tree, and a parent with fewer than two children, count as 1.
    pub dropped: BTreeMap<DropReason, u64>,
}

/// Extracts the pairs of a tree (arXiv:2405.00451, section 2.2).
#[must_use]
pub fn extract_pairs(tree: &TreeRecord, config: &PairConfig) -> ExtractedPairs {
    let mut out = ExtractedPairs::default();
    if let Some(reason) = tree_drop_reason(tree, config) {
        out.dropped.insert(reason, 1);
        return out;
    }
    let tree = match config.values {
        PairValues::End => Cow::Borrowed(tree),
        PairValues::Commit => Cow::Owned(with_commit_values(tree)),
    };
    let tree = &*tree;
    let extraction = Extraction::new(tree, config);
    let mut found = Vec::new();
    for parent in parents(tree, config.parents) {
        let siblings = &extraction.children[parent as usize];
        if siblings.len() < 2 {
            *out.dropped.entry(DropReason::NoSibling).or_default() += 1;
        }
        for (chosen, rejected) in choose(tree, config, siblings, parent) {
            match extraction.pair((chosen, rejected)) {
                Ok(pair) => found.push(pair),
                Err(reason) => *out.dropped.entry(reason).or_default() += 1,
            }
        }
    }
    let surplus = found.len().saturating_sub(config.max_per_tree);
    let by_place = |found: &mut Vec<PairWithIds>| {
        found.sort_by_key(|(sides, pair)| (pair.depth, tree.nodes[sides.0 as usize].parent));
    };
    if surplus > 0 {
        match config.keep {
            // The sort is stable: of equal margins, the pair of the parent with the lower id stays.
            Keep::LargestMargins => found.sort_by(|a, b| b.1.margin.total_cmp(&a.1.margin)),
            Keep::First => by_place(&mut found),
        }
        found.truncate(config.max_per_tree);
        out.dropped.insert(DropReason::TooManyPerTree, surplus as u64);
    }
    by_place(&mut found);
    // Only swapped pairs can have q_chosen < q_rejected here.
    out.flipped = found.iter().filter(|(_, pair)| pair.q_chosen < pair.q_rejected).count() as u64;
    (out.sides, out.pairs) = found.into_iter().unzip();
    out
}

/// Node ids of (chosen, rejected), and the pair made of them.
type PairWithIds = ((u32, u32), PreferencePair);

/// Why the whole tree is dropped; `None` if it is not.
fn tree_drop_reason(tree: &TreeRecord, config: &PairConfig) -> Option<DropReason> {
    if config.correct_only && !tree.correct {
        return Some(DropReason::TreeNotCorrect);
    }
    if config.solved_only && tree.oracle && !tree.is_solved() {
        return Some(DropReason::TreeNotSolved);
    }
    let lacks = config.values == PairValues::Commit && tree.commits.is_empty();
    lacks.then_some(DropReason::NoCommitValues)
}

/// A copy of the tree in which children of search roots have the Q and visits that they had when
/// the search committed at that root.
fn with_commit_values(tree: &TreeRecord) -> TreeRecord {
    let mut then = tree.clone();
    let roots = std::iter::once(0).chain(tree.committed.iter().copied());
    for (root, commit) in roots.zip(&tree.commits) {
        let values = commit.q.iter().zip(&commit.visits);
        for (child, (&q, &visits)) in tree.children(root).into_iter().zip(values) {
            let node = &mut then.nodes[child as usize];
            (node.q, node.visits) = (q, visits);
        }
    }
    then
}

/// Children of every node, by id.
fn children_of(tree: &TreeRecord) -> Vec<Vec<u32>> {
    let mut children = vec![Vec::new(); tree.nodes.len()];
    for (id, node) in tree.nodes.iter().enumerate() {
        if let Some(parent) = node.parent {
            children[parent as usize].push(id as u32);
        }
    }
    children
}

fn parents(tree: &TreeRecord, which: Parents) -> Vec<u32> {
    match which {
        Parents::Committed => {
            // The last committed node ends the solution and has no children.
            let last = tree.committed.len().saturating_sub(1);
            std::iter::once(0).chain(tree.committed[..last].iter().copied()).collect()
        }
        Parents::All => {
            let parents = tree.nodes.iter().filter_map(|n| n.parent);
            parents.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        }
    }
}

/// Inputs from which the pairs of one tree are made.
struct Extraction<'a> {
    tree: &'a TreeRecord,
    config: &'a PairConfig,
    /// Children of every node, by id.
    children: Vec<Vec<u32>>,
    /// Per node, the number of verified solutions through it, and how many of them are right.
    counts: Vec<(u64, u64)>,
}

impl<'a> Extraction<'a> {
    fn new(tree: &'a TreeRecord, config: &'a PairConfig) -> Self {
        Self { tree, config, children: children_of(tree), counts: tree.solutions_below() }
    }

    /// Returns the pair of two siblings, the better one first, or the reason why they give none.
    fn pair(&self, (chosen, rejected): (u32, u32)) -> Result<PairWithIds, DropReason> {
        let config = self.config;
        let node = |id: u32| &self.tree.nodes[id as usize];
        let (better, worse) = (node(chosen), node(rejected));
        let margin = better.q - worse.q;
        if margin.is_nan() || margin <= config.min_margin {
            return Err(DropReason::SmallMargin);
        }
        if better.visits < config.min_visits_chosen || worse.visits < config.min_visits_rejected {
            return Err(DropReason::FewVisits);
        }
        // An option of the paper: Q of the chosen step above 0, Q of the rejected step below 1.
        if config.mixed && !(better.q > 0.0 && worse.q < 1.0) {
            return Err(DropReason::NotMixed);
        }
        if config.outcome_contrast && !has_outcome_contrast(&self.counts, (chosen, rejected)) {
            return Err(DropReason::NoOutcomeContrast);
        }
        let strength = match config.ensemble {
            Ensemble::Off => None,
            _ => Strength::of(self.tree, &self.counts, (chosen, rejected)),
        };
        match (config.ensemble, strength) {
            (Ensemble::Drop | Ensemble::Margin, Some(s)) if s.mean <= 0.0 => {
                Err(DropReason::EnsembleAgainst)
            }
            (Ensemble::Flip, Some(s)) if s.mean < 0.0 => {
                self.assembled((rejected, chosen), Some(s))
            }
            _ => self.assembled((chosen, rejected), strength),
        }
    }

    /// Assembles the pair of these sides, with the ensemble's changes to alpha or margin applied.
    fn assembled(
        &self,
        (chosen, rejected): (u32, u32),
        strength: Option<Strength>,
    ) -> Result<PairWithIds, DropReason> {
        let side = |id| Side::new(self.tree, self.config, &self.children, id);
        let (w, l) = (side(chosen), side(rejected));
        if w.text == l.text {
            return Err(DropReason::SameText);
        }
        let nodes = [chosen, rejected].map(|id| &self.tree.nodes[id as usize]);
        let visits = nodes.map(|node| node.visits);
        let alpha = if self.config.smoothing { alpha(visits[0], visits[1]) } else { 0.0 };
        let mut pair = assemble(self.tree, (nodes[0], w), (nodes[1], l), alpha);
        pair.advantage_chosen = Some(self.advantage(chosen));
        pair.advantage_rejected = Some(self.advantage(rejected));
        match (self.config.ensemble, strength) {
            (Ensemble::Soften, Some(strength)) => pair.alpha = strength.alpha(),
            (Ensemble::Margin, Some(strength)) => pair.margin = strength.mean,
            // Swapped sides: the Q gap is negative, so the margin is the absolute value of the mean strength.
            (Ensemble::Flip, Some(strength)) if pair.margin < 0.0 => pair.margin = -strength.mean,
            _ => {}
        }
        Ok(((chosen, rejected), pair))
    }

    /// Q of a step minus the mean Q of its siblings, of which there is at least one. With P(y beats j) =
    /// sigmoid((Q_y - Q_j) / T) as in the `soft` loss, this is T times the mean of logit P over the siblings
    /// j: the target of GPO (arXiv:2410.02197), for any T.
    fn advantage(&self, id: u32) -> f64 {
        let q = |id: u32| self.tree.nodes[id as usize].q;
        let parent = self.tree.nodes[id as usize].parent.unwrap_or(0);
        let others = self.children[parent as usize].iter().filter(|&&other| other != id);
        let gaps: Vec<f64> = others.map(|&other| q(id) - q(other)).collect();
        gaps.iter().sum::<f64>() / gaps.len().max(1) as f64
    }
}

/// Chooses pairs (chosen, rejected) of a parent's children, by rank of the chosen child, then of the rejected one;
/// empty for fewer than two children.
fn choose(
    tree: &TreeRecord,
    config: &PairConfig,
    siblings: &[u32],
    parent: u32,
) -> Vec<(u32, u32)> {
    if siblings.len() < 2 {
        return Vec::new();
    }
    // Best first. The sort is stable, so among children of equal Q the first wins.
    let mut ranked = siblings.to_vec();
    ranked.sort_by(|&a, &b| tree.nodes[b as usize].q.total_cmp(&tree.nodes[a as usize].q));
    let rejected = match config.rejected {
        Rejected::Lowest => ranked.len() - 1,
        Rejected::Second => 1,
        Rejected::Random => {
            let parts: [&[u8]; 3] =
                [b"rejected", tree.problem.id.as_bytes(), &parent.to_le_bytes()];
            keyed_rng(tree.seed, &parts).random_range(1..ranked.len())
        }
        Rejected::All => {
            let lower = |i: usize| ranked[i + 1..].iter().copied();
            let pairs = |i: usize| lower(i).map(move |rejected| (i, rejected));
            let all = (0..ranked.len()).flat_map(pairs);
            return all.map(|(i, rejected)| (ranked[i], rejected)).collect();
        }
    };
    vec![(ranked[0], ranked[rejected])]
}

/// Label smoothing from visits: `N_rejected / (max(1, N_chosen) + N_rejected)`, at most 0.5
/// (arXiv:2405.00451, section 2.2).
#[must_use]
pub fn alpha(visits_chosen: u64, visits_rejected: u64) -> f64 {
    let (w, l) = (visits_chosen.max(1) as f64, visits_rejected as f64);
    (l / (w + l)).min(0.5)
}

#[cfg(test)]
pub(crate) mod tests;
