//! A judge that makes no requests: a linear probe on the policy's hidden state at the end of a step.
//!
//! Logistic regression on hidden states of verified steps, as in Azaria and Mitchell 2023 (arXiv:2304.13734).
//! The labels are those of the likelihood judges: the share of right solutions among the solutions through a
//! step, and whether a finished solution is right. Steps that end a solution and steps that do not have
//! separate probes. [`ProbeFit`] fits them; a search applies them to the states that its tree stores.

mod fit;
mod logistic;

use std::path::Path;

use regrowth_datasets::{atomic_write, stream_key};
use serde::{Deserialize, Serialize};

pub(crate) use self::fit::FOLDS;
pub use self::fit::{FittedProbe, ProbeFit};
use crate::SearchError;
use crate::state::StepState;

/// Name of a probe's file in the folder of a search or of a round.
pub const PROBE_FILE: &str = "judge_probe.json";

/// Version of the file.
const VERSION: u32 = 1;

/// A linear probe: its log-odds are a weighted sum of a state's values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearProbe {
    /// Number of verified steps that the probe was fitted to.
    pub steps: u64,
    /// L2 penalty selected by cross-validation: `l2 / 2` times the squared weights of standardised values,
    /// added to the sum of the losses (1 / C of scikit-learn).
    pub l2: f64,
    /// Log-odds if every value is 0.
    pub intercept: f64,
    /// One weight for each value of the state.
    pub weights: Vec<f64>,
}

impl LinearProbe {
    /// Probability that a step with this state is right, in [0, 1].
    #[must_use]
    pub fn at(&self, state: &StepState) -> f64 {
        logistic::probability(self.odds(state))
    }

    fn odds(&self, state: &StepState) -> f64 {
        let values = state.values().map(f64::from);
        self.intercept + self.weights.iter().zip(values).map(|(w, x)| w * x).sum::<f64>()
    }
}

/// The probes of a policy; each is absent if there were too few outcomes to fit it to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateProbe {
    version: u32,
    /// For steps that do not end the solution.
    pub step: Option<LinearProbe>,
    /// For steps that end the solution.
    pub end: Option<LinearProbe>,
}

/// Without any probe.
impl Default for StateProbe {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl StateProbe {
    fn new(step: Option<LinearProbe>, end: Option<LinearProbe>) -> Self {
        Self { version: VERSION, step, end }
    }

    /// C of a step; `None` if there is no probe for its kind of step.
    #[must_use]
    pub fn confidence(&self, state: &StepState, terminal: bool) -> Option<f64> {
        let probe = if terminal { &self.end } else { &self.step };
        probe.as_ref().map(|probe| probe.at(state))
    }

    /// Number of values of the states that the probes apply to; `None` if there is no probe.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        self.step.as_ref().or(self.end.as_ref()).map(|probe| probe.weights.len())
    }

    /// Name that distinguishes these probes from probes with other weights.
    #[must_use]
    pub fn identity(&self) -> String {
        let probes = [&self.step, &self.end].into_iter().flatten();
        let numbers =
            probes.flat_map(|probe| [probe.intercept].into_iter().chain(probe.weights.clone()));
        let bytes: Vec<u8> = numbers.flat_map(f64::to_le_bytes).collect();
        let kinds = [self.step.is_some() as u8, self.end.is_some() as u8];
        format!("probe@{:016x}", stream_key(0, &[&kinds, &bytes]))
    }

    /// Reads the probes from a file.
    ///
    /// # Errors
    /// [`SearchError::Probe`] if the file cannot be read or does not contain a probe.
    pub fn read(path: &Path) -> Result<Self, SearchError> {
        let fail = |detail: String| SearchError::Probe { path: path.to_owned(), detail };
        let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        let probe: Self = serde_json::from_str(&text).map_err(|e| fail(e.to_string()))?;
        let widths: Vec<usize> =
            [&probe.step, &probe.end].into_iter().flatten().map(|p| p.weights.len()).collect();
        match (probe.version, widths.as_slice()) {
            (VERSION, [one]) if *one > 0 => Ok(probe),
            (VERSION, [one, other]) if one == other && *one > 0 => Ok(probe),
            (VERSION, _) => Err(fail(format!("probes of {widths:?} weights"))),
            (version, _) => Err(fail(format!("version {version}; this program reads {VERSION}"))),
        }
    }

    /// Writes the probes to a file.
    ///
    /// # Errors
    /// [`SearchError::Data`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), SearchError> {
        use std::io::Write;
        Ok(atomic_write(path, |file| {
            serde_json::to_writer(&mut *file, self)?;
            writeln!(file)
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(intercept: f64) -> LinearProbe {
        LinearProbe { steps: 100, l2: 1.0, intercept, weights: vec![0.5, -1.0] }
    }

    #[test]
    fn worked_values_of_a_probe() {
        let both = StateProbe::new(Some(probe(1.0)), None);
        let state = StepState::new(&[2.0, 3.0]);
        // 1 + 0.5 * 2 - 3 = -1.
        assert!((both.confidence(&state, false).unwrap() - 0.268_941_421_4).abs() < 1e-9);
        assert_eq!(both.confidence(&state, true), None);
        assert_eq!(both.width(), Some(2));
    }

    #[test]
    fn probes_survive_their_file_and_others_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(PROBE_FILE);
        let kept = StateProbe::new(Some(probe(0.1)), Some(probe(0.3)));
        kept.write(&path).unwrap();
        assert_eq!(StateProbe::read(&path).unwrap(), kept);
        let turned = StateProbe::new(kept.end.clone(), kept.step.clone());
        assert_ne!(turned.identity(), kept.identity());
        for text in ["{", "{\"version\": 1}", &"{}".repeat(2)] {
            std::fs::write(&path, text).unwrap();
            let error = StateProbe::read(&path).unwrap_err().to_string();
            assert!(error.contains(PROBE_FILE) && error.contains("probe"), "{error}");
        }
        let uneven = LinearProbe { weights: vec![1.0], ..probe(0.0) };
        StateProbe::new(Some(probe(0.0)), Some(uneven)).write(&path).unwrap();
        assert!(StateProbe::read(&path).unwrap_err().to_string().contains("[2, 1] weights"));
    }
}
