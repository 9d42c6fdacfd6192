//! Compares every preference loss with values and gradients of an independent reference.
//!
//! The golden file comes from `benches/peers/trl_losses.py`: TRL's own code if it has the loss, otherwise the
//! formula with automatic differentiation.

use regrowth_trainer::train::loss::{PairLogps, PreferenceLoss};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    loss: PreferenceLoss,
    beta: f64,
    nll: f64,
    pair: Pair,
    value: f64,
    by_chosen: f64,
    by_rejected: f64,
}

#[derive(Deserialize)]
struct Pair {
    chosen: f64,
    rejected: f64,
    reference_chosen: f64,
    reference_rejected: f64,
    len_chosen: f64,
    len_rejected: f64,
    alpha: f64,
    margin: f64,
    #[serde(default)]
    advantage_chosen: f64,
    #[serde(default)]
    advantage_rejected: f64,
}

#[test]
fn values_and_gradients_equal_those_of_the_reference() {
    let goldens: Vec<Golden> =
        serde_json::from_str(include_str!("../golden/losses.json")).expect("golden file");
    let names: std::collections::BTreeSet<String> =
        goldens.iter().map(|g| format!("{:?}", g.loss)).collect();
    assert_eq!(names.len(), 12, "every loss has rows: {names:?}");
    for (row, golden) in goldens.iter().enumerate() {
        let Pair { chosen, rejected, reference_chosen, reference_rejected, .. } = golden.pair;
        let Pair { len_chosen, len_rejected, alpha, margin, .. } = golden.pair;
        let Pair { advantage_chosen, advantage_rejected, .. } = golden.pair;
        let pair = PairLogps {
            chosen,
            rejected,
            reference_chosen,
            reference_rejected,
            len_chosen,
            len_rejected,
            alpha,
            margin,
            advantage_chosen,
            advantage_rejected,
        };
        let found = golden.loss.with_nll(golden.beta, golden.nll, &pair);
        for (what, a, b) in [
            ("value", found.loss, golden.value),
            ("derivative by the chosen side", found.by_chosen, golden.by_chosen),
            ("derivative by the rejected side", found.by_rejected, golden.by_rejected),
        ] {
            let close = (a - b).abs() <= 1e-9 * b.abs().max(1.0);
            assert!(close, "row {row}, {:?}: {what} is {a}, expected {b}", golden.loss);
        }
    }
}

#[derive(Deserialize)]
struct Optimum {
    loss: PreferenceLoss,
    beta: f64,
    alpha: f64,
    margin: f64,
    optimum: f64,
}

/// The golden file comes from `benches/peers/optimum_margins.py`, which minimises the expected loss
/// numerically.
#[test]
fn the_optimum_of_each_loss_is_where_the_reference_finds_it() {
    let goldens: Vec<Optimum> =
        serde_json::from_str(include_str!("../golden/optimum_margins.json")).expect("golden file");
    for Optimum { loss, beta, alpha, margin, optimum } in goldens {
        let pair = PairLogps {
            chosen: -3.0,
            rejected: -4.0,
            reference_chosen: -3.0,
            reference_rejected: -4.0,
            len_chosen: 2.0,
            len_rejected: 3.0,
            alpha,
            margin,
            // Three siblings with Q = margin, margin / 3 and 0, as in the script.
            advantage_chosen: margin * 5.0 / 6.0,
            advantage_rejected: -margin * 2.0 / 3.0,
        };
        let found = loss.optimum_margin(beta, &pair).expect("an optimum");
        assert!((found - optimum).abs() < 1e-9, "{loss} at {beta}: {found}, expected {optimum}");
    }
}

/// The mean of GPO's loss over all pairs of ranked siblings equals its mean over the siblings, because every
/// sibling is in the same number of pairs.
#[test]
fn the_mean_over_all_pairs_of_siblings_is_the_mean_over_the_siblings() {
    let (beta, temperature) = (0.3, 0.8);
    let siblings = [(1.4, -0.5), (0.9, 2.0), (-0.2, 0.3), (-1.7, -1.1)];
    let others = |y: usize| (0..siblings.len()).filter(move |&j| j != y);
    let advantage = |y: usize| {
        let gaps = others(y).map(|j| siblings[y].0 - siblings[j].0);
        gaps.sum::<f64>() / (siblings.len() - 1) as f64
    };
    let beats = |y: usize, j: usize| {
        let gap: f64 = siblings[y].0 - siblings[j].0;
        1.0 / (1.0 + (-gap / temperature).exp())
    };
    let by_sibling = |y: usize| {
        let logits = others(y).map(|j| (beats(y, j) / (1.0 - beats(y, j))).ln());
        let s = logits.sum::<f64>() / (siblings.len() - 1) as f64;
        (siblings[y].1 - s / beta).powi(2)
    };
    let over_siblings = (0..4).map(by_sibling).sum::<f64>() / 4.0;
    let gpo = PreferenceLoss::Gpo { temperature };
    let mut of_pairs = Vec::new();
    for chosen in 0..4 {
        for rejected in chosen + 1..4 {
            let pair = PairLogps {
                chosen: siblings[chosen].1 - 3.0,
                rejected: siblings[rejected].1 - 4.0,
                reference_chosen: -3.0,
                reference_rejected: -4.0,
                len_chosen: 2.0,
                len_rejected: 3.0,
                alpha: 0.1,
                margin: siblings[chosen].0 - siblings[rejected].0,
                advantage_chosen: advantage(chosen),
                advantage_rejected: advantage(rejected),
            };
            of_pairs.push(gpo.value(beta, &pair).loss);
        }
    }
    let over_pairs = of_pairs.iter().sum::<f64>() / of_pairs.len() as f64;
    assert!((over_pairs - over_siblings).abs() < 1e-12, "{over_pairs} {over_siblings}");
}
