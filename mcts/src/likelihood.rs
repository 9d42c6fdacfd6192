//! Judges that make no requests: they use the policy's own likelihood of the solution so far, or of an
//! answer.
//!
//! A calibration with a few parameters turns a log-likelihood into a probability. The parameters are fitted
//! to verified outcomes of a search (as Platt 1999 does for margins, *Probabilistic outputs for support
//! vector machines*). The paper prompts the policy instead; a small model answers such a prompt at random,
//! but still assigns low probability to its own mistakes (`docs/experiments/0008-likelihood-judge.md`,
//! `0010-answer-judge.md`).

mod fit;

use regrowth_verifiers::true_share;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::fit::LikelihoodFit;

/// Added to surprisals, in nats: even a solution of probability 1 is not certain to be right. (Measured: of
/// 0.1 and 1, 0.1 is better calibrated at the ends of solutions; log-odds that are linear in the
/// log-likelihood itself are off by 0.06 to 0.1 there.)
const LEAST_SURPRISAL: f64 = 0.1;

/// Calibrator for the surprisal u (minus the log-likelihood). The log-odds are
/// `intercept - slope ln(u + 0.1)`, so the odds fall with a power of u.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SurprisalCalibrator {
    /// Log-odds at a surprisal of about one nat; any finite number.
    pub intercept: f64,
    /// How fast the log-odds fall with the surprisal; at least 0, so that a likelier solution is never judged
    /// less probably right.
    pub slope: f64,
}

/// Calibrator for a finished solution by the likelihood of its answer, which is summed over all known
/// solutions that state the answer.
///
/// With the surprisals u of the answer and s of the solution alone, the log-odds are
/// `intercept - slope ln(u + 0.1) - solution ln(s + 0.1) + length ln(tokens) - false_equation [an
/// equation is false]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerCalibrator {
    /// Log-odds of a solution of one token at surprisals of about one nat; any finite number.
    pub intercept: f64,
    /// How fast the log-odds fall with the surprisal of the answer; at least 0.
    pub slope: f64,
    /// How fast the log-odds fall with the surprisal of the solution; any finite number. It is negative if
    /// likelier solutions are less often right, as for a policy that tends to make short guesses. 0 leaves
    /// this term out.
    #[serde(default)]
    pub solution: f64,
    /// How fast the log-odds rise with the logarithm of the solution's number of tokens; any finite number.
    pub length: f64,
    /// Amount subtracted from the log-odds if the solution states a false equation (`3 + 4 = 8`); any finite
    /// number.
    pub false_equation: f64,
}

/// Features of a finished solution for the answer judge, in addition to the likelihood of its answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finished {
    /// Log-likelihood of the solution.
    pub log_likelihood: f64,
    /// Number of tokens of the solution.
    pub tokens: usize,
    /// Whether the solution states a false equation.
    pub false_equation: bool,
}

impl Finished {
    /// Features of a solution with this text, number of tokens and log-likelihood.
    #[must_use]
    pub fn new(text: &str, tokens: usize, log_likelihood: f64) -> Self {
        let false_equation = true_share(text).is_some_and(|share| share < 1.0);
        Self { log_likelihood, tokens, false_equation }
    }

    /// The features whose weighted sum is the log-odds; `answer` is the log-likelihood of the answer.
    fn features(self, answer: f64) -> [f64; 5] {
        let tokens = self.tokens.max(1) as f64;
        let false_equation = f64::from(u8::from(self.false_equation));
        [
            1.0,
            -log_surprisal(answer),
            -log_surprisal(self.log_likelihood),
            tokens.ln(),
            -false_equation,
        ]
    }
}

impl AnswerCalibrator {
    /// Probability that a solution is right, in [0, 1]; `log_likelihood` is that of its answer.
    #[must_use]
    pub fn at(self, log_likelihood: f64, solution: Finished) -> f64 {
        probability(&self.weights(), &solution.features(log_likelihood))
    }

    fn is_usable(self) -> bool {
        self.weights().iter().all(|weight| weight.is_finite()) && self.slope >= 0.0
    }

    /// Weights of the features of a [`Finished`] solution.
    fn weights(self) -> [f64; 5] {
        [self.intercept, self.slope, self.solution, self.length, self.false_equation]
    }
}

/// Calibration of the likelihood judges. Steps that end a solution and steps that do not have separate
/// calibrators, because only the former are complete.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LikelihoodCalibration {
    /// Share of right solutions among the solutions through a step, from the log-likelihood of the solution
    /// up to and including the step.
    pub step: SurprisalCalibrator,
    /// Probability that a finished solution is right, from its log-likelihood.
    pub end: SurprisalCalibrator,
    /// Probability that a finished solution is right, from the log-likelihood of its answer; used with
    /// `judge = "answers"`.
    #[serde(default = "LikelihoodCalibration::answer")]
    pub answer: AnswerCalibrator,
}

impl Default for LikelihoodCalibration {
    /// Measured on the bundled model with `arithmetic`, before any training.
    fn default() -> Self {
        Self {
            step: SurprisalCalibrator { intercept: -1.4, slope: 0.6 },
            end: SurprisalCalibrator { intercept: 1.5, slope: 2.0 },
            answer: Self::answer(),
        }
    }
}

impl SurprisalCalibrator {
    /// Probability for a log-likelihood, in [0, 1].
    #[must_use]
    pub fn at(self, log_likelihood: f64) -> f64 {
        probability(&[self.intercept, self.slope], &features(log_likelihood))
    }

    fn is_usable(self) -> bool {
        self.intercept.is_finite() && self.slope.is_finite() && self.slope >= 0.0
    }
}

/// The features of a step or of a finished solution whose weighted sum is the log-odds.
fn features(log_likelihood: f64) -> [f64; 2] {
    [1.0, -log_surprisal(log_likelihood)]
}

/// Probability whose log-odds are the weighted sum of the features.
fn probability<const N: usize>(weights: &[f64; N], features: &[f64; N]) -> f64 {
    let odds: f64 = weights.iter().zip(features).map(|(w, x)| w * x).sum();
    1.0 / (1.0 + (-odds).exp())
}

/// `ln(u + 0.1)`, where the surprisal u is minus the log-likelihood.
fn log_surprisal(log_likelihood: f64) -> f64 {
    ((-log_likelihood).max(0.0) + LEAST_SURPRISAL).ln()
}

impl LikelihoodCalibration {
    /// Default of [`LikelihoodCalibration::answer`](Self#structfield.answer), measured like the other
    /// defaults.
    fn answer() -> AnswerCalibrator {
        AnswerCalibrator {
            intercept: -2.6,
            slope: 3.1,
            solution: -0.6,
            length: 1.3,
            false_equation: 2.3,
        }
    }

    /// C of a step, from the log-probability of all steps up to and including it.
    #[must_use]
    pub fn confidence(&self, log_likelihood: f64, terminal: bool) -> f64 {
        if terminal { self.end } else { self.step }.at(log_likelihood)
    }

    /// Whether all numbers are in their ranges.
    pub(crate) fn is_usable(&self) -> bool {
        self.step.is_usable() && self.end.is_usable() && self.answer.is_usable()
    }
}

/// Log-probability of a step.
pub(crate) fn log_likelihood(logps: &[f32]) -> f64 {
    logps.iter().map(|&l| f64::from(l)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_values_of_a_scale() {
        let scale = LikelihoodCalibration {
            step: SurprisalCalibrator { intercept: 0.0, slope: 1.0 },
            end: SurprisalCalibrator { intercept: 1.0, slope: 2.0 },
            answer: LikelihoodCalibration::answer(),
        };
        // Odds are 1 / (u + 0.1) for a step, e / (u + 0.1)^2 for an end.
        assert!((scale.confidence(-0.9, false) - 0.5).abs() < 1e-12);
        assert!((scale.confidence(-1.9, false) - 1.0 / 3.0).abs() < 1e-12);
        assert!((scale.confidence(0.0, false) - 10.0 / 11.0).abs() < 1e-12);
        assert!((scale.confidence(-0.9, true) - 0.731_058_578_6).abs() < 1e-9);
        assert_eq!(scale.confidence(1e-3, true), scale.confidence(0.0, true));
        assert_eq!(scale.confidence(f64::NEG_INFINITY, true), 0.0);
    }

    #[test]
    fn worked_values_of_an_answer() {
        let [slope, solution] = [2.0, -1.0];
        let odds =
            AnswerCalibrator { intercept: 1.0, slope, solution, length: 0.5, false_equation: 3.0 };
        // e x 4^0.5 (s + 0.1) / (u + 0.1)^2; a false equation divides the odds by e^3.
        let at = |text| odds.at(-0.9, Finished::new(text, 4, -1.9));
        let right = 4.0 * 1f64.exp();
        assert!((at("3 + 4 = 7") - right / (1.0 + right)).abs() < 1e-12);
        let wrong = right * (-3f64).exp();
        assert!((at("3 + 4 = 8") - wrong / (1.0 + wrong)).abs() < 1e-12);
        assert_eq!(at("nothing is computed"), at("3 + 4 = 7"));
        let of_tokens = |tokens| odds.at(-1.0, Finished::new("", tokens, -1.0));
        assert_eq!(of_tokens(0), of_tokens(1));
    }
}
