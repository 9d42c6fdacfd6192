//! The fitted judge of a round: the calibration of likelihoods, or the probe on hidden states. The round's
//! first problems are judged with the previous round's fit, the other problems with a fit to the verified
//! outcomes of the first.
//!
//! The policy changes with every round, and with it the relation between likelihoods and outcomes
//! (`docs/experiments/0012-scale-of-the-round.md`). The fit is a function of the first trees, so a resumed
//! search computes the same fit from them. The probes are also written next to the trees, for users who want
//! to inspect or use them.

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

/// The probe that was fitted to the first problems of a round and judged the others. [`PROBE_FILE`] is the
/// probe fitted to all problems of the round.
const FIRST_PROBE_FILE: &str = "judge_probe_first.json";

/// Returns the first problems of the round, whose outcomes the judge of the other problems is fitted to.
/// Empty if the judge is not fitted to outcomes, if the search does not see outcomes, or if the round has no
/// other problems.
pub(super) fn calibrating<'a>(config: &RunConfig, problems: &'a [Problem]) -> &'a [Problem] {
    let (value, count) = (&config.search.value, config.calibration_problems);
    let learns = value.is_fitted() && value.oracle && count < problems.len();
    &problems[..if learns { count } else { 0 }]
}

/// Splits `some`, problems of a round in the round's order, into those that are among the `first` problems of
/// the round and the others.
pub(super) fn part<'a>(some: &'a [Problem], first: &[Problem]) -> (&'a [Problem], &'a [Problem]) {
    some.split_at(some.partition_point(|problem| has(first, &problem.id)))
}

/// Whether `problems` contains a problem with this id.
pub(super) fn has(problems: &[Problem], id: &str) -> bool {
    problems.iter().any(|problem| problem.id == id)
}

/// Fits the judge to the outcomes of the `first` problems. `trees` are keyed by problem id; `before` is the
/// previous fit.
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

/// Returns the judge of a round's first problems: fitted to all trees of the previous round, whose folder is
/// `before`, or taken from the settings if that round has no fit.
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

/// Writes the probes of a round into its folder: the probe of all trees, and the probe that was fitted to the
/// first trees, if one judged the others. Records their identities in `statistics` and returns the names of
/// their files.
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
