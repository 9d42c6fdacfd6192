//! Judges that are fitted to verified outcomes: their parameters, and how they are fitted to trees.
//!
//! [`likelihood`](crate::likelihood) has the calibration of likelihoods, [`probe`](crate::probe) the probe on
//! hidden states. Rounds and searches use both in the same way: they add trees of verified problems and get a
//! [`FittedJudge`].

use std::collections::BTreeMap;
use std::sync::Arc;

use regrowth_verifiers::Verifier;

use crate::TreeRecord;
use crate::calibration::Calibration;
use crate::likelihood::{LikelihoodCalibration, LikelihoodFit};
use crate::probe::{FittedProbe, ProbeFit, StateProbe};

/// Parameters of the fitted judges.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FittedJudge {
    /// Calibration of log-likelihoods.
    pub likelihood: LikelihoodCalibration,
    /// Probe on hidden states; `None` before there are outcomes.
    pub probe: Option<Arc<StateProbe>>,
}

/// Collects verified trees of a policy.
#[derive(Debug, Clone, Default)]
pub struct JudgeFit {
    likelihood: LikelihoodFit,
    probe: ProbeFit,
}

/// Result of a fit; each part is absent if there were too few outcomes.
#[derive(Debug, Clone, Default)]
pub struct FoundJudge {
    /// Calibration of likelihoods.
    pub likelihood: Option<LikelihoodCalibration>,
    /// Probe on hidden states.
    pub probe: Option<Arc<StateProbe>>,
    /// Figures of finished solutions by judge, each solution judged by a fit to other problems; empty if
    /// trees store no hidden states.
    pub held_out: BTreeMap<String, Calibration>,
}

impl FoundJudge {
    /// Takes absent parts from `before`.
    #[must_use]
    pub fn or(self, before: &FittedJudge) -> FittedJudge {
        FittedJudge {
            likelihood: self.likelihood.unwrap_or(before.likelihood),
            probe: self.probe.or_else(|| before.probe.clone()),
        }
    }
}

impl JudgeFit {
    /// Adds the verified steps of a tree. Does nothing if the search did not see the reference answer.
    pub fn add(&mut self, tree: &TreeRecord, verifier: &dyn Verifier) {
        self.likelihood.add(tree, verifier);
        self.probe.add(tree);
    }

    /// Fits both judges. A component with too few outcomes of its kind, for example the calibrator of
    /// finished solutions, keeps its value from `before`.
    #[must_use]
    pub fn found(&self, before: &FittedJudge) -> FoundJudge {
        let likelihood = self.likelihood.scale(before.likelihood);
        let mut held_out = BTreeMap::new();
        if self.probe.is_empty() {
            return FoundJudge { likelihood, probe: None, held_out };
        }
        for (name, found) in self.likelihood.held_out() {
            held_out.extend(found.map(|found| (name.to_owned(), found)));
        }
        let probe = self.probe.fitted(before.probe.as_deref()).map(
            |FittedProbe { probe, held_out: own }| {
                held_out.extend(own.map(|own| ("probe".to_owned(), own)));
                Arc::new(probe)
            },
        );
        FoundJudge { likelihood, probe, held_out }
    }
}
