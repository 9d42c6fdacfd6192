//! Judges that are fitted to verified outcomes: what they judge by, and how it is found in trees.
//!
//! [`likelihood`](crate::likelihood) has the calibration of likelihoods, [`probe`](crate::probe) the probe on
//! hidden states. Rounds and searches treat both alike: trees of verified problems in, a [`FittedJudge`] out.

use std::collections::BTreeMap;
use std::sync::Arc;

use regrowth_verifiers::Verifier;

use crate::TreeRecord;
use crate::calibration::Calibration;
use crate::likelihood::{LikelihoodCalibration, LikelihoodFit};
use crate::probe::{FittedProbe, ProbeFit, StateProbe};

/// What fitted judges judge by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FittedJudge {
    /// What a log-likelihood says of the outcome.
    pub likelihood: LikelihoodCalibration,
    /// What a hidden state says of it; `None` before there are outcomes.
    pub probe: Option<Arc<StateProbe>>,
}

/// Collects verified trees of a policy.
#[derive(Debug, Clone, Default)]
pub struct JudgeFit {
    likelihood: LikelihoodFit,
    probe: ProbeFit,
}

/// What was found in the trees; each is absent where there were too few outcomes.
#[derive(Debug, Clone, Default)]
pub struct FoundJudge {
    /// Calibration of likelihoods.
    pub likelihood: Option<LikelihoodCalibration>,
    /// Probe on hidden states.
    pub probe: Option<Arc<StateProbe>>,
    /// Figures of the finished solutions by judge, each judged by what was fitted to other problems; none where
    /// trees keep no hidden states.
    pub held_out: BTreeMap<String, Calibration>,
}

impl FoundJudge {
    /// What is absent is as `before`.
    #[must_use]
    pub fn or(self, before: &FittedJudge) -> FittedJudge {
        FittedJudge {
            likelihood: self.likelihood.unwrap_or(before.likelihood),
            probe: self.probe.or_else(|| before.probe.clone()),
        }
    }
}

impl JudgeFit {
    /// Adds what the search verified of a tree; nothing where it did not see the reference.
    pub fn add(&mut self, tree: &TreeRecord, verifier: &dyn Verifier) {
        self.likelihood.add(tree, verifier);
        self.probe.add(tree);
    }

    /// Fits both. A component of one, the calibration of ends say, is as `before` where there are too few
    /// outcomes of its kind.
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
