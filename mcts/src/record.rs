//! A finished tree as a row of `trees.jsonl`.
//!
//! A row contains everything that pairs, viewers and statistics need, and nothing that could differ between
//! two runs with one seed: no time, no path, no thread count, no batch size, no cost that depends on a cache.
//! Readers refuse rows of a newer version.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use regrowth_datasets::{Finish, Problem, TokenId};
use regrowth_verifiers::{About, Finding, FoundBy, whole_turn};
use serde::{Deserialize, Serialize};

use crate::SearchError;
use crate::state::StepState;

/// Version of the row that this program writes.
pub const TREE_VERSION: u32 = 1;

/// One finished tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeRecord {
    /// [`TREE_VERSION`].
    pub version: u32,
    /// Round of the run, from 1; 0 outside a run.
    pub round: u32,
    /// Identity of the policy that sampled the steps.
    pub policy: String,
    /// Seed of the search.
    pub seed: u64,
    /// Whether the outcome reward saw the reference answer.
    pub oracle: bool,
    /// Whether the judge saw the reference solution.
    pub hinted: bool,
    /// Identity of the policy that judged the steps; absent if the searched policy judged them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge: Option<String>,
    /// Identity of the probe that judged the steps; absent if no probe judged them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// Command of the verifier that checked solutions or steps; absent for the built-in grader.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
    /// Whether a time-based stopping rule was set; another run may then give a different tree.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed: bool,
    /// The problem.
    pub problem: Problem,
    /// The prompt as text.
    pub prompt: String,
    /// The prompt as token ids.
    pub prompt_ids: Vec<TokenId>,
    /// Nodes in breadth-first order: the root is first, siblings are adjacent. (With several leaves in flight
    /// the order of creation depends on timing; this order does not.)
    pub nodes: Vec<NodeRecord>,
    /// Ids of the committed nodes, from the root's child to the end of the solution.
    pub committed: Vec<u32>,
    /// Statistics of the search root's children at each commit, in the order of `committed`; empty unless the
    /// search was configured to keep them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<CommitRecord>,
    /// Whether the committed solution is right; checked after the search.
    pub correct: bool,
    /// Number of completed simulations.
    pub simulations: u64,
    /// Number of requests for candidates.
    pub propose_calls: u64,
    /// Number of requests for judgements.
    pub judge_calls: u64,
    /// Number of requests for log-probabilities of injected steps.
    #[serde(default)]
    pub score_calls: u64,
    /// Number of sampled tokens, including those of dropped duplicates.
    pub sampled_tokens: u64,
    /// Number of candidates dropped because a sibling has the same token ids or a similar text.
    pub duplicates: u64,
}

/// Statistics of a search root's children at the commit, in the order of the children. The search continues
/// below only one of them, so only that child's values change afterwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// Q of each child.
    pub q: Vec<f64>,
    /// Completed visits of each child.
    pub visits: Vec<u64>,
}

/// One node of a tree, with the step that leads to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Id of the parent; absent for the root.
    pub parent: Option<u32>,
    /// Number of steps from the root to this node.
    pub depth: u32,
    /// Text of the step.
    pub text: String,
    /// Token ids of the step.
    pub ids: Vec<TokenId>,
    /// Log-probability of each id under the policy, recorded while sampling or, for an injected step,
    /// requested.
    pub logps: Vec<f32>,
    /// Whether `logps` may serve as the reference's in DPO: the step was sampled, not injected, at
    /// temperature 1 without top-k, top-p or min-p.
    pub logps_exact: bool,
    /// Whether the step was injected from the reference solution.
    #[serde(default)]
    pub injected: bool,
    /// Why the step ended; absent for the root.
    pub finish: Option<Finish>,
    /// Whether the solution ends with this step.
    pub terminal: bool,
    /// Prior of the step.
    pub prior: f64,
    /// Completed visits.
    pub visits: u64,
    /// Reward of the step.
    pub reward: f64,
    /// Q of the step.
    pub q: f64,
    /// V of the state after the step.
    pub v: f64,
    /// Self-evaluation: the judge's probability that the step is right, in [0, 1]; absent if unknown or not
    /// requested.
    pub self_evaluation: Option<f64>,
    /// Outcome part of the value; 0 unless terminal. An undecided answer has the outcome of a wrong one, or 0
    /// if a verifier command gave no verdict.
    pub outcome: f64,
    /// Findings of a verifier command and of the equation checker about the step or the solution; absent if
    /// neither was used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The policy's hidden state at the end of the step; absent unless the search stores states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_state: Option<StepState>,
}

impl NodeRecord {
    /// A verifier command's finding about the solution that ends here; `None` if there is none.
    #[must_use]
    pub fn checked(&self) -> Option<&Finding> {
        checked(&self.findings)
    }
}

/// A verifier command's finding about a solution, from the findings stored with its last step; `None` if
/// there is none.
pub(crate) fn checked(findings: &[Finding]) -> Option<&Finding> {
    findings.iter().find(|found| found.by == FoundBy::Command && found.about == About::Solution)
}

impl TreeRecord {
    /// Per node, the number of verified solutions through it, and how many of them are right.
    pub(crate) fn solutions_below(&self) -> Vec<(u64, u64)> {
        let mut counts = vec![(0, 0); self.nodes.len()];
        // Children come after their parents, so a reverse iteration visits children first.
        for (id, node) in self.nodes.iter().enumerate().rev() {
            if node.terminal && node.outcome != 0.0 {
                counts[id].0 += 1;
                counts[id].1 += u64::from(node.outcome > 0.0);
            }
            if let Some(parent) = node.parent {
                let (all, right) = counts[id];
                let above: &mut (u64, u64) = &mut counts[parent as usize];
                above.0 += all;
                above.1 += right;
            }
        }
        counts
    }

    /// Number of tokens of the prompt and of all steps, counting a common beginning of several solutions once
    /// (the size of their prefix tree). EOS is not counted, because nothing follows it.
    #[must_use]
    pub fn unique_tokens(&self) -> u64 {
        let mut paths: Vec<Vec<TokenId>> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let ends = usize::from(node.finish == Some(Finish::Eos));
            let before =
                node.parent.and_then(|p| paths.get(p as usize)).unwrap_or(&self.prompt_ids);
            paths.push([before, &node.ids[..node.ids.len().saturating_sub(ends)]].concat());
        }
        paths.sort_unstable();
        let known = |(a, b): (&Vec<TokenId>, &Vec<TokenId>)| {
            a.iter().zip(b).take_while(|(x, y)| x == y).count()
        };
        let all: usize = paths.iter().map(Vec::len).sum();
        // In sorted order, a path shares its longest common beginning with the path before it.
        (all - paths.iter().zip(paths.iter().skip(1)).map(known).sum::<usize>()) as u64
    }

    /// Whether the tree contains a right solution. Known only with the oracle, where a wrong solution has
    /// outcome -1 and a right one never has an outcome below 0; false without the oracle.
    #[must_use]
    pub fn is_solved(&self) -> bool {
        let right = |node: &NodeRecord| match node.checked() {
            Some(finding) => finding.correct == Some(true),
            None => node.outcome >= 0.0,
        };
        self.oracle && self.nodes.iter().any(|node| node.terminal && right(node))
    }

    /// Ids of the children of `node`, in order.
    #[must_use]
    pub fn children(&self, node: u32) -> Vec<u32> {
        let parents = self.nodes.iter().map(|n| n.parent);
        parents.enumerate().filter(|(_, p)| *p == Some(node)).map(|(i, _)| i as u32).collect()
    }

    /// Ids from the root's child down to `node`, in order; empty for the root.
    #[must_use]
    pub fn path(&self, node: u32) -> Vec<u32> {
        let mut path = Vec::new();
        let mut at = node;
        while let Some(parent) = self.nodes[at as usize].parent {
            path.push(at);
            at = parent;
        }
        path.reverse();
        path
    }

    /// Text and token ids of the prompt and of the steps up to and including `node`'s.
    #[must_use]
    pub fn prefix(&self, node: u32) -> (String, Vec<TokenId>) {
        let (mut text, mut ids) = (self.prompt.clone(), self.prompt_ids.clone());
        for id in self.path(node) {
            text.push_str(&self.nodes[id as usize].text);
            ids.extend_from_slice(&self.nodes[id as usize].ids);
        }
        (text, ids)
    }

    /// Text of the solution up to and including `node`'s step; empty for the root.
    #[must_use]
    pub fn text(&self, node: u32) -> String {
        self.path(node).into_iter().map(|id| self.nodes[id as usize].text.as_str()).collect()
    }

    /// [`Self::text`], with the opening tag of the thought added if the prompt ends inside a thought.
    #[must_use]
    pub fn turn(&self, node: u32) -> String {
        whole_turn(&self.prompt, &self.text(node)).into_owned()
    }

    /// Text of the committed solution.
    #[must_use]
    pub fn solution(&self) -> String {
        self.committed.iter().map(|&id| self.nodes[id as usize].text.as_str()).collect()
    }
}

/// Streams the trees of a file.
///
/// # Errors
/// [`SearchError::Io`] if the file cannot be opened. An item is [`SearchError::Row`] if a line is not a
/// well-formed tree of a known version.
pub fn read_trees(
    path: &Path,
) -> Result<impl Iterator<Item = Result<TreeRecord, SearchError>> + use<>, SearchError> {
    let path = path.to_owned();
    let io = |path: &Path, source| SearchError::Io { path: path.to_owned(), source };
    let file = File::open(&path).map_err(|e| io(&path, e))?;
    let lines = BufReader::new(file).lines().enumerate();
    Ok(lines.filter_map(move |(index, line)| match line {
        Ok(line) if line.trim().is_empty() => None,
        Ok(line) => Some(parse_row(&path, index + 1, &line)),
        Err(error) => Some(Err(io(&path, error))),
    }))
}

/// Parses the tree in one line of a file; `line` counts from 1.
pub(crate) fn parse_row(path: &Path, line: usize, text: &str) -> Result<TreeRecord, SearchError> {
    parse(text).map_err(|detail| SearchError::Row {
        path: path.to_owned(),
        line,
        version: TREE_VERSION,
        detail,
    })
}

fn parse(line: &str) -> Result<TreeRecord, String> {
    let tree: TreeRecord = serde_json::from_str(line).map_err(|e| e.to_string())?;
    if tree.version > TREE_VERSION {
        return Err(format!("version {}", tree.version));
    }
    let rooted = tree.nodes.first().is_some_and(|root| root.parent.is_none() && root.depth == 0);
    if !rooted {
        return Err("nodes that do not begin with a root at depth 0".to_owned());
    }
    for (id, node) in tree.nodes.iter().enumerate().skip(1) {
        let parent = node.parent.filter(|&parent| (parent as usize) < id);
        let above = parent.map(|parent| tree.nodes[parent as usize].depth);
        if above.and_then(|depth| depth.checked_add(1)) != Some(node.depth) {
            return Err(format!("nodes that do not form a tree: node {id}"));
        }
        if node.ids.len() != node.logps.len() {
            let (ids, logps) = (node.ids.len(), node.logps.len());
            return Err(format!("node {id} has {ids} ids, but {logps} log-probabilities"));
        }
    }
    let mut at = 0;
    for &id in &tree.committed {
        if tree.nodes.get(id as usize).is_none_or(|node| node.parent != Some(at)) {
            return Err(format!("`committed` is no path from the root: node {id}"));
        }
        at = id;
    }
    check_commits(&tree)?;
    Ok(tree)
}

/// Checks that recorded commits match the committed path.
fn check_commits(tree: &TreeRecord) -> Result<(), String> {
    if tree.commits.is_empty() {
        return Ok(());
    }
    if tree.commits.len() != tree.committed.len() {
        let (found, steps) = (tree.commits.len(), tree.committed.len());
        return Err(format!("{found} `commits` for {steps} `committed` nodes"));
    }
    let roots = std::iter::once(0).chain(tree.committed.iter().copied());
    for (index, (root, commit)) in roots.zip(&tree.commits).enumerate() {
        let children = tree.children(root).len();
        if commit.q.len() != children || commit.visits.len() != children {
            return Err(format!(
                "`commits` {index}: expected `q` and `visits` of the {children} children of node \
                 {root}"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::tests::example;

    #[test]
    fn rows_of_inconsistent_shape_are_refused_with_the_node() {
        let refused = |change: fn(&mut TreeRecord)| {
            let mut tree = example();
            change(&mut tree);
            parse(&serde_json::to_string(&tree).expect("JSON")).expect_err("is refused")
        };
        assert!(parse(&serde_json::to_string(&example()).expect("JSON")).is_ok());
        assert!(refused(|tree| tree.nodes[4].depth = 4_000_000_000).ends_with("node 4"));
        assert!(refused(|tree| tree.nodes[1].parent = Some(1)).ends_with("node 1"));
        assert!(refused(|tree| tree.nodes[3].logps.clear()).starts_with("node 3 has"));
        assert!(refused(|tree| tree.committed = vec![2, 3]).ends_with("node 3"));
        assert!(refused(|tree| tree.nodes.clear()).contains("root"));
        let commit = |children| CommitRecord { q: vec![0.0; children], visits: vec![1; children] };
        let mut tree = example();
        tree.commits = vec![commit(3), commit(2), commit(1)];
        assert!(parse(&serde_json::to_string(&tree).expect("JSON")).is_ok());
        let short = refused(|tree| tree.commits = vec![CommitRecord { q: vec![], visits: vec![] }]);
        assert!(short.contains("1 `commits` for 3"), "{short}");
        tree.commits[1] = commit(3);
        let wrong = parse(&serde_json::to_string(&tree).expect("JSON")).expect_err("is refused");
        assert!(wrong.contains("`commits` 1") && wrong.contains("node 2"), "{wrong}");
    }
}
