//! The scale on which a round's likelihoods are judged: first that of the round before, then what the
//! verified outcomes of the round's own first problems say.
//!
//! A policy changes with every round, and what a likelihood says of an outcome with it
//! (`docs/experiments/0012-scale-of-the-round.md`). The scale is a function of the first trees, so it
//! needs no file of its own: a search that was cut off finds it again in them.

use std::collections::BTreeMap;

use regrowth_datasets::Problem;
use regrowth_mcts::TreeRecord;
use regrowth_mcts::likelihood::{LikelihoodCalibration, LikelihoodFit};
use regrowth_verifiers::ProblemVerifier;

use super::config::RunConfig;

/// The problems of a round that set the scale of the others; none where they cannot or need not.
pub(super) fn calibrating<'a>(config: &RunConfig, problems: &'a [Problem]) -> &'a [Problem] {
    let (value, count) = (&config.search.value, config.calibration_problems);
    let learns = value.judges_likelihoods() && value.oracle && count < problems.len();
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

/// The scale of the problems behind the `first`, whose trees are given by the id of their problem:
/// what they know nothing of is as `before`.
pub(super) fn found(
    first: &[Problem],
    trees: &BTreeMap<String, TreeRecord>,
    before: LikelihoodCalibration,
) -> LikelihoodCalibration {
    let mut outcomes = LikelihoodFit::default();
    for tree in first.iter().filter_map(|problem| trees.get(&problem.id)) {
        outcomes.add(tree, &ProblemVerifier);
    }
    outcomes.scale(before).unwrap_or(before)
}
