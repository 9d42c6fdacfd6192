//! The decoder for inference with tensors, on a GPU or any other candle device.
//!
//! R rows, D hidden size, H heads, K key/value heads. Successive rows of one sequence (prefill) attend
//! together over one path. Single rows (decode) attend in parallel over paths padded to the longest. Norms
//! and softmax are computed in f32 inside their kernels, products in the dtype of the weights. A GPU
//! chooses a matrix-product kernel by the number of rows, so results may differ in rounding between
//! batches: the batch invariance of [`crate::candle::model::decoder`] does not hold here.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::ops::{rms_norm, softmax_last_dim, swiglu};
use candle_nn::rotary_emb::rope_thd;

use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::model::blocks::{self, Block};
use crate::candle::model::forward::{Forward, TokenRow};
use crate::candle::model::weights::Weights;

/// `x w^T (+ b)`.
struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = x.matmul(&self.weight.t()?)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

struct Layer {
    attention_norm: Tensor,
    qkv: Linear,
    qk_norm: Option<[Tensor; 2]>,
    o: Linear,
    mlp_norm: Tensor,
    gate_up: Linear,
    down: Linear,
}

/// Weights on one device.
pub(crate) struct DeviceDecoder {
    config: ModelConfig,
    /// Embedding, `[V, D]`.
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    /// Output head, `[V, D]`.
    head: Tensor,
    /// Cosines and sines, `[context, head_dim / 2]` each.
    rope: [Tensor; 2],
}

impl DeviceDecoder {
    /// Moves the weights of a checkpoint to `device` as `dtype`, one after the other.
    pub(crate) fn new(
        config: &ModelConfig,
        tensors: BTreeMap<String, Tensor>,
        device: &Device,
        dtype: DType,
    ) -> Result<Self> {
        let mut loader = Loader { weights: Weights::new(tensors), device, dtype };
        let embedding = loader.tensor("model.embed_tokens.weight")?;
        let head = match config.tied {
            true => embedding.clone(),
            false => loader.tensor("lm_head.weight")?,
        };
        let layers = (0..config.layers)
            .map(|i| loader.layer(config, &format!("model.layers.{i}")))
            .collect::<Result<_>>()?;
        let norm = loader.tensor("model.norm.weight")?;
        let [cos, sin] = config.rope_table().tensors(device)?;
        let rope = [cos.to_dtype(dtype)?, sin.to_dtype(dtype)?];
        Ok(Self { config: config.clone(), embedding, layers, norm, head, rope })
    }

    /// Computes one layer: x `[R, D]`.
    fn layer(
        &self,
        index: usize,
        x: &Tensor,
        pass: &DevicePass,
        kv: &[Tensor; 2],
    ) -> Result<Tensor> {
        let (c, layer) = (&self.config, &self.layers[index]);
        let rows = x.dim(0)?;
        let h = rms_norm(x, &layer.attention_norm, c.rms_norm_eps)?;
        let qkv = layer.qkv.forward(&h)?.reshape((rows, c.heads + 2 * c.kv_heads, c.head_dim))?;
        let mut q = qkv.narrow(1, 0, c.heads)?.contiguous()?;
        let mut k = qkv.narrow(1, c.heads, c.kv_heads)?.contiguous()?;
        let v = qkv.narrow(1, c.heads + c.kv_heads, c.kv_heads)?;
        if let Some([q_norm, k_norm]) = &layer.qk_norm {
            q = rms_norm(&q, q_norm, c.rms_norm_eps)?;
            k = rms_norm(&k, k_norm, c.rms_norm_eps)?;
        }
        let turned =
            |x: &Tensor| rope_thd(&x.unsqueeze(0)?, &pass.cos_sin[0], &pass.cos_sin[1])?.squeeze(0);
        let stored = [turned(&k)?, v.contiguous()?];
        for (store, fresh) in kv.iter().zip(&stored) {
            store.scatter_set(&pass.stored_at, &fresh.flatten_from(1)?, 0)?;
        }
        let mixed = self.attend(index, &turned(&q)?, pass, kv)?;
        let x = (x + layer.o.forward(&mixed)?)?;
        let h = rms_norm(&x, &layer.mlp_norm, c.rms_norm_eps)?;
        let gated = swiglu(&layer.gate_up.forward(&h)?)?;
        x + layer.down.forward(&gated)?
    }

    /// Computes attention of every row over its path: q `[R, H, head_dim]` to `[R, H head_dim]`.
    fn attend(
        &self,
        index: usize,
        q: &Tensor,
        pass: &DevicePass,
        kv: &[Tensor; 2],
    ) -> Result<Tensor> {
        let window = self.config.window(index);
        let parts = pass.blocks.iter().map(|block| {
            let q = q.narrow(0, block.first, block.groups * block.rows)?;
            self.attend_block(&q, block, block.mask(window), kv)
        });
        match &parts.collect::<Result<Vec<_>>>()?[..] {
            [one] => Ok(one.clone()),
            parts => Tensor::cat(parts, 0),
        }
    }

    /// Computes attention of one block: G groups of n rows over L slots each, `mask` `[G, 1, 1, n, L]`.
    fn attend_block(
        &self,
        q: &Tensor,
        block: &Block,
        mask: &Tensor,
        kv: &[Tensor; 2],
    ) -> Result<Tensor> {
        let c = &self.config;
        let (k, d, per) = (c.kv_heads, c.head_dim, c.heads / c.kv_heads);
        let (g, n, l) = (block.groups, block.rows, block.slots.elem_count() / block.groups);
        // Keys and values as [G, K, L, d]; the queries of all heads that share a key become rows of one
        // product.
        let gather = |store: &Tensor| {
            store
                .index_select(&block.slots, 0)?
                .reshape((g, l, k, d))?
                .transpose(1, 2)?
                .contiguous()
        };
        let q = q.reshape((g, n, k, per, d))?.permute((0, 2, 3, 1, 4))?.contiguous()?;
        let q = q.reshape((g, k, per * n, d))?;
        let scale = 1.0 / (d as f64).sqrt();
        let scores = (q.matmul(&gather(&kv[0])?.t()?)?.to_dtype(DType::F32)? * scale)?;
        let scores = scores.reshape((g, k, per, n, l))?.broadcast_add(mask)?;
        let weights = softmax_last_dim(&scores)?.to_dtype(q.dtype())?;
        let mixed = weights.reshape((g, k, per * n, l))?.matmul(&gather(&kv[1])?)?;
        let rows = mixed.reshape((g, k, per, n, d))?.permute((0, 3, 1, 2, 4))?.contiguous()?;
        rows.reshape((g * n, c.heads * d))
    }
}

/// Returns the maximum number of f32 values that attention holds in one forward pass: scores, weights and
/// mask of a prefill of `rows` rows over `positions` positions (the longest sequence), or the keys and
/// values that single rows gather, whichever is larger.
pub(crate) fn attention_values(config: &ModelConfig, rows: usize, positions: usize) -> usize {
    let scores = 3 * config.heads * rows * positions;
    let gathered = 4 * blocks::GATHERED.max(positions) * config.kv_heads * config.head_dim;
    scores.max(gathered)
}

/// Moves weights to the device.
struct Loader<'a> {
    weights: Weights,
    device: &'a Device,
    dtype: DType,
}

impl Loader<'_> {
    fn tensor(&mut self, name: &str) -> Result<Tensor> {
        self.weights.take(name)?.to_dtype(self.dtype)?.to_device(self.device)
    }

    /// Concatenates several projections of the same input into one.
    fn linear(&mut self, names: &[String], bias: bool) -> Result<Linear> {
        let mut joined = |kind: &str| {
            let parts = names.iter().map(|name| self.tensor(&format!("{name}.{kind}")));
            Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)
        };
        Ok(Linear { weight: joined("weight")?, bias: bias.then(|| joined("bias")).transpose()? })
    }

    fn layer(&mut self, config: &ModelConfig, prefix: &str) -> Result<Layer> {
        let name = |s: &str| format!("{prefix}.{s}");
        let qkv = ["q_proj", "k_proj", "v_proj"].map(|p| name(&format!("self_attn.{p}")));
        let qk_norm = match config.qk_norm {
            true => Some([
                self.tensor(&name("self_attn.q_norm.weight"))?,
                self.tensor(&name("self_attn.k_norm.weight"))?,
            ]),
            false => None,
        };
        Ok(Layer {
            attention_norm: self.tensor(&name("input_layernorm.weight"))?,
            qkv: self.linear(&qkv, config.qkv_bias)?,
            qk_norm,
            o: self.linear(&[name("self_attn.o_proj")], config.output_bias)?,
            mlp_norm: self.tensor(&name("post_attention_layernorm.weight"))?,
            gate_up: self.linear(&[name("mlp.gate_proj"), name("mlp.up_proj")], false)?,
            down: self.linear(&[name("mlp.down_proj")], false)?,
        })
    }
}

/// Data that every layer of a forward pass needs besides its rows.
struct DevicePass {
    /// Slot of each row, repeated for every value of a key: `[R, K head_dim]`.
    stored_at: Tensor,
    /// Cosines and sines of each row, `[R, head_dim / 2]`.
    cos_sin: [Tensor; 2],
    blocks: Vec<Block>,
}

/// A decoder with the KV cache of one shard.
pub(crate) struct OnDevice {
    decoder: Arc<DeviceDecoder>,
    /// Per layer: keys (rotated) and values, `[slots, K head_dim]` each.
    kv: Vec<[Tensor; 2]>,
}

impl OnDevice {
    /// Allocates a KV cache of `slots` tokens at once.
    pub(crate) fn new(decoder: Arc<DeviceDecoder>, slots: usize) -> Result<Self> {
        let (c, like) = (&decoder.config, &decoder.norm);
        let shape = (slots, c.kv_heads * c.head_dim);
        let room = || Tensor::zeros(shape, like.dtype(), like.device());
        let kv = (0..c.layers).map(|_| Ok([room()?, room()?])).collect::<Result<_>>()?;
        Ok(Self { decoder, kv })
    }

    fn pass(&self, rows: &[TokenRow], blocks: Vec<Block>) -> Result<DevicePass> {
        let (c, device) = (&self.decoder.config, self.decoder.norm.device());
        let slots = Tensor::new(rows.iter().map(TokenRow::slot).collect::<Vec<u32>>(), device)?;
        let positions =
            Tensor::new(rows.iter().map(TokenRow::position).collect::<Vec<u32>>(), device)?;
        let width = c.kv_heads * c.head_dim;
        let [cos, sin] = &self.decoder.rope;
        Ok(DevicePass {
            stored_at: slots.unsqueeze(1)?.broadcast_as((rows.len(), width))?.contiguous()?,
            cos_sin: [cos.index_select(&positions, 0)?, sin.index_select(&positions, 0)?],
            blocks,
        })
    }
}

impl Forward for OnDevice {
    fn hidden(&mut self, rows: &[TokenRow], hidden: &mut Vec<f32>) -> Result<()> {
        let decoder = &*self.decoder;
        let (c, device) = (&decoder.config, decoder.norm.device());
        let windows: Vec<_> = (0..c.layers).map(|layer| c.window(layer)).collect();
        let (order, blocks) = blocks::blocks(rows, &windows, device)?;
        let rows: Vec<TokenRow> = order.iter().map(|&i| rows[i]).collect();
        let pass = self.pass(&rows, blocks)?;
        let ids: Vec<u32> = rows.iter().map(|row| row.id).collect();
        let mut x = decoder.embedding.index_select(&Tensor::new(ids, device)?, 0)?;
        for (index, kv) in self.kv.iter().enumerate() {
            x = decoder.layer(index, &x, &pass, kv)?;
        }
        let h = rms_norm(&x, &decoder.norm, c.rms_norm_eps)?.to_dtype(DType::F32)?;
        let sorted: Vec<f32> = h.flatten_all()?.to_vec1()?;
        hidden.resize(sorted.len(), 0.0);
        for (&i, row) in order.iter().zip(sorted.chunks_exact(c.hidden_size)) {
            hidden[i * c.hidden_size..(i + 1) * c.hidden_size].copy_from_slice(row);
        }
        Ok(())
    }

    fn logits(&mut self, hidden: &[f32], logits: &mut Vec<f32>) -> Result<()> {
        let (d, head) = (self.decoder.config.hidden_size, &self.decoder.head);
        let rows = Tensor::from_slice(hidden, (hidden.len() / d, d), head.device())?;
        let all = rows.to_dtype(head.dtype())?.matmul(&head.t()?)?.to_dtype(DType::F32)?;
        *logits = all.flatten_all()?.to_vec1()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use regrowth_datasets::keyed_rng;
    use serde_json::json;

    use super::*;
    use crate::candle::model::decoder::{Decoder, on_cpu};

    /// A small model of a family with random weights of about unit gain.
    fn model(extra: serde_json::Value) -> (ModelConfig, BTreeMap<String, Tensor>) {
        use rand::RngExt;
        let mut config = json!({
            "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 50,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 1e4
        });
        let fields = config.as_object_mut().unwrap();
        fields.extend(extra.as_object().unwrap().clone());
        let config = ModelConfig::parse(&config.to_string()).unwrap();
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let mut rng = keyed_rng(7, &[name.as_bytes()]);
            let scale = (*shape.last().unwrap() as f32).sqrt().recip() * 1.7;
            let n = shape.iter().product();
            let values: Vec<f32> = (0..n).map(|_| rng.random_range(-scale..scale)).collect();
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            (name, tensor)
        };
        let tensors = config.tensor_shapes().into_iter().map(tensor).collect();
        (config, tensors)
    }

    /// Computes the same passes with both decoders: a prompt of nine tokens and one of four, then siblings
    /// of both and a longer branch, with single rows and groups in turn. Returns the largest difference of
    /// logits.
    fn difference(extra: serde_json::Value, dtype: DType) -> f32 {
        let (config, tensors) = model(extra);
        let cpu = Arc::new(Decoder::new(&config, tensors.clone(), crate::Dtype::F32).unwrap());
        let device = DeviceDecoder::new(&config, tensors, &Device::Cpu, dtype).unwrap();
        let mut forms: [Box<dyn Forward>; 2] =
            [on_cpu(cpu, 40), Box::new(OnDevice::new(Arc::new(device), 40).unwrap())];
        let path = |from: u32, to: u32| (from..to).collect::<Vec<u32>>();
        let with = |prefix: &[u32], own: &[u32]| [prefix, own].concat();
        let (long, short) = (path(0, 9), path(9, 13));
        let passes: [Vec<(Vec<u32>, usize)>; 2] = [
            vec![(long.clone(), 9), (short.clone(), 4)],
            vec![
                (with(&long, &[13]), 1),
                (with(&long[..6], &[14, 15, 16]), 3),
                (with(&short, &[17]), 1),
                (with(&long, &[18]), 1),
                (with(&short, &[19, 20]), 2),
            ],
        ];
        let mut largest = 0f32;
        for pass in &passes {
            let rows: Vec<TokenRow> = pass
                .iter()
                .flat_map(|(path, n)| {
                    (path.len() - n..path.len())
                        .map(|p| TokenRow { id: (path[p] * 7 + 3) % 50, path: &path[..=p] })
                })
                .collect();
            let all = forms.each_mut().map(|form| {
                let (mut hidden, mut logits) = (Vec::new(), Vec::new());
                form.hidden(&rows, &mut hidden).unwrap();
                form.logits(&hidden, &mut logits).unwrap();
                assert_eq!((hidden.len(), logits.len()), (rows.len() * 32, rows.len() * 50));
                logits
            });
            let [a, b] = &all;
            largest = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(largest, f32::max);
        }
        largest
    }

    #[test]
    fn tensors_compute_what_the_processor_does() {
        let families = [
            json!({"architectures": ["LlamaForCausalLM"]}),
            json!({"architectures": ["LlamaForCausalLM"], "tie_word_embeddings": true,
                   "num_key_value_heads": 4}),
            json!({"architectures": ["MistralForCausalLM"], "sliding_window": 5}),
            json!({"architectures": ["Qwen2ForCausalLM"], "sliding_window": 5,
                   "use_sliding_window": true, "max_window_layers": 1}),
            json!({"architectures": ["Qwen3ForCausalLM"]}),
        ];
        for family in families {
            let difference = difference(family.clone(), DType::F32);
            assert!(difference < 1e-4, "{family}: {difference}");
        }
    }

    #[test]
    fn numbers_of_16_bits_are_near() {
        for dtype in [DType::BF16, DType::F16] {
            let difference = difference(json!({"architectures": ["Qwen3ForCausalLM"]}), dtype);
            assert!(difference > 0.0 && difference < 0.2, "{dtype:?}: {difference}");
        }
    }
}
