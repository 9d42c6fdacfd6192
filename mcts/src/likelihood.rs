//! A judge that asks nothing: how likely the policy itself finds the solution so far.
//!
//! Two numbers make a probability of a log-likelihood, and verified outcomes of a search give them (as
//! Platt 1999 does for margins, *Probabilistic outputs for support vector machines*). It knows nothing
//! of requests or of how steps are valued. The paper asks the policy instead; a small model answers at
//! random and still finds its own mistakes improbable (`docs/experiments/0008-likelihood-judge.md`).

use serde::{Deserialize, Serialize};

use crate::TreeRecord;
use crate::labels::solutions_below;

/// Surprisal, in nats, that a certain solution counts as: no likelihood makes certain. (A
/// measurement: of 0.1 and 1 the former is calibrated better at the ends of solutions; a line in the
/// log-likelihood itself is off by 0.06 to 0.1 there.)
const LEAST_SURPRISAL: f64 = 0.1;

/// Odds that fall with a power of the surprisal u: log-odds `intercept - slope ln(u + 0.1)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurprisalOdds {
    /// Log-odds at about one nat; any finite number.
    pub intercept: f64,
    /// How fast they fall; at least 0: what is likelier is never less probably right.
    pub slope: f64,
}

/// What log-likelihoods of solutions say of their outcomes. Steps that end a solution and steps that
/// do not have each their own scale: only the former are over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LikelihoodScale {
    /// Share of right ones among the solutions through a step, by the log-likelihood of the solution
    /// up to and with it.
    pub step: SurprisalOdds,
    /// Whether a finished solution is right, by its log-likelihood.
    pub end: SurprisalOdds,
}

impl Default for LikelihoodScale {
    /// A measurement: the embedded model on `arithmetic`, before any training.
    fn default() -> Self {
        Self {
            step: SurprisalOdds { intercept: -1.4, slope: 0.6 },
            end: SurprisalOdds { intercept: 1.5, slope: 2.0 },
        }
    }
}

impl SurprisalOdds {
    /// Probability at a log-likelihood, in [0, 1].
    #[must_use]
    pub fn at(self, log_likelihood: f64) -> f64 {
        1.0 / (1.0 + (self.slope * log_surprisal(log_likelihood) - self.intercept).exp())
    }

    fn is_usable(self) -> bool {
        self.intercept.is_finite() && self.slope.is_finite() && self.slope >= 0.0
    }
}

/// `ln(u + 0.1)` for the surprisal u, minus the log-likelihood.
fn log_surprisal(log_likelihood: f64) -> f64 {
    ((-log_likelihood).max(0.0) + LEAST_SURPRISAL).ln()
}

impl LikelihoodScale {
    /// C of a step, from the log-probability of all steps up to and with it.
    #[must_use]
    pub fn confidence(&self, log_likelihood: f64, terminal: bool) -> f64 {
        if terminal { self.end } else { self.step }.at(log_likelihood)
    }

    /// Whether all numbers are in their ranges.
    pub(crate) fn is_usable(&self) -> bool {
        self.step.is_usable() && self.end.is_usable()
    }
}

/// Collects verified steps of trees, for a scale of the policy that grew them.
#[derive(Debug, Clone, Default)]
pub struct LikelihoodFit {
    steps: Vec<Seen>,
    ends: Vec<Seen>,
}

/// Log-likelihood of a solution up to and with a step, and the share of right ones among the
/// solutions through it.
type Seen = (f64, f64);

/// Fewest steps of a kind that a scale is fitted to (taste: an error of a fifth in the log-odds).
const FEWEST: usize = 100;

impl LikelihoodFit {
    /// Adds what the search verified of a tree; nothing where it did not see the reference.
    pub fn add(&mut self, tree: &TreeRecord) {
        if !tree.oracle {
            return;
        }
        let mut likelihoods: Vec<f64> = Vec::with_capacity(tree.nodes.len());
        for (node, (solutions, right)) in tree.nodes.iter().zip(solutions_below(tree)) {
            let above = node.parent.map_or(0.0, |parent| likelihoods[parent as usize]);
            likelihoods.push(above + log_likelihood(&node.logps));
            let seen = (likelihoods[likelihoods.len() - 1], right as f64 / solutions as f64);
            match (node.parent, node.terminal) {
                (Some(_), true) if solutions > 0 => self.ends.push(seen),
                // One solution says little of where a step leads.
                (Some(_), false) if solutions > 1 => self.steps.push(seen),
                _ => {}
            }
        }
    }

    /// The scale under which the outcomes are likeliest; `None` where there are too few of a kind.
    #[must_use]
    pub fn scale(&self) -> Option<LikelihoodScale> {
        Some(LikelihoodScale { step: fitted(&self.steps)?, end: fitted(&self.ends)? })
    }
}

/// Log-probability of a step.
pub(crate) fn log_likelihood(logps: &[f32]) -> f64 {
    logps.iter().map(|&l| f64::from(l)).sum()
}

/// Logistic regression by Newton's method, on the logarithm of the surprisal.
fn fitted(seen: &[Seen]) -> Option<SurprisalOdds> {
    /// Steps of Newton's method, each of at most 1 in either number, so that none overshoots where
    /// likelihoods tell all outcomes apart; it has converged long before.
    const STEPS: usize = 60;
    /// Weight of the squared parameters beside the mean loss, which keeps them finite where all
    /// outcomes are alike (taste).
    const RIDGE: f64 = 1e-3;
    if seen.len() < FEWEST {
        return None;
    }
    let share = 1.0 / seen.len() as f64;
    let mut odds = SurprisalOdds { intercept: 0.0, slope: 0.0 };
    for _ in 0..STEPS {
        // Gradient and Hessian of the ridge and of the mean loss.
        let (mut ga, mut gb) = (RIDGE * odds.intercept, RIDGE * odds.slope);
        let (mut haa, mut hab, mut hbb) = (RIDGE, 0.0, RIDGE);
        for &(log_likelihood, right) in seen {
            let (p, x) = (odds.at(log_likelihood), -log_surprisal(log_likelihood));
            let (error, weight) = (share * (p - right), share * p * (1.0 - p));
            ga += error;
            gb += error * x;
            haa += weight;
            hab += weight * x;
            hbb += weight * x * x;
        }
        let determinant = haa * hbb - hab * hab;
        odds.intercept -= ((hbb * ga - hab * gb) / determinant).clamp(-1.0, 1.0);
        odds.slope -= ((haa * gb - hab * ga) / determinant).clamp(-1.0, 1.0);
    }
    if odds.slope < 0.0 {
        // The rule of succession, so that outcomes that are all alike leave finite odds.
        let right = seen.iter().map(|seen| seen.1).sum::<f64>() + 1.0;
        let wrong = seen.len() as f64 + 2.0 - right;
        odds = SurprisalOdds { intercept: (right / wrong).ln(), slope: 0.0 };
    }
    odds.is_usable().then_some(odds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairs::tests::tree;

    #[test]
    fn worked_values_of_a_scale() {
        let scale = LikelihoodScale {
            step: SurprisalOdds { intercept: 0.0, slope: 1.0 },
            end: SurprisalOdds { intercept: 1.0, slope: 2.0 },
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
    fn a_fit_finds_the_scale_that_made_the_outcomes() {
        let made = SurprisalOdds { intercept: 0.7, slope: 0.9 };
        let seen: Vec<Seen> =
            (0..400).map(|i| -f64::from(i) / 20.0).map(|x| (x, made.at(x))).collect();
        let found = fitted(&seen).unwrap();
        assert!((found.intercept - 0.7).abs() < 0.05 && (found.slope - 0.9).abs() < 0.05);
    }

    #[test]
    fn a_fit_needs_enough_and_stays_finite_where_all_are_alike() {
        let seen: Vec<Seen> = (0..FEWEST).map(|i| (-(i as f64), 1.0)).collect();
        assert!(fitted(&seen).unwrap().at(-50.0) > 0.8);
        assert_eq!(fitted(&seen[1..]), None);
        // Where the unlikely is right, likelihood says nothing.
        let turned: Vec<Seen> = (0..200).map(|i| (-f64::from(i), f64::from(i / 100))).collect();
        assert_eq!(fitted(&turned).unwrap(), SurprisalOdds { intercept: 0.0, slope: 0.0 });
    }

    /// Node 1 leads to a right and a wrong solution, node 2 is a wrong one.
    #[test]
    fn outcomes_are_paired_with_the_likelihood_of_the_whole_path() {
        let plan = [(0, 0.5, 3, "a\n"), (0, -1.0, 1, "b"), (1, 1.0, 1, "c"), (1, 0.0, 2, "d")];
        let mut tree = tree(&plan, &[1, 3]);
        for (id, outcome) in [(2, -1.0), (3, 1.0), (4, -1.0)] {
            tree.nodes[id].terminal = true;
            tree.nodes[id].outcome = outcome;
        }
        for node in &mut tree.nodes[1..] {
            node.logps = vec![-1.0, -0.5];
        }
        let mut fit = LikelihoodFit::default();
        fit.add(&tree);
        assert_eq!(fit.steps, [(-1.5, 0.5)]);
        assert_eq!(fit.ends, [(-1.5, 0.0), (-3.0, 1.0), (-3.0, 0.0)]);
        assert_eq!(fit.scale(), None);
        fit.add(&TreeRecord { oracle: false, ..tree });
        assert_eq!(fit.ends.len(), 3);
    }
}
