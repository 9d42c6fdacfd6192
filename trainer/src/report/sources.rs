//! What the page is made of, read from the folder of a run. What is missing or cannot be read is left out,
//! because a page about the rest is better than none.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::UNIX_EPOCH;

use regrowth_datasets::{JsonlReader, PreferencePair, Problem, read_jsonl};
use regrowth_mcts::audit::{AuditRow, Factor, PairAudit, audit};
use regrowth_mcts::viewer::{TreeSet, TreeView};
use regrowth_mcts::{PairConfig, TreeRecord, extract_pairs, read_trees};
use serde_json::{Map, Value};

use super::examples::picked;
use crate::clock::utc;
use crate::rounds::{
    EvalRow, Machine, RoundReport, RunFile, RunReport, TEST, Times, path_of, read_cost,
    read_run_file, round_dir, rows_trained,
};

/// Trees of a round that are looked at to choose those that are shown (taste: a second of reading).
const TREES_READ: usize = 1000;
/// Trees of a round that are shown for what they are like, and for being shown in an earlier round.
const TREES_SHOWN: usize = 12;
/// Nodes of all shown trees: bounds their part of the page at about 5 MB, however many rounds there are.
const NODES_SHOWN: usize = 24_000;
/// Pairs of a round that are looked at (taste: a few megabytes of reading).
pub(super) const PAIRS_READ: usize = 2000;

/// Everything that the sections read.
pub(super) struct Sources<'a> {
    pub(super) run: &'a Path,
    pub(super) report: &'a RunReport,
    pub(super) test: &'a [Problem],
    /// What the run was started with.
    pub(super) file: Option<RunFile>,
    /// Of each round in the report.
    pub(super) rounds: Vec<RoundSources<'a>>,
    /// When the run began and when its test problems were answered.
    pub(super) started: Option<String>,
    pub(super) finished: Option<String>,
}

/// What lies in the folder of a round.
pub(super) struct RoundSources<'a> {
    pub(super) report: &'a RoundReport,
    /// Answers to the test problems of the policy after the round; empty if it was not asked.
    pub(super) answers: Vec<EvalRow>,
    /// Rows of `metrics.jsonl`.
    pub(super) metrics: Vec<Map<String, Value>>,
    /// Tokens of the chosen and the rejected side of the first [`PAIRS_READ`] pairs.
    pub(super) lengths: Vec<(usize, usize)>,
    /// Factors, evidence and test problems of the same pairs; `None` without pairs.
    pub(super) audit: Option<PairAudit>,
    /// Pairs that stand for others, each with what it stands for.
    pub(super) examples: Vec<(&'static str, PreferencePair)>,
    /// Some trees.
    pub(super) trees: Vec<TreeRecord>,
    /// Pairs or solutions that were trained on.
    pub(super) rows_trained: Option<u64>,
    /// Where it ran.
    pub(super) machine: Machine,
    /// When it was worked on.
    times: Times,
}

impl<'a> Sources<'a> {
    pub(super) fn read(run: &'a Path, report: &'a RunReport, test: &'a [Problem]) -> Self {
        let file = read_run_file(run).ok().flatten();
        let rules = &report.config.pairs;
        let mut rounds: Vec<RoundSources> = Vec::new();
        let mut shown = BTreeSet::new();
        let searched = report.rounds.iter().filter(|round| round.trees > 0).count();
        let nodes = NODES_SHOWN / searched.max(1);
        for round in &report.rounds {
            let folder = round_dir(run, round.round);
            let cost = read_cost(&folder);
            let mut answers: Vec<EvalRow> = read_jsonl(&path_of(&folder, TEST)).unwrap_or_default();
            if answers.is_empty() && round.test.is_some() {
                // Nothing was trained: the round ends with a policy that was asked before.
                let same = rounds.iter().find(|earlier| earlier.report.policy == round.policy);
                answers = same.map(|earlier| earlier.answers.clone()).unwrap_or_default();
            }
            let pairs = some_rows(&folder.join("pairs.jsonl"), PAIRS_READ);
            let examples: Vec<_> =
                picked(&pairs).into_iter().map(|(w, p)| (w, p.clone())).collect();
            shown.extend(examples.iter().map(|(_, pair)| pair.problem_id.clone()));
            let trees = chosen_trees(&folder.join("trees.jsonl"), rules, nodes, &mut shown);
            rounds.push(RoundSources {
                report: round,
                answers,
                metrics: read_jsonl(&folder.join("metrics.jsonl")).unwrap_or_default(),
                lengths: pairs.iter().map(|p| (p.chosen_ids.len(), p.rejected_ids.len())).collect(),
                audit: audited(&pairs, test),
                examples,
                trees,
                rows_trained: rows_trained(&folder),
                machine: cost.machine,
                times: cost.times,
            });
        }
        let began = rounds.iter().filter_map(|round| round.times.began).min();
        let ended = rounds.iter().filter_map(|round| round.times.ended).max();
        // Runs of older versions did not note it; a copy of such a run shows when it was copied.
        let started = began.map(minute).or_else(|| file_time(&run.join("run.json")));
        let finished = ended.map(minute).or_else(|| file_time(&path_of(run, TEST)));
        Self { run, report, test, file, rounds, started, finished }
    }

    /// What figures and curves need, and no more: it is read again and again while a run goes. `next` is the
    /// round in hand, of which there are training metrics at most.
    pub(super) fn figures(run: &'a Path, report: &'a RunReport, next: &'a RoundReport) -> Self {
        let rounds = report.rounds.iter().chain([next]).map(|round| RoundSources {
            report: round,
            answers: Vec::new(),
            metrics: whole_rows(&round_dir(run, round.round).join("metrics.jsonl")),
            lengths: Vec::new(),
            audit: None,
            examples: Vec::new(),
            trees: Vec::new(),
            rows_trained: rows_trained(&round_dir(run, round.round)),
            machine: Machine::default(),
            times: Times::default(),
        });
        let rounds = rounds.collect();
        Self { run, report, test: &[], file: None, rounds, started: None, finished: None }
    }

    /// The trees of the page, a set for each round that has some.
    pub(super) fn tree_sets(&self) -> Vec<TreeSet> {
        let rules = &self.report.config.pairs;
        let sets = self.rounds.iter().filter(|round| !round.trees.is_empty()).map(|round| {
            let trees = round.trees.iter().map(|tree| TreeView::new(tree, rules)).collect();
            let number = round.report.round;
            TreeSet::new(&format!("round {number}"), round.report.trees as usize, trees)
        });
        sets.collect()
    }

    /// A cell for each round of the report.
    pub(super) fn by_round(&self, cell: impl Fn(&RoundSources<'a>) -> String) -> Vec<String> {
        self.rounds.iter().take(self.report.rounds.len()).map(cell).collect()
    }

    /// The rounds that grew trees.
    pub(super) fn searched(&self) -> impl Iterator<Item = &RoundSources<'a>> {
        self.rounds.iter().filter(|round| round.report.trees > 0)
    }
}

/// The audit of some pairs, with these test problems where there are any.
fn audited(pairs: &[PreferencePair], test: &[Problem]) -> Option<PairAudit> {
    let rows: Vec<AuditRow> = pairs.iter().map(AuditRow::from).collect();
    let test = (!test.is_empty()).then_some(test);
    (!rows.is_empty()).then(|| audit(&rows, &Factor::builtin(), test))
}

/// The rows of a file before the first one that is half-written.
fn whole_rows(path: &Path) -> Vec<Map<String, Value>> {
    JsonlReader::open(path).map(|rows| rows.map_while(Result::ok).collect()).unwrap_or_default()
}

/// The first rows of a file; none where it cannot be read.
fn some_rows(path: &Path, most: usize) -> Vec<PreferencePair> {
    JsonlReader::open(path).map(|rows| rows.take(most).flatten().collect()).unwrap_or_default()
}

/// Trees that show most: problems that are shown elsewhere (`shown`: of an earlier round, or as an example of
/// a pair), then those with right and
/// wrong solutions and the most pairs, then others; at least one, and no more than `most_nodes` allows. In the
/// order of the file.
fn chosen_trees(
    path: &Path,
    rules: &PairConfig,
    most_nodes: usize,
    shown: &mut BTreeSet<String>,
) -> Vec<TreeRecord> {
    let Ok(trees) = read_trees(path) else { return Vec::new() };
    let mut ranked: Vec<((bool, bool, usize), usize, TreeRecord)> = Vec::new();
    for (place, tree) in trees.take(TREES_READ).flatten().enumerate() {
        let pairs = extract_pairs(&tree, rules).pairs.len();
        let rank = (shown.contains(&tree.problem.id), is_mixed(&tree), pairs);
        ranked.push((rank, place, tree));
        ranked.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        ranked.truncate(TREES_SHOWN);
    }
    let mut nodes = 0;
    ranked.retain(|(_, _, tree)| {
        let fits = nodes == 0 || nodes + tree.nodes.len() <= most_nodes;
        nodes += if fits { tree.nodes.len() } else { 0 };
        fits
    });
    ranked.sort_by_key(|(_, place, _)| *place);
    let trees: Vec<TreeRecord> = ranked.into_iter().map(|(_, _, tree)| tree).collect();
    shown.extend(trees.iter().map(|tree| tree.problem.id.clone()));
    trees
}

fn is_mixed(tree: &TreeRecord) -> bool {
    let some = |right: bool| tree.nodes.iter().any(|n| n.terminal && (n.outcome > 0.0) == right);
    some(true) && some(false)
}

fn file_time(path: &Path) -> Option<String> {
    let changed = std::fs::metadata(path).and_then(|m| m.modified()).ok()?;
    Some(minute(changed.duration_since(UNIX_EPOCH).ok()?.as_secs()))
}

/// Seconds since 1970 as a date and a time.
fn minute(seconds: u64) -> String {
    format!("{} UTC", &utc(seconds)[..16])
}
