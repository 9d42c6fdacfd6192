//! Every preference loss against values and gradients of an independent reference.
//!
//! The golden file comes from `benches/peers/trl_losses.py`: TRL's own code where it has the loss,
//! else the formula with automatic differentiation.

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
