//! Hidden states of a real checkpoint equal those of Hugging Face transformers.
//!
//! The golden file is made by `benches/peers/hidden_states.py`.

use regrowth_policy::{Hidden, LoadOptions, Request, Response, call, load};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    ids: Vec<u32>,
    states: Vec<State>,
}

#[derive(Deserialize)]
struct State {
    end: usize,
    state: Vec<f32>,
}

#[test]
#[ignore = "needs SmolLM2-135M-Instruct: benches/scripts/outside_data.sh FOLDER SMOLLM2"]
fn states_of_a_real_checkpoint_equal_those_of_transformers() {
    let folder = std::env::var("REGROWTH_SMOLLM2").expect("REGROWTH_SMOLLM2 is set");
    let policy = load(&folder, &LoadOptions::default()).unwrap();
    let golden: Golden =
        serde_json::from_str(include_str!("../golden/hidden_states.json")).unwrap();
    let mut start = 4;
    for State { end, state } in golden.states {
        let (prefix, step) = (golden.ids[..start].into(), golden.ids[start..end].into());
        let request = Request::Hidden(Hidden { prefix, step });
        let Response::Hidden(found) = call(&*policy, request).unwrap() else { panic!() };
        assert_eq!(found.values.len(), state.len());
        let largest = state.iter().map(|v| v.abs()).fold(0.0, f32::max);
        for (a, b) in found.values.iter().zip(&state) {
            assert!((a - b).abs() < 1e-4 * largest.max(1.0), "{a} {b} of {largest}, up to {end}");
        }
        start = end;
    }
}
