//! The share of swapped labels that robust DPO needs, from pairs whose outcomes are verified.

use regrowth_datasets::PreferencePair;

use super::loss::PreferenceLoss;

/// Pairs with a verified outcome on both sides, one right and one wrong: what their labels say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LabelEvidence {
    /// Pairs whose chosen side is the right one.
    pub agree: u64,
    /// Pairs whose rejected side is the right one.
    pub flips: u64,
}

impl LabelEvidence {
    /// Counts the pairs whose two sides end a solution and differ in the verified outcome.
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

    /// `flips / (agree + flips)`; `None` without such pairs.
    #[must_use]
    pub fn rate(self) -> Option<f64> {
        let all = self.agree + self.flips;
        (all > 0).then(|| self.flips as f64 / all as f64)
    }
}

impl PreferenceLoss {
    /// [`Self::Robust`] with `flip` from the evidence if it was not set; other losses unchanged.
    ///
    /// # Errors
    /// A sentence for [`Self::Robust`] without `flip` if there is no evidence, or if half of the
    /// labels or more are swapped: there the loss has a pole and labels teach nothing.
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
