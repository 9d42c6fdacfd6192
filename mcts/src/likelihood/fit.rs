//! Fits the likelihood calibration to the verified outcomes of a search, by maximum likelihood.

use std::collections::HashMap;

use regrowth_datasets::Finish;
use regrowth_verifiers::Verifier;

use super::{
    AnswerCalibrator, Finished, LikelihoodCalibration, SurprisalCalibrator, features,
    log_likelihood, probability,
};
use crate::TreeRecord;
use crate::answers::{Answers, EndedSolution};
use crate::calibration::{Calibration, JudgedSolutions};
use crate::probe::FOLDS;

/// Collects verified steps of trees, to fit a calibration for the policy that grew them.
#[derive(Debug, Clone, Default)]
pub struct LikelihoodFit {
    steps: Vec<Seen<2>>,
    ends: Vec<Seen<2>>,
    answers: Vec<Seen<5>>,
    /// Problem and depth of each element of `ends` and of `answers`.
    places: [Vec<Place>; 2],
    problems: HashMap<String, usize>,
}

/// Problem and depth of a finished solution.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Index of its problem, in the order in which problems were added.
    problem: usize,
    depth: u32,
}

/// Features of a step, and the share of right solutions among the solutions through it.
type Seen<const N: usize> = ([f64; N], f64);

/// Minimum number of steps of a kind for fitting a calibrator (our choice: the log-odds have an error of
/// about 0.2).
const FEWEST: usize = 100;

impl LikelihoodFit {
    /// Adds the verified steps of a tree. Does nothing if the search did not see the reference answer.
    pub fn add(&mut self, tree: &TreeRecord, verifier: &dyn Verifier) {
        if !tree.oracle {
            return;
        }
        let next = self.problems.len();
        let problem = *self.problems.entry(tree.problem.id.clone()).or_insert(next);
        let mut likelihoods: Vec<f64> = Vec::with_capacity(tree.nodes.len());
        let mut answers = Answers::default();
        let counts = tree.solutions_below();
        for (id, (node, &(solutions, right))) in tree.nodes.iter().zip(&counts).enumerate() {
            let above = node.parent.map_or(0.0, |parent| likelihoods[parent as usize]);
            likelihoods.push(above + log_likelihood(&node.logps));
            let likelihood = likelihoods[id];
            let seen = (features(likelihood), right as f64 / solutions as f64);
            match (node.parent, node.terminal) {
                (Some(_), true) if solutions > 0 => {
                    self.ends.push(seen);
                    self.places[0].push(Place { problem, depth: node.depth });
                    let id = id as u32;
                    let text = tree.turn(id);
                    let tokens =
                        tree.path(id).iter().map(|&id| tree.nodes[id as usize].ids.len()).sum();
                    let finished = Finished::new(&text, tokens, likelihood);
                    let finish = node.finish.unwrap_or(Finish::Eos);
                    let solution = EndedSolution { node: id, text: &text, finish, finished };
                    answers.add(verifier, &tree.problem, solution);
                }
                // A single solution is too little evidence about a step.
                (Some(_), false) if solutions > 1 => self.steps.push(seen),
                _ => {}
            }
        }
        self.add_answers(tree, &answers, problem);
    }

    fn add_answers(&mut self, tree: &TreeRecord, answers: &Answers, problem: usize) {
        for answer in answers.all() {
            for &(id, finished) in &answer.solutions {
                let node = &tree.nodes[id as usize];
                let right = f64::from(u8::from(node.outcome > 0.0));
                self.answers.push((finished.features(answer.log_likelihood), right));
                self.places[1].push(Place { problem, depth: node.depth });
            }
        }
    }

    /// Calibration figures of finished solutions for each likelihood judge, by its name. Each solution is
    /// judged by a calibrator fitted to other problems; `None` if there are too few solutions.
    pub(crate) fn held_out(&self) -> [(&'static str, Option<Calibration>); 2] {
        let [ends, answers] = &self.places;
        [("likelihood", held_out(&self.ends, ends)), ("answers", held_out(&self.answers, answers))]
    }

    /// Maximum-likelihood calibration. A component with too few outcomes keeps its value from `before`; whole
    /// solutions, for example, have no steps. `None` if both steps and finished solutions are too few, or if
    /// the result is not usable.
    #[must_use]
    pub fn scale(&self, before: LikelihoodCalibration) -> Option<LikelihoodCalibration> {
        let odds = |[intercept, slope]: [f64; 2]| SurprisalCalibrator { intercept, slope };
        let answer = |[intercept, slope, solution, length, false_equation]: [f64; 5]| {
            AnswerCalibrator { intercept, slope, solution, length, false_equation }
        };
        let step = fitted(&self.steps).map(odds);
        let end = fitted(&self.ends).map(odds);
        step.or(end)?;
        let scale = LikelihoodCalibration {
            step: step.unwrap_or(before.step),
            end: end.unwrap_or(before.end),
            answer: fitted(&self.answers).map_or(before.answer, answer),
        };
        scale.is_usable().then_some(scale)
    }
}

/// Cross-validation by problem, as for probes.
fn held_out<const N: usize>(seen: &[Seen<N>], places: &[Place]) -> Option<Calibration> {
    let mut judged = JudgedSolutions::default();
    for fold in 0..FOLDS {
        let (own, others): (Vec<_>, Vec<_>) =
            seen.iter().zip(places).partition(|(_, place)| place.problem % FOLDS == fold);
        let weights = fitted(&others.into_iter().map(|(seen, _)| *seen).collect::<Vec<_>>())?;
        for ((features, right), place) in own {
            judged.record(place.depth, Some(probability(&weights, features)), *right > 0.5);
        }
    }
    judged.calibration()
}

/// Weights of the features. The first feature is 1, the second is computed from the surprisal. `None` for too
/// few outcomes.
fn fitted<const N: usize>(seen: &[Seen<N>]) -> Option<[f64; N]> {
    if seen.len() < FEWEST {
        return None;
    }
    let weights = regression(seen);
    if weights[1] >= 0.0 {
        return Some(weights);
    }
    // A negative weight would mean that likelier solutions are less often right. Set this weight to 0, and
    // fit the others without this feature.
    let without = |&(mut features, right): &Seen<N>| {
        features[1] = 0.0;
        (features, right)
    };
    Some(regression(&seen.iter().map(without).collect::<Vec<_>>()))
}

/// Logistic regression by Newton's method, on features with their means subtracted, so that the intercept is
/// not an extrapolation that the other weights would have to compensate.
fn regression<const N: usize>(seen: &[Seen<N>]) -> [f64; N] {
    /// Number of Newton steps, far more than convergence needs. No step changes a weight by more than 1, so
    /// that none overshoots if likelihoods separate all outcomes.
    const STEPS: usize = 60;
    let share = 1.0 / seen.len() as f64;
    let mut means = [0.0; N];
    for (features, _) in seen {
        (1..N).for_each(|i| means[i] += share * features[i]);
    }
    let around =
        |&(features, right): &Seen<N>| (std::array::from_fn(|i| features[i] - means[i]), right);
    let centred: Vec<Seen<N>> = seen.iter().map(around).collect();
    let mut weights = [0.0; N];
    for _ in 0..STEPS {
        let step = newton_step(&weights, &centred);
        let longest = step.iter().fold(1.0, |longest: f64, x| longest.max(x.abs()));
        for (weight, step) in weights.iter_mut().zip(step) {
            *weight -= step / longest;
        }
    }
    weights[0] -= (1..N).map(|i| weights[i] * means[i]).sum::<f64>();
    weights
}

/// The Newton step: the gradient of the mean loss over its Hessian, each including a prior.
fn newton_step<const N: usize>(weights: &[f64; N], seen: &[Seen<N>]) -> [f64; N] {
    /// Weight of half the squared weights relative to the losses: a Gaussian prior of variance 10, which
    /// keeps the weights finite if all outcomes are equal.
    const PRIOR: f64 = 0.1;
    let share = 1.0 / seen.len() as f64;
    let mut gradient = weights.map(|weight| share * PRIOR * weight);
    let mut hessian = [[0.0; N]; N];
    for (i, row) in hessian.iter_mut().enumerate() {
        row[i] = share * PRIOR;
    }
    for (features, right) in seen {
        let p = probability(weights, features);
        let (error, curvature) = (share * (p - right), share * p * (1.0 - p));
        for i in 0..N {
            gradient[i] += error * features[i];
            for j in 0..N {
                hessian[i][j] += curvature * features[i] * features[j];
            }
        }
    }
    solved(hessian, gradient)
}

/// Solves `matrix x = right` by Gaussian elimination. No rows are exchanged, because the matrix is positive
/// definite.
fn solved<const N: usize>(mut matrix: [[f64; N]; N], mut right: [f64; N]) -> [f64; N] {
    for pivot in 0..N {
        let top = matrix[pivot];
        for row in pivot + 1..N {
            let factor = matrix[row][pivot] / top[pivot];
            for (x, above) in matrix[row].iter_mut().zip(top) {
                *x -= factor * above;
            }
            right[row] -= factor * right[pivot];
        }
    }
    for row in (0..N).rev() {
        let known: f64 = (row + 1..N).map(|column| matrix[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / matrix[row][row];
    }
    right
}

#[cfg(test)]
mod tests {
    use regrowth_verifiers::ProblemVerifier;

    use super::*;
    use crate::pairs::tests::tree;

    #[test]
    fn a_fit_finds_the_scale_that_made_the_outcomes() {
        let made = SurprisalCalibrator { intercept: 0.7, slope: 0.9 };
        let seen: Vec<Seen<2>> =
            (0..400).map(|i| -f64::from(i) / 20.0).map(|x| (features(x), made.at(x))).collect();
        let [intercept, slope] = fitted(&seen).unwrap();
        assert!((intercept - 0.7).abs() < 0.05 && (slope - 0.9).abs() < 0.05);
    }

    #[test]
    fn a_fit_finds_what_length_and_false_equations_say() {
        let [slope, solution] = [1.5, -0.5];
        let made =
            AnswerCalibrator { intercept: -2.0, slope, solution, length: 0.8, false_equation: 2.0 };
        let of = |i: u32| Finished {
            log_likelihood: -f64::from(i % 101) / 10.0 - f64::from(i % 17) / 4.0,
            tokens: 5 + (i % 37) as usize,
            false_equation: i.is_multiple_of(3),
        };
        let likelihood = |i: u32| -f64::from(i % 101) / 10.0;
        let seen: Vec<Seen<5>> = (0..4_000)
            .map(|i| (of(i).features(likelihood(i)), made.at(likelihood(i), of(i))))
            .collect();
        // The prior shrinks the weights a little.
        let [intercept, slope, solution, length, false_equation] = fitted(&seen).unwrap();
        let found = AnswerCalibrator { intercept, slope, solution, length, false_equation };
        for i in (0..4_000).step_by(123) {
            let (found, made) = (found.at(likelihood(i), of(i)), made.at(likelihood(i), of(i)));
            assert!((found - made).abs() < 0.03, "{found} {made}");
        }
    }

    #[test]
    fn a_fit_needs_enough_and_stays_finite_where_all_are_alike() {
        let seen: Vec<Seen<2>> = (0..FEWEST).map(|i| (features(-(i as f64)), 1.0)).collect();
        assert!(probability(&fitted(&seen).unwrap(), &features(-50.0)) > 0.8);
        assert_eq!(fitted(&seen[1..]), None);
        // If unlikely solutions are right, the likelihood gets no weight.
        let turned: Vec<Seen<2>> =
            (0..200).map(|i| (features(-f64::from(i)), f64::from(i / 100))).collect();
        assert!(fitted(&turned).unwrap().iter().all(|weight| weight.abs() < 1e-9));
        // Other features keep their weights.
        let also: Vec<Seen<3>> =
            turned.iter().map(|&([a, b], right)| ([a, b, right], right)).collect();
        let [_, slope, other] = fitted(&also).unwrap();
        assert!(slope == 0.0 && other > 2.0, "{slope} {other}");
    }

    #[test]
    fn what_there_are_too_few_of_stays_as_it_was() {
        let ends = (0..200).map(|i| (features(-f64::from(i)), f64::from(1 - i / 100))).collect();
        let fit = LikelihoodFit { ends, ..LikelihoodFit::default() };
        let before = LikelihoodCalibration::default();
        let found = fit.scale(before).unwrap();
        assert_eq!((found.step, found.answer), (before.step, before.answer));
        assert_ne!(found.end, before.end);
    }

    /// Node 1 leads to a right and a wrong solution, node 2 is a wrong solution.
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
        fit.add(&tree, &ProblemVerifier);
        let seen = |likelihood, right| (features(likelihood), right);
        assert_eq!(fit.steps, [seen(-1.5, 0.5)]);
        assert_eq!(fit.ends, [seen(-1.5, 0.0), seen(-3.0, 1.0), seen(-3.0, 0.0)]);
        assert_eq!(fit.answers.len(), 3);
        assert_eq!(fit.scale(LikelihoodCalibration::default()), None);
        fit.add(&TreeRecord { oracle: false, ..tree }, &ProblemVerifier);
        assert_eq!(fit.ends.len(), 3);
    }
}
