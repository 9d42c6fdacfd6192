//! Everything that changes an answer changes the identity of the policy, and nothing else does.

use crate::common;
use std::collections::BTreeMap;

use regrowth_policy::candle::{Checkpoint, Source, identity};
use serde_json::{Value, json};

fn values(_: &str, n: usize) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.7).sin() * 0.1).collect()
}

/// Identity of the checkpoint with changed weights and with changed or added files, by file name.
fn changed(weights: &dyn Fn(&str, usize) -> Vec<f32>, files: &BTreeMap<&str, Value>) -> String {
    let dir = tempfile::tempdir().unwrap();
    common::checkpoint(dir.path(), |_| {}, weights);
    let folder = dir.path().join("checkpoint");
    for (name, change) in files {
        let path = folder.join(name);
        let text = std::fs::read(&path).unwrap_or_else(|_| b"{}".to_vec());
        let mut value: Value = serde_json::from_slice(&text).unwrap();
        value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        std::fs::write(path, value.to_string()).unwrap();
    }
    identity(&Checkpoint::read(Source::folder(&folder).unwrap()).unwrap()).unwrap()
}

#[test]
fn everything_that_changes_an_answer_is_in_the_name() {
    let nothing = BTreeMap::new();
    let same = changed(&values, &nothing);
    assert_eq!(changed(&values, &nothing), same);
    let one_value = |name: &str, n: usize| {
        let mut values = values(name, n);
        values[n / 2] += f32::from(u8::from(name.contains("layers.1.mlp.down_proj")));
        values
    };
    let mut names = vec![same, changed(&one_value, &nothing)];
    for (file, change) in [
        ("config.json", json!({ "rope_theta": 500.0 })),
        ("config.json", json!({ "rms_norm_eps": 1e-3 })),
        ("generation_config.json", json!({ "eos_token_id": [0, 5] })),
        ("tokenizer_config.json", json!({ "chat_template": "{{ messages[0].content }}" })),
        ("tokenizer_config.json", json!({ "chat_template": "{{ bos_token }}Q" })),
        ("tokenizer_config.json", json!({ "chat_template": "{{ bos_token }}Q", "bos_token": "A" })),
        ("regrowth.json", json!({ "version": 1, "prompt": "{{ question }}", "judge": "?" })),
    ] {
        names.push(changed(&values, &BTreeMap::from([(file, change)])));
    }
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
}
