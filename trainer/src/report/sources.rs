//! Data of the page, read from the folder of a run. Missing and unreadable files are left out, because a page
//! about the rest is better than none.

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

/// Number of a round's trees that are read to choose the trees to show (our choice: a second of reading).
const TREES_READ: usize = 1000;
/// Number of trees to show per round.
const TREES_SHOWN: usize = 12;
/// Maximum number of nodes of all shown trees: limits their part of the page to about 5 MB, for any number of
/// rounds.
const NODES_SHOWN: usize = 24_000;
/// Number of a round's pairs that are read (our choice: a few megabytes of reading).
pub(super) const PAIRS_READ: usize = 2000;

/// Data for all sections.
pub(super) struct Sources<'a> {
    pub(super) run: &'a Path,
    pub(super) report: &'a RunReport,
    pub(super) test: &'a [Problem],
    /// `run.json`; `None` if it cannot be read.
    pub(super) file: Option<RunFile>,
    /// Data of each round in the report.
    pub(super) rounds: Vec<RoundSources<'a>>,
    /// When the run began, and when its last phase ended.
    pub(super) started: Option<String>,
    pub(super) finished: Option<String>,
}

/// Data from the folder of a round.
pub(super) struct RoundSources<'a> {
    pub(super) report: &'a RoundReport,
    /// Answers to the test problems of the policy after the round; empty if it was not evaluated.
    pub(super) answers: Vec<EvalRow>,
    /// Rows of `metrics.jsonl`.
    pub(super) metrics: Vec<Map<String, Value>>,
    /// Number of tokens of the chosen and the rejected side of the first [`PAIRS_READ`] pairs.
    pub(super) lengths: Vec<(usize, usize)>,
    /// Audit (factors, evidence, test problems) of the same pairs; `None` if there are none.
    pub(super) audit: Option<PairAudit>,
    /// Example pairs, each with the reason why it is shown.
    pub(super) examples: Vec<(&'static str, PreferencePair)>,
    /// The trees to show.
    pub(super) trees: Vec<TreeRecord>,
    /// Number of pairs or solutions trained on.
    pub(super) rows_trained: Option<u64>,
    /// Machine that the round ran on.
    pub(super) machine: Machine,
    /// When the round began and ended.
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
                // Nothing was trained: the policy after the round is that of an earlier round, which has the
                // answers.
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
        // Runs of older versions did not record the times. The file times used instead are those of copying
        // if the run was copied.
        let started = began.map(minute).or_else(|| file_time(&run.join("run.json")));
        let finished = ended.map(minute).or_else(|| file_time(&path_of(run, TEST)));
        Self { run, report, test, file, rounds, started, finished }
    }

    /// Reads only the data for figures and curves, because the live page reads them repeatedly during a run.
    /// `next` is the current round, which has at most training metrics.
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

    /// The trees of the page, one set per round that has trees.
    pub(super) fn tree_sets(&self) -> Vec<TreeSet> {
        let rules = &self.report.config.pairs;
        let sets = self.rounds.iter().filter(|round| !round.trees.is_empty()).map(|round| {
            let trees = round.trees.iter().map(|tree| TreeView::new(tree, rules)).collect();
            let number = round.report.round;
            TreeSet::new(&format!("round {number}"), round.report.trees as usize, trees)
        });
        sets.collect()
    }

    /// Returns one cell per round of the report.
    pub(super) fn by_round(&self, cell: impl Fn(&RoundSources<'a>) -> String) -> Vec<String> {
        self.rounds.iter().take(self.report.rounds.len()).map(cell).collect()
    }

    /// The rounds that grew trees.
    pub(super) fn searched(&self) -> impl Iterator<Item = &RoundSources<'a>> {
        self.rounds.iter().filter(|round| round.report.trees > 0)
    }
}

/// Audits pairs; with test problems, also for contamination.
fn audited(pairs: &[PreferencePair], test: &[Problem]) -> Option<PairAudit> {
    let rows: Vec<AuditRow> = pairs.iter().map(AuditRow::from).collect();
    let test = (!test.is_empty()).then_some(test);
    (!rows.is_empty()).then(|| audit(&rows, &Factor::builtin(), test))
}

/// Reads the rows of a file up to the first incomplete row.
fn whole_rows(path: &Path) -> Vec<Map<String, Value>> {
    JsonlReader::open(path).map(|rows| rows.map_while(Result::ok).collect()).unwrap_or_default()
}

/// Reads the first `most` rows of a file; empty if it cannot be read.
fn some_rows(path: &Path, most: usize) -> Vec<PreferencePair> {
    JsonlReader::open(path).map(|rows| rows.take(most).flatten().collect()).unwrap_or_default()
}

/// Chooses the most informative trees. Trees of problems that are shown elsewhere (`shown`: in an earlier
/// round, or as an example of a pair) come first, then trees with right and wrong solutions, then others;
/// within each group, those with the most pairs come first. Returns at least one tree, and further ones
/// within `most_nodes`, in the order of the file.
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

/// Formats seconds since 1970 as date and time.
fn minute(seconds: u64) -> String {
    format!("{} UTC", &utc(seconds)[..16])
}
