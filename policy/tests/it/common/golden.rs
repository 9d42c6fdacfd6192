//! Weights from an integer hash, and comparisons of log-probabilities of both decoders with golden files.

use std::path::Path;
use std::sync::Arc;

use crossbeam::channel::unbounded;
use regrowth_policy::candle::{CandlePolicy, Checkpoint, PackedLayout, Transformer};
use regrowth_policy::{Call, LoadOptions, Policy, Request, Response, Score};
use serde_json::{Map, Value};

/// Largest difference to transformers in f32.
const TOLERANCE: f32 = 1e-4;

/// The weights that the golden scripts give a model.
pub fn weights(name: &str, n: usize) -> Vec<f32> {
    let scale = |v: f64| if name.contains("norm") { 1.0 + 0.25 * v } else { 0.375 * v };
    hashed(name, n).map(|v| scale(v) as f32).collect()
}

/// Writes a checkpoint with this configuration and these weights to a folder and reads it back.
pub fn checkpoint(dir: &Path, config: &Map<String, Value>) -> Checkpoint {
    super::checkpoint(dir, |raw| *raw = config.clone(), &weights)
}

/// Vocabulary size of the scripts' models; an adapter may add tokens.
const VOCABULARY: usize = 96;

/// Checks both decoders on sequences of these lengths.
pub fn check_both(name: &str, checkpoint: &Checkpoint, lengths: &[usize], expected: &[Vec<f32>]) {
    let rows: Vec<Vec<u32>> = lengths.iter().map(|&l| sequence(l)).collect();
    check(name, "packed", &packed(checkpoint, &rows), expected);
    check(name, "engine", &scored(checkpoint, &rows), expected);
}

/// Values in [-1, 1) from a 32-bit integer hash, as in the scripts.
pub fn hashed(name: &str, n: usize) -> impl Iterator<Item = f64> + use<> {
    let seed = crc32(name.as_bytes());
    (0..n).map(move |i| {
        let mut x = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
        for (shift, factor) in [(16, 0x7FEB_352D_u32), (15, 0x846C_A68B)] {
            x = (x ^ (x >> shift)).wrapping_mul(factor);
        }
        x ^= x >> 16;
        f64::from(x >> 8) / f64::from(1 << 23) - 1.0
    })
}

/// zlib's CRC-32, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8)
            .fold(crc ^ u32::from(*byte), |c, _| (c >> 1) ^ (0xEDB8_8320 & (c & 1).wrapping_neg()))
    };
    !bytes.iter().fold(!0, step)
}

/// Token ids, as in the scripts.
pub fn sequence(length: usize) -> Vec<u32> {
    let ids = hashed(&format!("ids {length}"), length);
    ids.map(|v| ((v + 1.0) / 2.0 * VOCABULARY as f64).floor() as u32).collect()
}

fn check(name: &str, form: &str, found: &[Vec<f32>], expected: &[Vec<f32>]) {
    assert_eq!(found.len(), expected.len());
    for (row, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len());
        for (i, (a, b)) in found.iter().zip(expected).enumerate() {
            assert!(
                (a - b).abs() <= TOLERANCE,
                "{name}, {form} form, row {row}, token {}: {a}, expected {b}",
                i + 1
            );
        }
    }
}

/// Log-probabilities of the differentiable decoder, with all rows packed into one batch.
fn packed(checkpoint: &Checkpoint, rows: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let transformer = Transformer::new(&checkpoint.config, &checkpoint.tensors).unwrap();
    let mut layout = PackedLayout::default();
    for row in rows {
        layout.push(None, row.len());
    }
    let hidden = transformer.hidden(&rows.concat(), &Arc::new(layout)).unwrap();
    let mut start = 0;
    rows.iter()
        .map(|row| {
            let states = hidden.narrow(0, start, row.len() - 1).unwrap();
            start += row.len();
            transformer.log_probs(&states, &row[1..]).unwrap().to_vec1().unwrap()
        })
        .collect()
}

/// Log-probabilities of the engine, with all rows in flight at once.
fn scored(checkpoint: &Checkpoint, rows: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let policy = CandlePolicy::new(checkpoint, &LoadOptions::default()).unwrap();
    let (reply, receive) = unbounded();
    for (request_id, row) in rows.iter().enumerate() {
        let score = Score { prefix: row[..1].into(), continuation: row[1..].into() };
        let (request_id, reply) = (request_id as u64, reply.clone());
        policy.submit(Call::new(request_id, Request::Score(score), reply));
    }
    let mut answers: Vec<_> = receive.iter().take(rows.len()).collect();
    answers.sort_by_key(|a| a.request_id);
    let logps = |response| match response {
        Response::Scores(scores) => scores.logps,
        other => panic!("expected scores, got {other:?}"),
    };
    answers.into_iter().map(|a| logps(a.result.unwrap())).collect()
}
