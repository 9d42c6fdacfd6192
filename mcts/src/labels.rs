//! Extracts step labels from a finished tree: steps with the outcomes of the solutions through them.
//!
//! A pure function of the tree, the counterpart of `pairs` for training the judge. The paper uses the policy
//! as the judge without training it; but outcomes below a step are a Monte Carlo estimate of the value of the
//! state after it.

use rand::seq::SliceRandom;
use regrowth_datasets::{STEP_LABEL_VERSION, StepLabel, keyed_rng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::TreeRecord;
use crate::{SearchError, config};

/// Rules for extracting step labels from a tree. Unknown keys are refused; a missing key takes its default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StepLabelConfig {
    /// Maximum number of labels of one tree, sampled uniformly with the search's seed (default 8: as many as
    /// pairs).
    pub max_per_tree: usize,
    /// Minimum number of verified solutions through a step that does not end a solution (default 2).
    pub min_solutions: u64,
}

impl Default for StepLabelConfig {
    fn default() -> Self {
        Self { max_per_tree: 8, min_solutions: 2 }
    }
}

impl StepLabelConfig {
    /// Checks every range.
    ///
    /// # Errors
    /// [`SearchError::Config`] naming the first field that is out of its range.
    pub fn check(&self) -> Result<(), SearchError> {
        let most = self.max_per_tree;
        config::check("step_labels.max_per_tree", "at least 1", most, most >= 1)
    }
}

/// The step labels of a tree, in node order. Empty if the search saw no reference answer, because then
/// nothing was verified.
#[must_use]
pub fn extract_step_labels(tree: &TreeRecord, config: &StepLabelConfig) -> Vec<StepLabel> {
    if !tree.oracle {
        return vec![];
    }
    let counts = tree.solutions_below();
    let enough = |id: usize| {
        let fewest = if tree.nodes[id].terminal { 1 } else { config.min_solutions.max(1) };
        counts[id].0 >= fewest
    };
    let mut nodes: Vec<usize> = (1..tree.nodes.len()).filter(|&id| enough(id)).collect();
    // Sample uniformly, because a search has all steps judged, not only the best ones.
    nodes.shuffle(&mut keyed_rng(tree.seed, &[b"step_labels", tree.problem.id.as_bytes()]));
    nodes.truncate(config.max_per_tree);
    nodes.sort_unstable();
    nodes.into_iter().map(|id| label(tree, id, counts[id])).collect()
}

fn label(tree: &TreeRecord, id: usize, (solutions, right): (u64, u64)) -> StepLabel {
    let node = &tree.nodes[id];
    let (prompt, prompt_ids) = tree.prefix(node.parent.unwrap_or(0));
    StepLabel {
        version: STEP_LABEL_VERSION,
        problem_id: tree.problem.id.clone(),
        round: tree.round,
        policy: tree.policy.clone(),
        depth: node.depth,
        terminal: node.terminal,
        prompt,
        completion: node.text.clone(),
        label: right > 0,
        prompt_ids,
        completion_ids: node.ids.clone(),
        solutions,
        right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::tests::tree;

    /// Node 1 has three solutions below it, two of them right. Node 2 is a wrong solution. 3 and 4 are below
    /// 1, 5 and 6 below 4.
    fn example() -> TreeRecord {
        let plan = [
            (0, 0.5, 3, "a\n"),
            (0, -1.0, 1, "b"),
            (1, 1.0, 1, "c"),
            (1, 0.0, 2, "d\n"),
            (4, 1.0, 1, "e"),
            (4, -1.0, 1, "f"),
        ];
        let mut tree = tree(&plan, &[1, 3]);
        for (id, outcome) in [(2, -1.0), (3, 1.0), (5, 1.0), (6, -1.0)] {
            tree.nodes[id].terminal = true;
            tree.nodes[id].outcome = outcome;
        }
        tree
    }

    #[test]
    fn outcomes_are_counted_towards_every_step_above_them() {
        let all = StepLabelConfig { max_per_tree: 99, min_solutions: 1 };
        let rows = extract_step_labels(&example(), &all);
        let counts: Vec<_> =
            rows.iter().map(|r| (r.completion.as_str(), r.solutions, r.right, r.label)).collect();
        let expected = [
            ("a\n", 3, 2, true),
            ("b", 1, 0, false),
            ("c", 1, 1, true),
            ("d\n", 2, 1, true),
            ("e", 1, 1, true),
            ("f", 1, 0, false),
        ];
        assert_eq!(counts, expected);
        let last = &rows[5];
        assert_eq!((last.prompt.as_str(), last.depth, last.terminal), ("Q:a\nd\n", 3, true));
        let ids = [vec![81, 58], example().nodes[1].ids.clone(), example().nodes[4].ids.clone()];
        assert_eq!(last.prompt_ids, ids.concat());
        assert_eq!(last.completion_ids, example().nodes[6].ids);
    }

    #[test]
    fn steps_with_few_solutions_are_left_out_but_not_ends() {
        let config = StepLabelConfig { max_per_tree: 99, min_solutions: 3 };
        let rows = extract_step_labels(&example(), &config);
        let texts: Vec<_> = rows.iter().map(|r| r.completion.as_str()).collect();
        assert_eq!(texts, ["a\n", "b", "c", "e", "f"]);
    }

    #[test]
    fn a_draw_depends_on_the_seed_alone_and_stays_in_order() {
        let few = StepLabelConfig { max_per_tree: 3, min_solutions: 1 };
        let rows = extract_step_labels(&example(), &few);
        assert_eq!(rows.len(), 3);
        assert_eq!(rows, extract_step_labels(&example(), &few));
        assert!(rows.is_sorted_by_key(|r| r.depth));
    }

    #[test]
    fn a_search_without_the_answer_verifies_nothing() {
        let tree = TreeRecord { oracle: false, ..example() };
        assert!(extract_step_labels(&tree, &StepLabelConfig::default()).is_empty());
    }
}
