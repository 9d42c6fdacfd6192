//! The scale on which a round's likelihoods are judged: first that of the round before, then what the
//! verified outcomes of the round's own first problems say.
//!
//! A policy changes with every round, and what a likelihood says of an outcome with it
//! (`docs/experiments/0012-scale-of-the-round.md`).

use std::path::Path;

use regrowth_datasets::Problem;
use regrowth_mcts::{LikelihoodFit, LikelihoodScale};
use serde::{Deserialize, Serialize};

use super::config::RunConfig;
use super::driver::Observer;
use crate::TrainError;
use crate::artefact::{read_sealed, write_sealed};

/// The scale of all problems but the first ones.
pub(super) const SCALE: &str = "scale.json";

/// `scale.json`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Scale {
    /// Version of the file.
    version: u32,
    /// The scale, as a settings file has it.
    likelihood: LikelihoodScale,
}

/// How many of a round's problems set the scale of the rest; 0 where they cannot or need not.
pub(super) fn calibrating(config: &RunConfig, problems: usize) -> usize {
    let value = &config.search.value;
    let learns = value.judges_likelihoods() && value.oracle;
    if learns { config.calibration_problems.min(problems) } else { 0 }
}

/// Parts some of a round's `problems`, in their order, into those among its first ones and the rest.
pub(super) fn part<'a>(some: &'a [Problem], first: &[Problem]) -> (&'a [Problem], &'a [Problem]) {
    some.split_at(some.partition_point(|p| first.iter().any(|other| other.id == p.id)))
}

/// The scale in the round's folder; what is damaged counts as not there.
pub(super) fn read(dir: &Path, observer: &mut dyn Observer) -> Option<LikelihoodScale> {
    let found: Option<Scale> = read_sealed(&dir.join(SCALE)).unwrap_or_else(|error| {
        observer.note(&format!("{error}; found again"));
        None
    });
    found.map(|scale| scale.likelihood)
}

/// The scale that the first problems' outcomes make likeliest, or the one `before` if they are too few;
/// it is in the round's folder then.
pub(super) fn write(
    dir: &Path,
    outcomes: &LikelihoodFit,
    before: LikelihoodScale,
) -> Result<LikelihoodScale, TrainError> {
    let likelihood = outcomes.scale().unwrap_or(before);
    write_sealed(&dir.join(SCALE), &Scale { version: 1, likelihood })?;
    Ok(likelihood)
}
