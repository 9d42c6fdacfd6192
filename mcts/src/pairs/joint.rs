//! Joint pairs: preferences between solutions of two problems, for trees without contrast (DOVE,
//! arXiv:2404.00530).
//!
//! If all verified solutions of a tree are right, or all wrong, no outcome tells its siblings apart. A joint
//! pair prefers a right solution to a wrong solution of another problem; at least one of the two trees is
//! without contrast. The result is a pure function of the trees in their order: the seed of the search
//! decides which trees are paired.

use std::collections::BTreeMap;

use rand::seq::SliceRandom;
use regrowth_datasets::{JOINT_PAIR_VERSION, JointPair, JointSide, keyed_rng};
use serde::{Deserialize, Serialize};

use crate::record::TreeRecord;

/// Counts of trees without contrast and of the joint pairs made of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JointCounts {
    /// Trees whose verified solutions are all right.
    pub all_right: u64,
    /// Trees whose verified solutions are all wrong.
    pub all_wrong: u64,
    /// Joint pairs.
    pub pairs: u64,
}

impl JointCounts {
    /// Summary of the counts in one line.
    #[must_use]
    pub fn in_words(self) -> String {
        let Self { all_right, all_wrong, pairs } = self;
        let trees = all_right + all_wrong;
        format!(
            "{pairs} joint pairs; {trees} trees without contrast: {all_right} with right solutions only, \
             {all_wrong} with wrong ones only"
        )
    }
}

/// Collects the solutions to pair; per tree, at most one right and one wrong solution are in memory.
#[derive(Debug, Default)]
pub struct JointPairs {
    /// Groups by round and policy; a pair never mixes groups.
    groups: BTreeMap<(u32, String), Group>,
}

#[derive(Debug, Default)]
struct Group {
    /// Seed of the search.
    seed: u64,
    /// Right solutions of trees whose verified solutions are all right.
    right: Vec<JointSide>,
    /// Wrong solutions of trees whose verified solutions are all wrong.
    wrong: Vec<JointSide>,
    /// A right and a wrong solution of each tree with contrast.
    mixed: Vec<[JointSide; 2]>,
}

impl JointPairs {
    /// Adds the solutions of a tree; a tree without verified outcomes is ignored.
    pub fn add(&mut self, tree: &TreeRecord) {
        if !tree.oracle {
            return;
        }
        let group = self.groups.entry((tree.round, tree.policy.clone())).or_default();
        group.seed = tree.seed;
        let solution = |outcome| best_of(tree, outcome).map(|node| side(tree, node));
        match (solution(1.0), solution(-1.0)) {
            (Some(right), Some(wrong)) => group.mixed.push([right, wrong]),
            (Some(right), None) => group.right.push(right),
            (None, Some(wrong)) => group.wrong.push(wrong),
            (None, None) => {}
        }
    }

    /// Returns at most `most` pairs for each round and policy, and the counts over all of them. Each tree is
    /// in at most one pair.
    #[must_use]
    pub fn pairs(self, most: usize) -> (Vec<JointPair>, JointCounts) {
        let (mut pairs, mut counts) = (Vec::new(), JointCounts::default());
        for ((round, policy), group) in self.groups {
            counts.all_right += group.right.len() as u64;
            counts.all_wrong += group.wrong.len() as u64;
            let met = group.meet().into_iter().take(most);
            pairs.extend(met.map(|(right, wrong)| JointPair {
                version: JOINT_PAIR_VERSION,
                round,
                policy: policy.clone(),
                right,
                wrong,
            }));
        }
        counts.pairs = pairs.len() as u64;
        (pairs, counts)
    }
}

impl Group {
    /// Pairs up the trees: first all-right trees with all-wrong trees, then the remaining trees of the more
    /// frequent kind with trees that have contrast.
    fn meet(self) -> Vec<(JointSide, JointSide)> {
        let Self { seed, mut right, mut wrong, mut mixed } = self;
        right.shuffle(&mut keyed_rng(seed, &[b"joint", b"right"]));
        wrong.shuffle(&mut keyed_rng(seed, &[b"joint", b"wrong"]));
        mixed.shuffle(&mut keyed_rng(seed, &[b"joint", b"mixed"]));
        if right.len() < wrong.len() {
            right.extend(mixed.into_iter().map(|[right, _]| right));
        } else {
            wrong.extend(mixed.into_iter().map(|[_, wrong]| wrong));
        }
        let met = right.into_iter().zip(wrong);
        // A file may contain two trees of the same problem.
        met.filter(|(right, wrong)| right.problem_id != wrong.problem_id).collect()
    }
}

/// Final node of a solution whose outcome has this sign: the committed solution if its outcome has this sign,
/// otherwise the solution with the highest Q (ties: the first); `None` if there is no such solution.
fn best_of(tree: &TreeRecord, sign: f64) -> Option<u32> {
    let fits = |id: &u32| {
        let node = &tree.nodes[*id as usize];
        node.terminal && node.outcome * sign > 0.0
    };
    let q = |id: u32| tree.nodes[id as usize].q;
    let committed = tree.committed.last().copied().filter(fits);
    let others = (0..tree.nodes.len() as u32).filter(fits);
    committed.or_else(|| others.reduce(|best, id| if q(id) > q(best) { id } else { best }))
}

/// The solution that ends in `node`, with its prompt.
fn side(tree: &TreeRecord, node: u32) -> JointSide {
    let path = tree.path(node);
    let steps = || path.iter().map(|&id| &tree.nodes[id as usize]);
    JointSide {
        problem_id: tree.problem.id.clone(),
        hinted: tree.hinted,
        injected: steps().any(|step| step.injected),
        timed: tree.timed,
        prompt: tree.prompt.clone(),
        completion: tree.text(node),
        prompt_ids: tree.prompt_ids.clone(),
        completion_ids: steps().flat_map(|step| step.ids.iter().copied()).collect(),
        completion_logps: steps().flat_map(|step| step.logps.iter().copied()).collect(),
        logps_exact: steps().all(|step| step.logps_exact),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::tests::example;

    /// The example's two solutions, `bd.` and `bef.` (committed), with these outcomes.
    fn tree(id: &str, outcomes: [f64; 2]) -> TreeRecord {
        let mut tree = example();
        tree.problem.id = id.to_owned();
        (tree.nodes[4].outcome, tree.nodes[6].outcome) = (outcomes[0], outcomes[1]);
        tree
    }

    fn joint(trees: &[TreeRecord], most: usize) -> (Vec<JointPair>, JointCounts) {
        let mut found = JointPairs::default();
        trees.iter().for_each(|tree| found.add(tree));
        found.pairs(most)
    }

    const RIGHT: [f64; 2] = [1.0, 1.0];
    const WRONG: [f64; 2] = [-1.0, -1.0];
    const MIXED: [f64; 2] = [-1.0, 1.0];

    #[test]
    fn an_all_right_tree_meets_an_all_wrong_one_of_another_problem() {
        let trees = [tree("a", RIGHT), tree("b", MIXED), tree("c", WRONG)];
        let (pairs, counts) = joint(&trees, 9);
        assert_eq!(counts, JointCounts { all_right: 1, all_wrong: 1, pairs: 1 });
        let JointPair { round, policy, right, wrong, .. } = &pairs[0];
        assert_eq!((*round, policy.as_str()), (2, "test"));
        assert_eq!((right.problem_id.as_str(), wrong.problem_id.as_str()), ("a", "c"));
        assert_eq!((right.prompt.as_str(), right.completion.as_str()), ("Q:", "bef."));
        assert_eq!(right.prompt_ids, [81, 58]);
        assert_eq!(right.completion_ids, [98, 101, 102, 46]);
        assert_eq!(right.completion_logps, [-0.1; 4]);
        assert!(right.logps_exact);
    }

    #[test]
    fn each_tree_is_used_once_and_the_setting_bounds_each_round() {
        let id = |n: u32| format!("p{n}");
        let mut trees: Vec<TreeRecord> = (0..7).map(|n| tree(&id(n), RIGHT)).collect();
        trees.extend((7..12).map(|n| tree(&id(n), WRONG)));
        let (pairs, counts) = joint(&trees, 100);
        assert_eq!(counts, JointCounts { all_right: 7, all_wrong: 5, pairs: 5 });
        let problems: std::collections::BTreeSet<&str> =
            pairs.iter().flat_map(|p| [&*p.right.problem_id, &*p.wrong.problem_id]).collect();
        assert_eq!(problems.len(), 10);
        assert_eq!(joint(&trees, 3).0, pairs[..3]);
        let seed = |seed| trees.iter().map(|tree| TreeRecord { seed, ..tree.clone() }).collect();
        let others: Vec<TreeRecord> = seed(8);
        assert_ne!(joint(&others, 100).0, pairs, "another seed, another order");
        let next = trees.iter().map(|tree| TreeRecord { round: 3, ..tree.clone() });
        let two: Vec<TreeRecord> = trees.iter().cloned().chain(next).collect();
        let rounds: Vec<u32> = joint(&two, 2).0.iter().map(|pair| pair.round).collect();
        assert_eq!(rounds, [2, 2, 3, 3]);
    }

    #[test]
    fn what_is_left_over_meets_trees_with_contrast() {
        let problems = |trees: &[TreeRecord]| -> Vec<[String; 2]> {
            let ids = |pair: JointPair| [pair.right.problem_id, pair.wrong.problem_id];
            joint(trees, 9).0.into_iter().map(ids).collect()
        };
        let wrong = [tree("a", WRONG), tree("b", WRONG), tree("m", MIXED), tree("r", RIGHT)];
        let found = problems(&wrong);
        assert_eq!((found[0][0].as_str(), found[1][0].as_str()), ("r", "m"));
        assert_eq!(found.len(), 2);
        let (pairs, _) = joint(&[tree("a", RIGHT), tree("m", MIXED)], 9);
        assert_eq!(pairs[0].right.completion, "bef.", "the committed one");
        assert_eq!(pairs[0].wrong.completion, "bd.", "the only wrong one");
        assert_eq!(problems(&[tree("m", MIXED), tree("n", MIXED)]), Vec::<[String; 2]>::new());
    }

    #[test]
    fn a_tree_meets_no_tree_of_its_own_problem_and_none_without_verified_outcomes() {
        assert_eq!(joint(&[tree("a", RIGHT), tree("a", WRONG)], 9).1.pairs, 0);
        let mut unverified = tree("b", WRONG);
        unverified.oracle = false;
        let undecided = tree("c", [0.0, 0.0]);
        let (_, counts) = joint(&[tree("a", RIGHT), unverified, undecided], 9);
        assert_eq!(counts, JointCounts { all_right: 1, all_wrong: 0, pairs: 0 });
    }
}
