//! Extracts preference pairs from a finished tree: a pure function of the tree.
//!
//! The rules follow arXiv:2405.00451, section 2.2. In the comments below, "paper" or "method" marks
//! a default from the paper, "code" one from the authors' program, and "ours" our own. Dropped
//! pairs are counted by reason.

mod rows;

use std::borrow::Cow;
use std::collections::BTreeMap;

use rand::RngExt;
use regrowth_datasets::{PAIR_VERSION, PreferencePair, TokenId, keyed_rng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Strategy;
use crate::config::is_default;
use crate::record::{NodeRecord, TreeRecord};
use crate::{SearchConfig, SearchError, config};

pub use self::rows::extract_rows;

/// Which pairs a tree gives. Unknown keys are refused; a missing key takes its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PairConfig {
    /// Which parents yield a pair (default `committed`, as in the paper).
    pub parents: Parents,
    /// Which sibling is rejected (default `lowest` Q, as in the paper; the authors' code has a flag
    /// that picks one at random).
    pub rejected: Rejected,
    /// Lower bound of the margin `Q_chosen - Q_rejected`, exclusive; must be at least 0 (default
    /// 0).
    pub min_margin: f64,
    /// Fewest visits of the chosen side (default 0: method).
    pub min_visits_chosen: u64,
    /// Fewest visits of the rejected side (default 0: method).
    pub min_visits_rejected: u64,
    /// Only pairs with `Q_chosen > 0` and `Q_rejected < 1`, an option of the paper (default false).
    pub mixed: bool,
    /// Only trees whose committed answer is right (default false; the code's training scripts: true).
    pub correct_only: bool,
    /// Only trees with at least one correct solution (default true, ours: without one, siblings
    /// differ by self-evaluation only). Trees searched without the oracle (no reference answers)
    /// are not filtered. Settings files without this key predate it and mean false.
    #[serde(default)]
    pub solved_only: bool,
    /// Pairs of one tree at most (default 8: method).
    pub max_per_tree: usize,
    /// Which pairs to keep if a tree has more (default those with the largest margins; ours).
    #[serde(skip_serializing_if = "is_default")]
    pub keep: Keep,
    /// When the Q and the visits of a pair are taken (default at the end of the search).
    #[serde(skip_serializing_if = "is_default")]
    pub values: PairValues,
    /// Whether a step with a single child is merged with it, repeatedly, into one longer step
    /// (default true, as in the paper).
    pub glue_chains: bool,
    /// Whether the label smoothing alpha of a pair comes from visit counts (default true, as in the
    /// paper); otherwise it is 0.
    pub smoothing: bool,
}

impl Default for PairConfig {
    fn default() -> Self {
        Self {
            parents: Parents::Committed,
            rejected: Rejected::Lowest,
            min_margin: 0.0,
            min_visits_chosen: 0,
            min_visits_rejected: 0,
            mixed: false,
            correct_only: false,
            solved_only: true,
            max_per_tree: 8,
            keep: Keep::LargestMargins,
            values: PairValues::End,
            glue_chains: true,
            smoothing: true,
        }
    }
}

impl PairConfig {
    /// For the embedded model.
    #[must_use]
    pub fn builtin() -> Self {
        Self {
            parents: Parents::All, // `docs/experiments`, log 0001: the committed path alone gains less
            min_margin: 0.6,       // the same: as good as 0, with fewer pairs
            solved_only: false,    // as the figures of all logs
            ..Self::default()
        }
    }

    /// Pair rules of the authors' code and training scripts; not `rejected = "random"`, which is a
    /// flag there.
    #[must_use]
    pub fn paper() -> Self {
        Self {
            correct_only: true,
            keep: Keep::First,
            values: PairValues::Commit,
            ..Self::default()
        }
    }

    /// Checks every range.
    ///
    /// # Errors
    /// [`SearchError::Config`] naming the first field that is out of its range.
    pub fn check(&self) -> Result<(), SearchError> {
        let margin = self.min_margin;
        let ok = margin.is_finite() && margin >= 0.0;
        config::check("min_margin", "a number of at least 0", margin, ok)?;
        config::check("max_per_tree", "at least 1", self.max_per_tree, self.max_per_tree >= 1)
    }

    /// Checks that trees of this search hold what the rules ask for.
    ///
    /// # Errors
    /// [`SearchError::Config`] if `values = "commit"` but the search does not store Q and visits at
    /// commits.
    pub fn check_for(&self, search: &SearchConfig) -> Result<(), SearchError> {
        let kept = search.commit_values && search.strategy == Strategy::Mcts;
        let expected =
            "`end`, unless `search.commit_values = true` and `search.strategy = \"mcts\"`";
        config::check("pairs.values", expected, "commit", kept || self.values == PairValues::End)
    }
}

/// Which parents give a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parents {
    /// The nodes of the committed path.
    Committed,
    /// Every node with at least two children.
    All,
}

/// Which sibling is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rejected {
    /// The lowest Q.
    Lowest,
    /// The second highest Q.
    Second,
    /// A random sibling other than the best, drawn with the search's seed.
    Random,
}

/// Which pairs of a tree with too many stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Those with the largest margins.
    #[default]
    LargestMargins,
    /// The shallowest ones, as in the authors' code.
    First,
}

/// When the values of a pair are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairValues {
    /// At the end of the search.
    #[default]
    End,
    /// When the search committed to one of the siblings, as in the authors' code. For parents off
    /// the committed path, the values at the end are used. Needs trees with `search.commit_values =
    /// true`.
    Commit,
}

/// Why a pair or a tree was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// The tree's committed answer is wrong and `correct_only` is on.
    TreeNotCorrect,
    /// The tree has no right solution and `solved_only` is on.
    TreeNotSolved,
    /// The tree's row has no values at commits, and `values = "commit"` asks for them.
    NoCommitValues,
    /// The parent has fewer than two children.
    NoSibling,
    /// The margin is not above `min_margin`.
    SmallMargin,
    /// A side has fewer visits than asked for.
    FewVisits,
    /// `mixed` is on, and not (`Q_chosen > 0` and `Q_rejected < 1`).
    NotMixed,
    /// Both sides say the same, though their token ids differ.
    SameText,
    /// The tree already has `max_per_tree` better pairs.
    TooManyPerTree,
}

impl DropReason {
    /// The name it is counted by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TreeNotCorrect => "tree_not_correct",
            Self::TreeNotSolved => "tree_not_solved",
            Self::NoCommitValues => "no_commit_values",
            Self::NoSibling => "no_sibling",
            Self::SmallMargin => "small_margin",
            Self::FewVisits => "few_visits",
            Self::NotMixed => "not_mixed",
            Self::SameText => "same_text",
            Self::TooManyPerTree => "too_many_per_tree",
        }
    }

    /// The reason as pages and reports say it.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Self::TreeNotCorrect => "the tree's committed answer is wrong",
            Self::TreeNotSolved => "the tree has no right solution",
            Self::NoCommitValues => "the tree keeps no values of its commits",
            Self::NoSibling => "no sibling to compare with",
            Self::SmallMargin => "values too close: margin not above the threshold",
            Self::FewVisits => "too few visits of one side",
            Self::NotMixed => "both steps lead to the same kind of outcome",
            Self::SameText => "both steps say the same",
            Self::TooManyPerTree => "the tree has enough other pairs",
        }
    }
}

/// Pairs of one tree and what was left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExtractedPairs {
    /// The pairs, by depth and then by parent.
    pub pairs: Vec<PreferencePair>,
    /// Ids of the chosen and the rejected child of each pair.
    pub sides: Vec<(u32, u32)>,
    /// How many were left out, by reason.
    pub dropped: BTreeMap<DropReason, u64>,
}

/// Extracts the pairs of a tree (arXiv:2405.00451, section 2.2).
#[must_use]
pub fn extract_pairs(tree: &TreeRecord, config: &PairConfig) -> ExtractedPairs {
    let mut out = ExtractedPairs::default();
    if let Some(reason) = refused(tree, config) {
        out.dropped.insert(reason, 1);
        return out;
    }
    let tree = match config.values {
        PairValues::End => Cow::Borrowed(tree),
        PairValues::Commit => Cow::Owned(at_commits(tree)),
    };
    let tree = &*tree;
    let children = children_of(tree);
    let mut found = Vec::new();
    for parent in parents(tree, config.parents) {
        match pair_at(tree, config, &children, parent) {
            Ok((sides, pair)) => found.push((sides, pair)),
            Err(reason) => *out.dropped.entry(reason).or_default() += 1,
        }
    }
    let surplus = found.len().saturating_sub(config.max_per_tree);
    let by_place = |found: &mut Vec<PairWithIds>| {
        found.sort_by_key(|(sides, pair)| (pair.depth, tree.nodes[sides.0 as usize].parent));
    };
    if surplus > 0 {
        match config.keep {
            // A stable sort: of equal margins the shallower parent stays.
            Keep::LargestMargins => found.sort_by(|a, b| b.1.margin.total_cmp(&a.1.margin)),
            Keep::First => by_place(&mut found),
        }
        found.truncate(config.max_per_tree);
        out.dropped.insert(DropReason::TooManyPerTree, surplus as u64);
    }
    by_place(&mut found);
    (out.sides, out.pairs) = found.into_iter().unzip();
    out
}

/// Node ids of (chosen, rejected), and the pair made of them.
type PairWithIds = ((u32, u32), PreferencePair);

/// Why the whole tree is skipped; `None` if it is not.
fn refused(tree: &TreeRecord, config: &PairConfig) -> Option<DropReason> {
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
fn at_commits(tree: &TreeRecord) -> TreeRecord {
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
            let ended = tree.committed.len().saturating_sub(1);
            std::iter::once(0).chain(tree.committed[..ended].iter().copied()).collect()
        }
        Parents::All => {
            let parents = tree.nodes.iter().filter_map(|n| n.parent);
            parents.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        }
    }
}

/// The pair among the children of one parent, or why there is none.
fn pair_at(
    tree: &TreeRecord,
    config: &PairConfig,
    children: &[Vec<u32>],
    parent: u32,
) -> Result<PairWithIds, DropReason> {
    let siblings = &children[parent as usize];
    let node = |id: u32| &tree.nodes[id as usize];
    let (best, worst) = choose(tree, config, siblings, parent).ok_or(DropReason::NoSibling)?;
    let (w, l) = (node(best), node(worst));
    let margin = w.q - l.q;
    if margin.is_nan() || margin <= config.min_margin {
        return Err(DropReason::SmallMargin);
    }
    if w.visits < config.min_visits_chosen || l.visits < config.min_visits_rejected {
        return Err(DropReason::FewVisits);
    }
    if config.mixed && !(w.q > 0.0 && l.q < 1.0) {
        return Err(DropReason::NotMixed);
    }
    let chosen = Side::new(tree, config, children, best);
    let rejected = Side::new(tree, config, children, worst);
    if chosen.text == rejected.text {
        return Err(DropReason::SameText);
    }
    let alpha = if config.smoothing { alpha(w.visits, l.visits) } else { 0.0 };
    Ok(((best, worst), assemble(tree, parent, (w, chosen), (l, rejected), alpha)))
}

/// Chosen and rejected child.
fn choose(
    tree: &TreeRecord,
    config: &PairConfig,
    siblings: &[u32],
    parent: u32,
) -> Option<(u32, u32)> {
    if siblings.len() < 2 {
        return None;
    }
    // Best first. The sort is stable, so of equal Q the first child wins.
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
    };
    Some((ranked[0], ranked[rejected]))
}

/// Label smoothing from visits: `N_rejected / (max(1, N_chosen) + N_rejected)`, at most 0.5
/// (arXiv:2405.00451, section 2.2).
#[must_use]
pub fn alpha(visits_chosen: u64, visits_rejected: u64) -> f64 {
    let (w, l) = (visits_chosen.max(1) as f64, visits_rejected as f64);
    (l / (w + l)).min(0.5)
}

/// One side of a pair: a step, merged with the single-child steps that follow it (`glue_chains`).
struct Side {
    text: String,
    ids: Vec<TokenId>,
    logps: Vec<f32>,
    exact: bool,
    injected: bool,
    terminal: bool,
    outcome: f64,
}

impl Side {
    fn new(tree: &TreeRecord, config: &PairConfig, children: &[Vec<u32>], id: u32) -> Self {
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

fn assemble(
    tree: &TreeRecord,
    parent: u32,
    (w, chosen): (&NodeRecord, Side),
    (l, rejected): (&NodeRecord, Side),
    alpha: f64,
) -> PreferencePair {
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

#[cfg(test)]
pub(crate) mod tests;
