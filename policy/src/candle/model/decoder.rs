//! The decoder for inference on the CPU: computes rows of tokens with a KV cache.
//!
//! R rows (one token each, of any mix of sequences), D hidden size, H heads, K key/value heads, F
//! feed-forward size, V vocabulary. A row's result depends only on its own prefix: attention reduces over
//! positions in order, and each output of a product is summed over the inputs in a fixed order. So a
//! sequence gets bit-identical results alone or in any batch, with an empty or a filled cache.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Tensor};

use crate::Dtype;
use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::kernels::{
    KvWord, PackedWeights, Query, RopeTable, Stored, Write, attend_rows, for_chunks,
    rms_norm_in_place, rms_norm_rows, rotate_rows, swiglu_rows,
};
use crate::candle::model::embedding::Embedding;
use crate::candle::model::forward::{Forward, TokenRow};
use crate::candle::model::kv_store::KvStore;
use crate::candle::model::weights::Weights;

/// Number of weight rows converted to f32 at a time during packing.
const ROWS: usize = 256;

/// Minimum number of rows for which splitting attention among threads pays off.
const PARALLEL_ROWS: usize = 8;

struct Layer {
    attention_norm: Vec<f32>,
    qkv: PackedWeights,
    qk_norm: Option<(Vec<f32>, Vec<f32>)>,
    o: PackedWeights,
    mlp_norm: Vec<f32>,
    gate_up: PackedWeights,
    down: PackedWeights,
}

/// Packed weights, shared by all shards of an engine.
pub(crate) struct Decoder {
    config: ModelConfig,
    /// `[V, D]`, in f32 or as stored; `None` if it is tied to the head.
    embedding: Option<Embedding>,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    head: PackedWeights,
    rope: Arc<RopeTable>,
}

impl Decoder {
    /// Packs the weights of a checkpoint for products in `dtype` (f32, bf16 or int8), one after the other; each
    /// tensor is freed once it is packed. Everything except products and stored keys and values
    /// ([`on_cpu`]) is computed in f32.
    pub(crate) fn new(
        config: &ModelConfig,
        tensors: BTreeMap<String, Tensor>,
        dtype: Dtype,
    ) -> candle_core::Result<Self> {
        let mut weights = Packer { weights: Weights::new(tensors), dtype };
        let embedding = match config.tied {
            true => None,
            false => Some(Embedding::new(&weights.weights.take("model.embed_tokens.weight")?)?),
        };
        let head = if config.tied { "model.embed_tokens" } else { "lm_head" };
        let layers = (0..config.layers)
            .map(|i| weights.layer(config, &format!("model.layers.{i}")))
            .collect::<candle_core::Result<_>>()?;
        Ok(Self {
            config: config.clone(),
            embedding,
            layers,
            norm: weights.weights.flat("model.norm.weight")?,
            head: weights.pack(&[head], false)?,
            rope: Arc::new(config.rope_table()),
        })
    }

    /// Computes the hidden states after the last norm, `[R, D]`, into `h`, and stores keys and values of
    /// the rows in `kv`.
    fn hidden<W: KvWord>(
        &self,
        rows: &[TokenRow],
        kv: &mut KvStore<W>,
        scratch: &mut Scratch,
        h: &mut Vec<f32>,
    ) {
        let d = self.config.hidden_size;
        scratch.fit(&self.config, rows.len());
        h.resize(rows.len() * d, 0.0);
        rows.iter().for_each(|row| kv.reach(row.slot()));
        for (x, row) in scratch.x.chunks_exact_mut(d).zip(rows) {
            let id = row.id as usize;
            match &self.embedding {
                Some(embedding) => embedding.copy_row(id, x),
                None => self.head.copy_row(id, x),
            }
        }
        for (index, layer) in self.layers.iter().enumerate() {
            self.layer(index, layer, rows, kv, scratch, h);
        }
        rms_norm_rows(h, &scratch.x, &self.norm, self.config.rms_norm_eps);
    }

    fn layer<W: KvWord>(
        &self,
        index: usize,
        layer: &Layer,
        rows: &[TokenRow],
        kv: &mut KvStore<W>,
        scratch: &mut Scratch,
        h: &mut [f32],
    ) {
        let c = &self.config;
        let Scratch { x, qkv, mixed, wide, gated } = scratch;
        rms_norm_rows(h, x, &layer.attention_norm, c.rms_norm_eps);
        layer.qkv.apply(h, qkv, Write::Set);
        let (q_width, kv_width) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let width = q_width + 2 * kv_width;
        if let Some((q_norm, k_norm)) = &layer.qk_norm {
            for row in qkv.chunks_exact_mut(width) {
                let (q, rest) = row.split_at_mut(q_width);
                rms_norm_in_place(q, q_norm, c.rms_norm_eps);
                rms_norm_in_place(&mut rest[..kv_width], k_norm, c.rms_norm_eps);
            }
        }
        let positions = rows.iter().map(TokenRow::position);
        rotate_rows(qkv, width, c.heads + c.kv_heads, &self.rope, positions, false);
        for (row, values) in rows.iter().zip(qkv.chunks_exact(width)) {
            let (k, v) = values[q_width..].split_at(kv_width);
            kv.write(index, row.slot(), k, v);
        }
        self.attend(index, rows, qkv, kv, mixed);
        layer.o.apply(mixed, x, Write::Add);
        rms_norm_rows(h, x, &layer.mlp_norm, c.rms_norm_eps);
        layer.gate_up.apply(h, wide, Write::Set);
        swiglu_rows(gated, wide, c.intermediate_size);
        layer.down.apply(gated, x, Write::Add);
    }

    /// Computes attention of every row over its path, `[R, H head_dim]`.
    fn attend<W: KvWord>(
        &self,
        layer: usize,
        rows: &[TokenRow],
        qkv: &[f32],
        kv: &KvStore<W>,
        out: &mut [f32],
    ) {
        let c = &self.config;
        let (keys, values) = kv.layer(layer);
        let stored = Stored { keys, values, heads: c.heads, kv_heads: c.kv_heads, d: c.head_dim };
        let queries: Vec<Query> = rows
            .iter()
            .zip(qkv.chunks_exact(qkv.len() / rows.len()))
            .map(|(row, qkv)| {
                let low = row.path.len().saturating_sub(c.window(layer).unwrap_or(row.path.len()));
                Query { q: &qkv[..c.heads * c.head_dim], slots: &row.path[low..] }
            })
            .collect();
        attend_rows(out, &queries, &stored, rows.len() >= PARALLEL_ROWS);
    }
}

/// A decoder with the KV cache of one shard, stored in words of type W.
pub(crate) struct OnCpu<W> {
    decoder: Arc<Decoder>,
    kv: KvStore<W>,
    scratch: Scratch,
}

/// Creates a decoder with a KV cache of `slots` tokens: in f32 if products are computed in f32, otherwise in bf16.
pub(crate) fn on_cpu(decoder: Arc<Decoder>, slots: usize) -> Box<dyn Forward> {
    match decoder.head.is_reduced() {
        false => Box::new(OnCpu::<f32>::new(decoder, slots)),
        true => Box::new(OnCpu::<u32>::new(decoder, slots)),
    }
}

impl<W: KvWord> OnCpu<W> {
    fn new(decoder: Arc<Decoder>, slots: usize) -> Self {
        let c = &decoder.config;
        let kv = KvStore::new(c.layers, (c.kv_heads, c.head_dim), slots);
        Self { decoder, kv, scratch: Scratch::default() }
    }
}

impl<W: KvWord> Forward for OnCpu<W> {
    fn hidden(&mut self, rows: &[TokenRow], hidden: &mut Vec<f32>) -> candle_core::Result<()> {
        self.decoder.hidden(rows, &mut self.kv, &mut self.scratch, hidden);
        Ok(())
    }

    fn logits(&mut self, hidden: &[f32], logits: &mut Vec<f32>) -> candle_core::Result<()> {
        let head = &self.decoder.head;
        logits.resize(hidden.len() / self.decoder.config.hidden_size * head.outputs(), 0.0);
        head.apply(hidden, logits, Write::Set);
        Ok(())
    }
}

/// Buffers of a forward pass, kept between passes.
#[derive(Default)]
pub(crate) struct Scratch {
    /// The residual stream, `[R, D]`.
    x: Vec<f32>,
    /// Queries, keys and values, `[R, (H + 2 K) head_dim]`.
    qkv: Vec<f32>,
    /// Output of attention, `[R, H head_dim]`.
    mixed: Vec<f32>,
    /// Gate and up, `[R, 2 F]`.
    wide: Vec<f32>,
    /// Product of gate and up, `[R, F]`.
    gated: Vec<f32>,
}

impl Scratch {
    /// Number of values per row in all buffers, including its hidden state.
    pub(crate) fn row_width(c: &ModelConfig) -> usize {
        c.hidden_size + Self::widths(c).iter().sum::<usize>()
    }

    fn widths(c: &ModelConfig) -> [usize; 5] {
        let (q, kv, f) = (c.heads * c.head_dim, c.kv_heads * c.head_dim, c.intermediate_size);
        [c.hidden_size, q + 2 * kv, q, 2 * f, f]
    }

    fn fit(&mut self, c: &ModelConfig, rows: usize) {
        let Self { x, qkv, mixed, wide, gated } = self;
        for (buffer, width) in [x, qkv, mixed, wide, gated].into_iter().zip(Self::widths(c)) {
            buffer.resize(rows * width, 0.0);
        }
    }
}

/// Returns the dtype of the parts if all have the same one, otherwise f32.
fn common_dtype(parts: &[Tensor]) -> DType {
    match parts {
        [first, rest @ ..] if rest.iter().all(|part| part.dtype() == first.dtype()) => {
            first.dtype()
        }
        _ => DType::F32,
    }
}

/// Packs the weights of a checkpoint.
struct Packer {
    weights: Weights,
    dtype: Dtype,
}

impl Packer {
    /// Packs several projections of the same input into one matrix.
    fn pack(&mut self, names: &[&str], bias: bool) -> candle_core::Result<PackedWeights> {
        let mut biases = Vec::new();
        for name in names.iter().filter(|_| bias) {
            biases.extend(self.weights.flat(&format!("{name}.bias"))?);
        }
        let parts = names
            .iter()
            .map(|name| self.weights.take(&format!("{name}.weight")))
            .collect::<candle_core::Result<Vec<Tensor>>>()?;
        let (mut inputs, mut outputs) = (0, 0);
        for part in &parts {
            outputs += part.dim(0)?;
            inputs = part.dim(1)?;
        }
        let stored = common_dtype(&parts);
        let bias = bias.then_some(biases);
        let mut packed = PackedWeights::zeros(self.dtype, stored, (outputs, inputs), bias);
        let mut first = 0;
        for part in parts {
            for_chunks(&part, ROWS * inputs, |values| {
                packed.pack(first, values);
                first += values.len() / inputs;
            })?;
        }
        Ok(packed)
    }

    /// Packs a layer; `prefix` is the prefix of its weights' names.
    fn layer(&mut self, config: &ModelConfig, prefix: &str) -> candle_core::Result<Layer> {
        let name = |s: &str| format!("{prefix}.{s}");
        let qkv = ["q_proj", "k_proj", "v_proj"].map(|p| name(&format!("self_attn.{p}")));
        let gate_up = [name("mlp.gate_proj"), name("mlp.up_proj")];
        let mut flat = |s: &str| self.weights.flat(&name(s));
        let qk_norm = match config.qk_norm {
            true => Some((flat("self_attn.q_norm.weight")?, flat("self_attn.k_norm.weight")?)),
            false => None,
        };
        Ok(Layer {
            attention_norm: flat("input_layernorm.weight")?,
            mlp_norm: flat("post_attention_layernorm.weight")?,
            qkv: self.pack(&qkv.each_ref().map(String::as_str), config.qkv_bias)?,
            qk_norm,
            o: self.pack(&[&name("self_attn.o_proj")], config.output_bias)?,
            gate_up: self.pack(&gate_up.each_ref().map(String::as_str), false)?,
            down: self.pack(&[&name("mlp.down_proj")], false)?,
        })
    }
}
