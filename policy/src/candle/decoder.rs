//! The decoder in its inference form: rows of tokens over stored keys and values.
//!
//! R rows (one token each, of any mix of sequences), D hidden width, H heads, K key/value heads,
//! F feed-forward width, V vocabulary. A row's result depends on its own prefix alone: attention
//! reduces over positions in order, and products run at row counts whose rows gemm computes alike
//! (at least two: a single row takes another path). So a sequence gets the same bits alone or in
//! any batch, with a warm or a cold cache.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::Tensor;
use rayon::prelude::*;

use super::config::ModelConfig;
use super::kv::KvStore;
use super::ops::{
    Matrix, RopeTable, attend_row, multiply, rms_norm_rows, rotate_rows, swiglu_rows,
};

/// Most rows in one product; more are cut into blocks, so that no block size is ever untested.
const PRODUCT_ROWS: usize = 64;

/// Rows below which sharing attention between threads costs more than it saves.
const SHARED_ROWS: usize = 16;

/// `x w + b` with w stored `[in, out]`: the order in which thin products are fastest.
struct Linear {
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
}

struct Layer {
    attention_norm: Vec<f32>,
    qkv: Linear,
    qk_norm: Option<(Vec<f32>, Vec<f32>)>,
    o: Linear,
    mlp_norm: Vec<f32>,
    gate_up: Linear,
    down: Linear,
}

/// Weights of the inference form; shared by all shards of an engine.
pub(super) struct Decoder {
    config: ModelConfig,
    embedding: Vec<f32>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: Linear,
    rope: Arc<RopeTable>,
}

/// One token to compute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    /// The token.
    pub(super) id: u32,
    /// Slots of its sequence up to and with its own; its position is their number less one.
    pub(super) path: &'a [u32],
}

impl Decoder {
    /// Rearranges the weights of a checkpoint.
    pub(super) fn new(
        config: &ModelConfig,
        tensors: &BTreeMap<String, Tensor>,
    ) -> candle_core::Result<Self> {
        let weights = Weights(tensors);
        let embedding = weights.flat("model.embed_tokens.weight")?;
        let head = if config.tied { "model.embed_tokens" } else { "lm_head" };
        let layers = (0..config.layers)
            .map(|i| Layer::new(config, &weights, &format!("model.layers.{i}")))
            .collect::<candle_core::Result<_>>()?;
        Ok(Self {
            config: config.clone(),
            embedding,
            layers,
            norm: weights.flat("model.norm.weight")?,
            head: weights.linear(&[head], false)?,
            rope: Arc::new(RopeTable::new(&config.inverse_frequencies(), config.context)),
        })
    }

    /// Shape of the model.
    pub(super) fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Hidden rows after the last norm, `[R, D]`; keys and values of the rows go to `kv`.
    ///
    /// Rows of one sequence must come in order of position, each after all it depends on.
    pub(super) fn hidden(&self, rows: &[Row], kv: &mut KvStore) -> Vec<f32> {
        let d = self.config.hidden_size;
        let mut x: Vec<f32> = Vec::with_capacity(rows.len() * d);
        for row in rows {
            x.extend_from_slice(&self.embedding[row.id as usize * d..(row.id as usize + 1) * d]);
        }
        for (index, layer) in self.layers.iter().enumerate() {
            self.layer(index, layer, rows, &mut x, kv);
        }
        let mut out = vec![0f32; x.len()];
        rms_norm_rows(&mut out, &x, &self.norm, self.config.rms_norm_eps);
        out
    }

    /// Logits of hidden rows, `[n, V]`.
    pub(super) fn logits(&self, hidden: &[f32]) -> Vec<f32> {
        self.head.forward(hidden)
    }

    fn layer(&self, index: usize, layer: &Layer, rows: &[Row], x: &mut [f32], kv: &mut KvStore) {
        let c = &self.config;
        let mut h = vec![0f32; x.len()];
        rms_norm_rows(&mut h, x, &layer.attention_norm, c.rms_norm_eps);
        let mut qkv = layer.qkv.forward(&h);
        let (q_width, kv_width) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let width = q_width + 2 * kv_width;
        if let Some((q_norm, k_norm)) = &layer.qk_norm {
            for row in qkv.chunks_exact_mut(width) {
                let (q, rest) = row.split_at_mut(q_width);
                norm_in_place(q, q_norm, c.rms_norm_eps);
                norm_in_place(&mut rest[..kv_width], k_norm, c.rms_norm_eps);
            }
        }
        let positions = rows.iter().map(|r| r.path.len() as u32 - 1);
        rotate_rows(&mut qkv, width, c.heads + c.kv_heads, &self.rope, positions, false);
        for (row, values) in rows.iter().zip(qkv.chunks_exact(width)) {
            let (k, v) = values[q_width..].split_at(kv_width);
            kv.write(index, row.path[row.path.len() - 1], k, v);
        }
        let mixed = self.attend(index, rows, &qkv, kv);
        add(x, &layer.o.forward(&mixed));
        rms_norm_rows(&mut h, x, &layer.mlp_norm, c.rms_norm_eps);
        let wide = layer.gate_up.forward(&h);
        let mut gated = vec![0f32; rows.len() * c.intermediate_size];
        swiglu_rows(&mut gated, &wide, c.intermediate_size);
        add(x, &layer.down.forward(&gated));
    }

    /// Attention of every row over its path: `[R, H head_dim]`.
    fn attend(&self, layer: usize, rows: &[Row], qkv: &[f32], kv: &KvStore) -> Vec<f32> {
        let c = &self.config;
        let q_width = c.heads * c.head_dim;
        let width = qkv.len() / rows.len();
        let (keys, values) = kv.layer(layer);
        let mut out = vec![0f32; rows.len() * q_width];
        let one = |(i, out): (usize, &mut [f32])| {
            let path = rows[i].path;
            let low = path.len().saturating_sub(c.window(layer).unwrap_or(path.len()));
            let q = &qkv[i * width..i * width + q_width];
            attend_row(out, q, keys, values, &path[low..], (c.heads, c.kv_heads, c.head_dim));
        };
        if rows.len() >= SHARED_ROWS && rayon::current_num_threads() > 1 {
            out.par_chunks_exact_mut(q_width).enumerate().for_each(one);
        } else {
            out.chunks_exact_mut(q_width).enumerate().for_each(one);
        }
        out
    }
}

impl Layer {
    fn new(config: &ModelConfig, weights: &Weights, prefix: &str) -> candle_core::Result<Self> {
        let name = |s: &str| format!("{prefix}.{s}");
        let flat = |s: &str| weights.flat(&format!("{prefix}.{s}.weight"));
        let qkv = ["q_proj", "k_proj", "v_proj"].map(|p| name(&format!("self_attn.{p}")));
        let gate_up = [name("mlp.gate_proj"), name("mlp.up_proj")];
        let qk_norm = match config.qk_norm {
            true => Some((flat("self_attn.q_norm")?, flat("self_attn.k_norm")?)),
            false => None,
        };
        Ok(Self {
            attention_norm: flat("input_layernorm")?,
            qkv: weights.linear(&qkv.each_ref().map(String::as_str), config.qkv_bias)?,
            qk_norm,
            o: weights.linear(&[&name("self_attn.o_proj")], config.output_bias)?,
            mlp_norm: flat("post_attention_layernorm")?,
            gate_up: weights.linear(&gate_up.each_ref().map(String::as_str), false)?,
            down: weights.linear(&[&name("mlp.down_proj")], false)?,
        })
    }
}

impl Linear {
    /// Rows of `x` through the layer, `[n, in]` to `[n, out]`.
    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let n = x.len() / self.inputs;
        let mut out = vec![0f32; n * self.outputs];
        let weight = Matrix::new(&self.weight, self.inputs, self.outputs);
        let blocks = x.chunks(PRODUCT_ROWS * self.inputs);
        for (out, x) in out.chunks_mut(PRODUCT_ROWS * self.outputs).zip(blocks) {
            if x.len() == self.inputs {
                let (twice, mut both) = (x.repeat(2), vec![0f32; 2 * self.outputs]);
                multiply(&mut both, Matrix::new(&twice, 2, self.inputs), weight, false);
                out.copy_from_slice(&both[..self.outputs]);
            } else {
                let rows = x.len() / self.inputs;
                multiply(out, Matrix::new(x, rows, self.inputs), weight, false);
            }
        }
        if let Some(bias) = &self.bias {
            out.chunks_exact_mut(self.outputs).for_each(|row| add(row, bias));
        }
        out
    }
}

/// Access to checkpoint tensors as plain values.
struct Weights<'a>(&'a BTreeMap<String, Tensor>);

impl Weights<'_> {
    fn tensor(&self, name: &str) -> candle_core::Result<&Tensor> {
        match self.0.get(name) {
            Some(tensor) => Ok(tensor),
            None => candle_core::bail!("no tensor `{name}`"),
        }
    }

    fn flat(&self, name: &str) -> candle_core::Result<Vec<f32>> {
        self.tensor(name)?.flatten_all()?.to_vec1()
    }

    /// Several projections of the same input side by side.
    fn linear(&self, names: &[&str], bias: bool) -> candle_core::Result<Linear> {
        let weights = names
            .iter()
            .map(|n| self.tensor(&format!("{n}.weight")).cloned())
            .collect::<candle_core::Result<Vec<_>>>()?;
        let stacked = Tensor::cat(&weights, 0)?.t()?.contiguous()?;
        let (inputs, outputs) = stacked.dims2()?;
        let mut biases = Vec::new();
        for name in names.iter().filter(|_| bias) {
            biases.extend(self.flat(&format!("{name}.bias"))?);
        }
        let weight = stacked.flatten_all()?.to_vec1()?;
        Ok(Linear { weight, bias: bias.then_some(biases), inputs, outputs })
    }
}

/// RMSNorm of each head of a row.
fn norm_in_place(heads: &mut [f32], weight: &[f32], eps: f32) {
    let copy = heads.to_vec();
    rms_norm_rows(heads, &copy, weight, eps);
}

fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;

    #[test]
    fn rows_of_a_product_do_not_depend_on_how_many_there_are() {
        let mut rng = regrowth_datasets::keyed_rng(1, &[b"rows"]);
        for (inputs, outputs) in [(128, 384), (352, 128), (128, 480), (768, 3072), (2048, 64)] {
            let mut draw = |n: usize| (0..n).map(|_| rng.random_range(-1f32..1.0)).collect();
            let linear = Linear { weight: draw(inputs * outputs), bias: None, inputs, outputs };
            let x: Vec<f32> = draw(150 * inputs);
            let whole = linear.forward(&x);
            for rows in [1, 2, 3, 5, 8, 17, 33, 63, 64, 65, 100] {
                let part = linear.forward(&x[..rows * inputs]);
                assert!(part == whole[..rows * outputs], "{rows} rows of {inputs} x {outputs}");
            }
        }
    }
}
