//! Judges that ask nothing: how likely the policy itself finds the solution so far, or an answer.
//!
//! A few numbers make a probability of a log-likelihood, and verified outcomes of a search give
//! them (as Platt 1999 does for margins, *Probabilistic outputs for support vector machines*). The
//! paper asks the policy instead; a small model answers at random and still finds its own mistakes
//! improbable (`docs/experiments/0008-likelihood-judge.md`, `0010-answer-judge.md`).

mod fit;

use regrowth_verifiers::true_share;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::fit::LikelihoodFit;

/// Surprisal, in nats, that a certain solution counts as: no likelihood makes certain. (A
/// measurement: of 0.1 and 1 the former is calibrated better at the ends of solutions; a line in the
/// log-likelihood itself is off by 0.06 to 0.1 there.)
const LEAST_SURPRISAL: f64 = 0.1;

/// Odds that fall with a power of the surprisal u: log-odds `intercept - slope ln(u + 0.1)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SurprisalCalibrator {
    /// Log-odds at about one nat; any finite number.
    pub intercept: f64,
    /// How fast they fall; at least 0: what is likelier is never less probably right.
    pub slope: f64,
}

/// Odds that a finished solution is right, by the likelihood of its answer, that of all known solutions
/// that state it together.
///
/// With the surprisals u of the answer and s of the solution alone, the log-odds are
/// `intercept - slope ln(u + 0.1) - solution ln(s + 0.1) + length ln(tokens) - false_equation [an
/// equation is false]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerCalibrator {
    /// Log-odds of one token at about one nat; any finite number.
    pub intercept: f64,
    /// How fast they fall with the surprisal of the answer; at least 0.
    pub slope: f64,
    /// How fast they fall with that of the solution; any finite number: where a policy's habit is a short
    /// guess, what is likelier is less often right. 0 leaves it out.
    #[serde(default)]
    pub solution: f64,
    /// How fast they rise with the number of tokens of the solution; any finite number.
    pub length: f64,
    /// What a solution loses that states a false equation (`3 + 4 = 8`); any finite number.
    pub false_equation: f64,
}

/// What is known of a finished solution, beside the likelihood of its answer, when it is judged by that.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finished {
    /// Its log-likelihood.
    pub log_likelihood: f64,
    /// Tokens of the solution.
    pub tokens: usize,
    /// Whether it states a false equation.
    pub false_equation: bool,
}

impl Finished {
    /// Of a solution with this text, so many tokens and this log-likelihood.
    #[must_use]
    pub fn new(text: &str, tokens: usize, log_likelihood: f64) -> Self {
        let false_equation = true_share(text).is_some_and(|share| share < 1.0);
        Self { log_likelihood, tokens, false_equation }
    }

    /// What the odds are a weighted sum of, with the log-likelihood of the answer.
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
    /// Probability that a solution is right whose answer has this log-likelihood, in [0, 1].
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

/// What log-likelihoods of solutions say of their outcomes. Steps that end a solution and steps that
/// do not have each their own scale: only the former are over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LikelihoodCalibration {
    /// Share of right ones among the solutions through a step, by the log-likelihood of the solution
    /// up to and with it.
    pub step: SurprisalCalibrator,
    /// Whether a finished solution is right, by its log-likelihood.
    pub end: SurprisalCalibrator,
    /// The same by the log-likelihood of its answer, where answers are judged.
    #[serde(default = "LikelihoodCalibration::answer")]
    pub answer: AnswerCalibrator,
}

impl Default for LikelihoodCalibration {
    /// A measurement: the bundled model on `arithmetic`, before any training.
    fn default() -> Self {
        Self {
            step: SurprisalCalibrator { intercept: -1.4, slope: 0.6 },
            end: SurprisalCalibrator { intercept: 1.5, slope: 2.0 },
            answer: Self::answer(),
        }
    }
}

impl SurprisalCalibrator {
    /// Probability at a log-likelihood, in [0, 1].
    #[must_use]
    pub fn at(self, log_likelihood: f64) -> f64 {
        probability(&[self.intercept, self.slope], &features(log_likelihood))
    }

    fn is_usable(self) -> bool {
        self.intercept.is_finite() && self.slope.is_finite() && self.slope >= 0.0
    }
}

/// What the odds of a step or an end are a weighted sum of.
fn features(log_likelihood: f64) -> [f64; 2] {
    [1.0, -log_surprisal(log_likelihood)]
}

/// Probability whose log-odds are the weighted sum of the features.
fn probability<const N: usize>(weights: &[f64; N], features: &[f64; N]) -> f64 {
    let odds: f64 = weights.iter().zip(features).map(|(w, x)| w * x).sum();
    1.0 / (1.0 + (-odds).exp())
}

/// `ln(u + 0.1)` for the surprisal u, minus the log-likelihood.
fn log_surprisal(log_likelihood: f64) -> f64 {
    ((-log_likelihood).max(0.0) + LEAST_SURPRISAL).ln()
}

impl LikelihoodCalibration {
    /// [`LikelihoodCalibration::answer`](Self#structfield.answer) where none is set: a measurement, as the others.
    fn answer() -> AnswerCalibrator {
        AnswerCalibrator {
            intercept: -2.6,
            slope: 3.1,
            solution: -0.6,
            length: 1.3,
            false_equation: 2.3,
        }
    }

    /// C of a step, from the log-probability of all steps up to and with it.
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
        // e x 4^0.5 (s + 0.1) / (u + 0.1)^2, and a false equation takes e^3 off.
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
