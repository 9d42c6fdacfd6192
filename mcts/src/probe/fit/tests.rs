use rand::RngExt;
use regrowth_datasets::keyed_rng;
use serde::Deserialize;

use super::*;
use crate::pairs::tests::tree;

/// Samples of `problems` problems, eight each, whose outcome follows the first of `width` values.
fn samples(problems: usize, width: usize, strength: f64) -> Vec<Sample> {
    let mut rng = keyed_rng(5, &[b"probe"]);
    let mut sample = |index: usize| {
        let values: Vec<f32> = (0..width).map(|_| rng.random_range(-1.0f32..1.0)).collect();
        let right = rng.random_range(0.0..1.0) < probability(strength * f64::from(values[0]));
        let state = StepState::new(&values);
        Sample { problem: index / 8, depth: 2, state, right: f64::from(u8::from(right)) }
    };
    (0..8 * problems).map(&mut sample).collect()
}

/// Fixture of `benches/peers/probe_golden.py`, which fits with scikit-learn.
#[derive(Deserialize)]
struct Golden {
    l2: f64,
    rows: Vec<Vec<f32>>,
    labels: Vec<f64>,
    intercept: f64,
    weights: Vec<f64>,
}

#[test]
fn a_fit_is_that_of_scikit_learn() {
    let goldens: Vec<Golden> =
        serde_json::from_str(include_str!("golden.json")).expect("golden file");
    assert_eq!(goldens.len(), 3);
    for golden in goldens {
        let samples: Vec<Sample> = golden
            .rows
            .iter()
            .zip(&golden.labels)
            .map(|(row, &right)| Sample { problem: 0, depth: 1, state: StepState::new(row), right })
            .collect();
        let all: Vec<&Sample> = samples.iter().collect();
        let probe = Standardised::new(&all).path(&[10.0 * golden.l2, golden.l2]).pop().unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-4 * b.abs().max(1.0);
        assert!(
            close(probe.intercept, golden.intercept),
            "{} {}",
            probe.intercept,
            golden.intercept
        );
        for (a, b) in probe.weights.iter().zip(&golden.weights) {
            assert!(close(*a, *b), "{a} {b}");
        }
    }
}

#[test]
fn a_probe_finds_what_a_state_says_and_nothing_in_noise() {
    let told = fitted(&samples(60, 12, 4.0)).unwrap();
    let auc =
        |found: &Validated, samples: &[Sample]| found.figures(samples).unwrap().all.auc.unwrap();
    let strong = auc(&told, &samples(60, 12, 4.0));
    assert!(strong > 0.8, "{strong}");
    let others = told.probe.weights[1..].iter().map(|w| w.abs()).fold(0.0, f64::max);
    assert!(told.probe.weights[0] > 4.0 * others, "{:?}", told.probe.weights);
    // As many values as samples: the probe separates its own samples, but does not generalise to others.
    let noise = samples(60, 480, 0.0);
    let found = fitted(&noise).unwrap();
    let judged: Vec<_> = noise.iter().map(|s| (found.probe.at(&s.state), s.right > 0.5)).collect();
    let (own, held_out) = (crate::calibration::auc(&judged).unwrap(), auc(&found, &noise));
    assert!(own > 0.8 && (0.4..0.6).contains(&held_out), "{own} {held_out}");
}

#[test]
fn no_sample_is_judged_by_a_probe_that_saw_its_problem() {
    // The state only identifies the problem; outcomes differ by problem.
    let mut samples = samples(50, 50, 0.0);
    for sample in &mut samples {
        let mut values = [0.0; 50];
        values[sample.problem] = 1.0;
        sample.state = StepState::new(&values);
        sample.right = f64::from(u8::from(sample.problem.is_multiple_of(2)));
    }
    let found = fitted(&samples).unwrap();
    let auc = found.figures(&samples).unwrap().all.auc.unwrap();
    assert!(auc < 0.6, "{auc}");
}

#[test]
fn too_few_samples_or_problems_give_no_probe() {
    assert!(fitted(&samples(12, 3, 1.0)).is_none());
    let mut one = samples(60, 3, 1.0);
    one.iter_mut().for_each(|sample| sample.problem = 3);
    assert!(fitted(&one).is_none());
    let mut uneven = samples(60, 3, 1.0);
    uneven[9].state = StepState::new(&[1.0]);
    assert!(fitted(&uneven).is_none());
    // All outcomes are equal: the weights stay finite.
    let mut alike = samples(60, 3, 1.0);
    alike.iter_mut().for_each(|sample| sample.right = 1.0);
    let found = fitted(&alike).unwrap();
    assert!(found.probe.intercept.is_finite() && found.probe.at(&alike[0].state) > 0.8);
}

/// Node 1 leads to a right and a wrong solution, node 2 is a wrong one.
#[test]
fn states_are_paired_with_the_outcomes_below_them() {
    let plan = [(0, 0.5, 3, "a\n"), (0, -1.0, 1, "b"), (1, 1.0, 1, "c"), (1, 0.0, 2, "d")];
    let mut tree = tree(&plan, &[1, 3]);
    for (id, outcome) in [(2, -1.0), (3, 1.0), (4, -1.0)] {
        tree.nodes[id].terminal = true;
        tree.nodes[id].outcome = outcome;
    }
    let mut fit = ProbeFit::default();
    fit.add(&tree);
    assert!(fit.is_empty());
    for (id, node) in tree.nodes.iter_mut().enumerate().skip(1) {
        node.hidden_state = Some(StepState::new(&[id as f32]));
    }
    fit.add(&tree);
    let seen = |samples: &[Sample]| -> Vec<(f32, f64)> {
        samples.iter().map(|s| (s.state.values().next().unwrap(), s.right)).collect()
    };
    assert_eq!(seen(&fit.steps), [(1.0, 0.5)]);
    assert_eq!(seen(&fit.ends), [(2.0, 0.0), (3.0, 1.0), (4.0, 0.0)]);
    fit.add(&TreeRecord { oracle: false, ..tree });
    assert_eq!(fit.ends.len(), 3);
}
