//! Log-probabilities equal those of Hugging Face transformers for every model family.
//!
//! The golden file is made by `benches/peers/parity.py`, which computes the same weights from the same
//! integer hash.

use crate::common::golden;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
struct Golden {
    name: String,
    config: Map<String, Value>,
    lengths: Vec<usize>,
    logprobs: Vec<Vec<f32>>,
}

#[test]
fn log_probabilities_equal_those_of_transformers() {
    let goldens: Vec<Golden> =
        serde_json::from_str(include_str!("../golden/parity.json")).expect("golden file");
    assert_eq!(goldens.len(), 12);
    for Golden { name, config, lengths, logprobs } in goldens {
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = golden::checkpoint(dir.path(), &config);
        golden::check_both(&name, &checkpoint, &lengths, &logprobs);
    }
}
