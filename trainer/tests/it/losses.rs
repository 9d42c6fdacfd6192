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
}

#[test]
fn values_and_gradients_equal_those_of_the_reference() {
    let goldens: Vec<Golden> =
        serde_json::from_str(include_str!("../golden/losses.json")).expect("golden file");
    let names: std::collections::BTreeSet<String> =
        goldens.iter().map(|g| format!("{:?}", g.loss)).collect();
    assert_eq!(names.len(), 11, "every loss has rows: {names:?}");
    for (row, golden) in goldens.iter().enumerate() {
        let Pair { chosen, rejected, reference_chosen, reference_rejected, .. } = golden.pair;
        let Pair { len_chosen, len_rejected, alpha, margin, .. } = golden.pair;
        let pair = PairLogps {
            chosen,
            rejected,
            reference_chosen,
            reference_rejected,
            len_chosen,
            len_rejected,
            alpha,
            margin,
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
        };
        let found = loss.optimum_margin(beta, &pair).expect("an optimum");
        assert!((found - optimum).abs() < 1e-9, "{loss} at {beta}: {found}, expected {optimum}");
    }
}
