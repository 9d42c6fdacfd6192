//! Right solutions of trees, as rows of supervised training (`objective = "correct-solutions"`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use regrowth_datasets::TokenId;
use regrowth_mcts::record::NodeRecord;
use regrowth_mcts::{TreeRecord, read_trees};

use crate::TrainError;
use crate::train::Example;

/// A right solution and where it comes from.
pub(super) struct RightSolution {
    /// Identity of the policy that sampled it.
    pub(super) policy: String,
    /// Whether it comes from another file of trees than the first one.
    pub(super) earlier: bool,
    pub(super) example: Example,
}

/// Returns the distinct right solutions in the order of files, trees and nodes: of each prompt the first
/// `most`.
///
/// # Errors
/// [`TrainError`] for a file of trees that cannot be read.
pub(super) fn right_solutions(
    files: &[PathBuf],
    most: usize,
) -> Result<Vec<RightSolution>, TrainError> {
    let mut solutions = Vec::new();
    let mut seen: BTreeMap<Vec<TokenId>, BTreeSet<Vec<TokenId>>> = BTreeMap::new();
    for (file, path) in files.iter().enumerate() {
        for tree in read_trees(path)? {
            let tree = tree?;
            let seen = seen.entry(tree.prompt_ids.clone()).or_default();
            for completion in right_paths(&tree) {
                if seen.len() < most && seen.insert(completion.clone()) {
                    let prompt = tree.prompt_ids.clone();
                    let example = Example { prompt, completion, weight: 1.0 };
                    let policy = tree.policy.clone();
                    solutions.push(RightSolution { policy, earlier: file > 0, example });
                }
            }
        }
    }
    Ok(solutions)
}

/// Token ids of every right solution of a tree.
fn right_paths(tree: &TreeRecord) -> impl Iterator<Item = Vec<TokenId>> + '_ {
    let right = |(_, node): &(usize, &NodeRecord)| node.terminal && node.outcome > 0.0;
    tree.nodes.iter().enumerate().filter(right).map(|(id, _)| {
        let path = tree.path(id as u32);
        path.iter().flat_map(|&n| tree.nodes[n as usize].ids.iter().copied()).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{Problem, Split, tasks::problems_from_spec, write_jsonl};
    use regrowth_mcts::{RunOptions, Search, SearchConfig};
    use regrowth_policy::{Policy, Scripted};
    use regrowth_verifiers::{ProblemVerifier, Verifier};

    /// Trees of the same problems for every `seed`.
    fn trees(seed: u64) -> Vec<TreeRecord> {
        let problems: Vec<Problem> =
            problems_from_spec("choice", Split::Train, 0).unwrap().take(20).collect();
        let config = SearchConfig { seed, ..SearchConfig::best_of(16) };
        let options = RunOptions::default();
        let mut trees = Vec::new();
        Search::new(&Scripted::new(), &ProblemVerifier, &config)
            .options(&options)
            .run(&problems, |tree| trees.push(tree))
            .unwrap();
        trees
    }

    #[test]
    fn right_solutions_are_right_distinct_and_few() {
        let trees = trees(0);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trees.jsonl");
        write_jsonl(&path, &trees).unwrap();
        let solutions = right_solutions(&[path], 2).unwrap();
        assert!(solutions.iter().all(|s| s.policy == Scripted::new().identity() && !s.earlier));
        assert!(solutions.len() > 20 && solutions.len() <= 40, "{}", solutions.len());
        let distinct: BTreeSet<_> =
            solutions.iter().map(|s| (&s.example.prompt, &s.example.completion)).collect();
        assert_eq!(distinct.len(), solutions.len());
        for RightSolution { example, .. } in &solutions {
            let tree = trees.iter().find(|t| t.prompt_ids == example.prompt).unwrap();
            let text = Scripted::new().decode(&example.completion).unwrap();
            assert!(ProblemVerifier.verify(&tree.problem, &text).is_correct(), "{text}");
        }
    }

    #[test]
    fn earlier_files_fill_up_what_the_first_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<PathBuf> = (0..2)
            .map(|seed| {
                let path = dir.path().join(format!("{seed}.jsonl"));
                write_jsonl(&path, trees(seed)).unwrap();
                path
            })
            .collect();
        let most = 6;
        let own = right_solutions(&files[..1], most).unwrap();
        let all = right_solutions(&files, most).unwrap();
        let (kept, added): (Vec<_>, Vec<_>) = all.iter().partition(|s| !s.earlier);
        let rows = |solutions: &[&RightSolution]| -> Vec<_> {
            solutions.iter().map(|s| s.example.completion.clone()).collect()
        };
        assert_eq!(rows(&kept), rows(&own.iter().collect::<Vec<_>>()));
        assert!(!added.is_empty());
        let mut per_prompt: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for solution in &all {
            let seen = per_prompt.entry(&solution.example.prompt).or_default();
            assert!(seen.insert(&solution.example.completion), "a solution is there twice");
            assert!(seen.len() <= most);
        }
    }
}
