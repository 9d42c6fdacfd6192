//! The flip rate (share of swapped labels) for robust DPO, from pairs with verified outcomes.

use regrowth_datasets::PreferencePair;

use super::loss::PreferenceLoss;

/// Counts of pairs with one verified right and one verified wrong side, by whether the label agrees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelEvidence {
    /// Number of pairs whose chosen side is right.
    pub agree: u64,
    /// Number of pairs whose rejected side is right.
    pub flips: u64,
}

impl LabelEvidence {
    /// Counts the pairs in which both sides end a solution and the verified outcomes differ.
    pub fn of<'a>(pairs: impl IntoIterator<Item = &'a PreferencePair>) -> Self {
        let mut counts = Self::default();
        for pair in pairs {
            let finished = pair.oracle && pair.terminal_chosen && pair.terminal_rejected;
            let (chosen, rejected) = (pair.outcome_chosen, pair.outcome_rejected);
            if finished && chosen * rejected < 0.0 {
                counts.agree += u64::from(chosen > 0.0);
                counts.flips += u64::from(chosen < 0.0);
            }
        }
        counts
    }

    /// Flip rate `flips / (agree + flips)`; `None` if both counts are 0.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        let all = self.agree + self.flips;
        (all > 0).then(|| self.flips as f64 / all as f64)
    }
}

impl PreferenceLoss {
    /// Returns [`Self::Robust`] with `flip` estimated from the evidence if it was not set; other losses are
    /// unchanged.
    ///
    /// # Errors
    /// An error text for [`Self::Robust`] without `flip` if there is no evidence, or if at least half of the
    /// labels are swapped: at one half the loss has a pole and the labels carry no information.
    pub fn with_flip_rate(self, evidence: LabelEvidence) -> Result<Self, String> {
        let Self::Robust { flip: None } = self else { return Ok(self) };
        match evidence.rate() {
            Some(rate) if rate < 0.5 => Ok(Self::Robust { flip: Some(rate) }),
            Some(_) => Err(format!(
                "`robust`: of {} pairs with one verified right and one wrong side, {} prefer the wrong \
                 one; expected fewer than half",
                evidence.agree + evidence.flips,
                evidence.flips
            )),
            None => Err("`robust` takes its share of swapped labels from pairs that have a verified right \
                         and a verified wrong side, and there is none; set it, as in `robust:flip=0.1`, or \
                         use `conservative`, which smooths by visits"
                .to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_share_of_flips_and_needs_evidence() {
        let robust = PreferenceLoss::Robust { flip: None };
        let with = |agree, flips| robust.with_flip_rate(LabelEvidence { agree, flips });
        assert_eq!(with(79, 1), Ok(PreferenceLoss::Robust { flip: Some(0.0125) }));
        assert!(with(0, 0).unwrap_err().contains("robust:flip=0.1"));
        assert!(with(2, 2).unwrap_err().contains("of 4 pairs"));
        let set = PreferenceLoss::Robust { flip: Some(0.3) };
        assert_eq!(set.with_flip_rate(LabelEvidence::default()), Ok(set));
    }
}
