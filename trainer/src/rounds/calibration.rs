//! What a round's fitted judge judges by, the calibration of likelihoods or the probe on hidden states: first that
//! of the round before, then what the verified outcomes of the round's own first problems say.
//!
//! A policy changes with every round, and what a likelihood says of an outcome with it
//! (`docs/experiments/0012-scale-of-the-round.md`). It is a function of the first trees, so a search that was cut
//! off finds it again in them. The probes are written beside the trees for whoever wants to read or use them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use regrowth_datasets::Problem;
use regrowth_mcts::TreeRecord;
use regrowth_mcts::fitted::{FittedJudge, FoundJudge, JudgeFit};
use regrowth_mcts::probe::{PROBE_FILE, StateProbe};
use regrowth_verifiers::ProblemVerifier;

use super::config::RunConfig;
use super::search::SearchDone;
use super::statistics::RoundStatistics;
use crate::TrainError;

/// The probe that was fitted on the first problems of a round and judged the others; [`PROBE_FILE`] is the one of
/// all its problems.
const FIRST_PROBE_FILE: &str = "judge_probe_first.json";

/// The problems of a round whose outcomes the judge of the others is fitted to; none where they cannot or need not.
pub(super) fn calibrating<'a>(config: &RunConfig, problems: &'a [Problem]) -> &'a [Problem] {
    let (value, count) = (&config.search.value, config.calibration_problems);
    let learns = value.is_fitted() && value.oracle && count < problems.len();
    &problems[..if learns { count } else { 0 }]
}

/// Parts some of a round's problems, in their order, into those among its `first` ones and the rest.
pub(super) fn part<'a>(some: &'a [Problem], first: &[Problem]) -> (&'a [Problem], &'a [Problem]) {
    some.split_at(some.partition_point(|problem| has(first, &problem.id)))
}

/// Whether a problem is among these.
pub(super) fn has(problems: &[Problem], id: &str) -> bool {
    problems.iter().any(|problem| problem.id == id)
}

/// What the outcomes of the `first` problems say, whose trees are given by the id of their problem.
pub(super) fn found(
    first: &[Problem],
    trees: &BTreeMap<String, TreeRecord>,
    before: &FittedJudge,
) -> FoundJudge {
    let mut outcomes = JudgeFit::default();
    for tree in first.iter().filter_map(|problem| trees.get(&problem.id)) {
        outcomes.add(tree, &ProblemVerifier);
    }
    outcomes.found(before)
}

/// What the first problems of a round are judged by: what all trees of the round before said, in the folder
/// `before`, else the settings.
pub(super) fn before(
    config: &RunConfig,
    before: &Path,
    searched: Option<&SearchDone>,
) -> Result<FittedJudge, TrainError> {
    let value = &config.search.value;
    let statistics = searched.map(|done| &done.statistics);
    let fitted = statistics.filter(|found| found.probe.is_some()).map(|_| before.join(PROBE_FILE));
    let probe = fitted.or(value.probe.as_ref().map(Into::into)).filter(|_| value.judges_states());
    Ok(FittedJudge {
        likelihood: statistics.and_then(|found| found.likelihood).unwrap_or(value.likelihood),
        probe: probe.map(|path| StateProbe::read(&path).map(Arc::new)).transpose()?,
    })
}

/// Writes the probes of a round into its folder: that of all its trees, and that of the first ones where it judged
/// the others. Notes their identities and returns the names of their files.
pub(super) fn keep_probes(
    dir: &Path,
    statistics: &mut RoundStatistics,
    [all, first]: [Option<Arc<StateProbe>>; 2],
) -> Result<Vec<&'static str>, TrainError> {
    let mut files = Vec::new();
    for (probe, file) in [(&all, PROBE_FILE), (&first, FIRST_PROBE_FILE)] {
        if let Some(probe) = probe {
            probe.write(&dir.join(file))?;
            files.push(file);
        }
    }
    let identity = |probe: Option<Arc<StateProbe>>| probe.map(|probe| probe.identity());
    (statistics.probe, statistics.first_probe) = (identity(all), identity(first));
    Ok(files)
}
