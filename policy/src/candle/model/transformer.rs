//! The differentiable Llama-family decoder, over packed batches.
//!
//! T token rows, D hidden size, H heads, K key/value heads. The inference engine has its own implementation
//! with the same weights. The layers of a forward pass can also be called one by one, for training that
//! recomputes activations to save memory.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor};

use crate::Dtype;
use crate::candle::checkpoint::adapter::LowRank;
use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::kernels::PackedLayout;
use crate::candle::kernels::{self, AttentionShape, Frozen, RopeTable};

/// Provides the decoder's weights by their names in the checkpoint.
pub trait Parameters {
    /// Returns the weight `name`; it is a variable if it is trained.
    ///
    /// # Errors
    /// If there is no such weight.
    fn get(&self, name: &str) -> Result<Tensor>;

    /// Dtype in which frozen weights are multiplied; everything else is computed in f32.
    fn frozen_dtype(&self) -> Dtype {
        Dtype::F32
    }

    /// Returns the low-rank update of the projection `name` (without `.weight`); `None` if it has none.
    fn low_rank(&self, _name: &str) -> Option<LowRank> {
        None
    }
}

impl Parameters for std::collections::BTreeMap<String, Tensor> {
    fn get(&self, name: &str) -> Result<Tensor> {
        match std::collections::BTreeMap::get(self, name) {
            Some(tensor) => Ok(tensor.clone()),
            None => candle_core::bail!("no tensor `{name}`"),
        }
    }
}

/// A weight matrix, trained or frozen.
#[derive(Debug, Clone)]
enum Weight {
    Trained(Tensor),
    Frozen(Frozen),
}

impl Weight {
    fn new(parameters: &dyn Parameters, weight: Tensor) -> Result<Self> {
        Ok(match parameters.frozen_dtype() {
            _ if weight.track_op() || !weight.device().is_cpu() => Self::Trained(weight),
            Dtype::Bf16 => Self::Frozen(Frozen::bf16(&weight)?),
            _ => Self::Frozen(Frozen::F32(weight)),
        })
    }
}

/// `x w^T (+ b) (+ low-rank update)`.
#[derive(Debug, Clone)]
struct Linear {
    weight: Weight,
    bias: Option<Tensor>,
    low_rank: Option<LowRank>,
    name: String,
}

impl Linear {
    fn new(parameters: &dyn Parameters, name: &str, bias: bool) -> Result<Self> {
        let weight = Weight::new(parameters, parameters.get(&format!("{name}.weight"))?)?;
        let bias = bias.then(|| parameters.get(&format!("{name}.bias"))).transpose()?;
        Ok(Self { weight, bias, low_rank: parameters.low_rank(name), name: name.to_owned() })
    }

    fn forward(&self, x: &Tensor, dropout: Option<u64>) -> Result<Tensor> {
        let y = match (&self.low_rank, &self.weight) {
            (Some(low_rank), Weight::Frozen(w)) => low_rank.project(x, w, dropout, &self.name)?,
            (Some(low_rank), Weight::Trained(w)) => {
                low_rank.project(x, &Frozen::F32(w.clone()), dropout, &self.name)?
            }
            (None, Weight::Trained(weight)) => kernels::linear(x, weight)?,
            (None, Weight::Frozen(weight)) => kernels::frozen_linear(x, weight)?,
        };
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

#[derive(Debug, Clone)]
struct Layer {
    attention_norm: Tensor,
    q: Linear,
    k: Linear,
    v: Linear,
    o: Linear,
    qk_norm: Option<(Tensor, Tensor)>,
    mlp_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// The decoder.
#[derive(Debug, Clone)]
pub struct Transformer {
    config: ModelConfig,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Weight,
    rope: Arc<RopeTable>,
}

/// Data that every layer of a forward pass needs besides its rows.
#[derive(Debug, Clone)]
pub struct ForwardPass {
    shape: AttentionShape,
    eps: f32,
    dropout: Option<u64>,
}

impl Transformer {
    /// Builds the decoder with weights from `parameters`, by their names in the checkpoint format.
    ///
    /// # Errors
    /// If a weight is missing.
    pub fn new(config: &ModelConfig, parameters: &dyn Parameters) -> Result<Self> {
        let embedding = parameters.get("model.embed_tokens.weight")?;
        let head =
            if config.tied { embedding.clone() } else { parameters.get("lm_head.weight")? };
        let head = Weight::new(parameters, head)?;
        let layers = (0..config.layers)
            .map(|i| Layer::new(config, parameters, &format!("model.layers.{i}")))
            .collect::<Result<_>>()?;
        let norm = parameters.get("model.norm.weight")?;
        let rope = Arc::new(config.rope_table());
        Ok(Self { config: config.clone(), embedding, layers, norm, head, rope })
    }

    /// Computes the hidden states after the last norm: ids `[T]` to `[T, D]`.
    ///
    /// # Errors
    /// If the ids do not fit the layout, the vocabulary or the context.
    pub fn hidden(&self, ids: &[u32], layout: &Arc<PackedLayout>) -> Result<Tensor> {
        let pass = self.pass(layout, None)?;
        let mut x = self.embed(ids, layout)?;
        for layer in 0..self.layers() {
            x = self.layer(layer, &x, &pass)?;
        }
        self.last_norm(&x)
    }

    /// Number of layers, L.
    #[must_use]
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Prepares a forward pass over a batch with this layout. `dropout` is the key of the dropout masks of
    /// low-rank updates; with `None`, nothing is dropped.
    ///
    /// # Errors
    /// If a sequence is longer than the context.
    pub fn pass(&self, layout: &Arc<PackedLayout>, dropout: Option<u64>) -> Result<ForwardPass> {
        let longest = layout.positions().iter().max().map_or(0, |p| *p as usize + 1);
        if longest > self.rope.positions() {
            candle_core::bail!(
                "a sequence of {longest} tokens, but the model's context is {}",
                self.rope.positions()
            );
        }
        let shape = AttentionShape {
            layout: layout.clone(),
            rope: self.rope.clone(),
            heads: self.config.heads,
            kv_heads: self.config.kv_heads,
            head_dim: self.config.head_dim,
            window: None,
        };
        Ok(ForwardPass { shape, eps: self.config.rms_norm_eps, dropout })
    }

    /// Embeds tokens: ids `[T]` to `[T, D]`.
    ///
    /// # Errors
    /// If the ids do not fit the layout or the vocabulary.
    pub fn embed(&self, ids: &[u32], layout: &PackedLayout) -> Result<Tensor> {
        self.check_vocabulary(ids)?;
        if ids.len() != layout.rows() {
            candle_core::bail!("{} ids for a layout of {} rows", ids.len(), layout.rows());
        }
        let ids = Tensor::new(ids, self.embedding.device())?;
        self.embedding.index_select(&ids, 0)?.to_dtype(DType::F32)
    }

    /// Computes one layer: `[T, D]` to `[T, D]`.
    ///
    /// # Errors
    /// If `x` does not fit the pass's layout.
    ///
    /// # Panics
    /// If `index` is not below [`Self::layers`].
    pub fn layer(&self, index: usize, x: &Tensor, pass: &ForwardPass) -> Result<Tensor> {
        let shape = AttentionShape { window: self.config.window(index), ..pass.shape.clone() };
        self.layers[index].forward(x, &ForwardPass { shape, ..*pass })
    }

    /// Applies the norm after the last layer: `[T, D]` to `[T, D]`.
    ///
    /// # Errors
    /// If `x` does not have the model's hidden size.
    pub fn last_norm(&self, x: &Tensor) -> Result<Tensor> {
        kernels::rms_norm(x, &self.norm, self.config.rms_norm_eps)
    }

    /// Returns the log-probability of `targets[i]` after hidden state `i`: `[n, D]` to `[n]`.
    ///
    /// # Errors
    /// If a target is outside the vocabulary.
    pub fn log_probs(&self, hidden: &Tensor, targets: &[u32]) -> Result<Tensor> {
        self.check_vocabulary(targets)?;
        match &self.head {
            Weight::Trained(head) => kernels::log_probs(hidden, head, targets),
            Weight::Frozen(head) => kernels::frozen_log_probs(hidden, head, targets),
        }
    }

    fn check_vocabulary(&self, ids: &[u32]) -> Result<()> {
        match ids.iter().find(|&&id| id as usize >= self.config.vocab_size) {
            Some(id) => candle_core::bail!(
                "token id {id} is outside the vocabulary of {}",
                self.config.vocab_size
            ),
            None => Ok(()),
        }
    }
}

impl Layer {
    fn new(config: &ModelConfig, parameters: &dyn Parameters, prefix: &str) -> Result<Self> {
        let linear = |name: &str, bias| Linear::new(parameters, &format!("{prefix}.{name}"), bias);
        let weight = |name: &str| parameters.get(&format!("{prefix}.{name}.weight"));
        let qk_norm = config
            .qk_norm
            .then(|| {
                Ok::<_, candle_core::Error>((
                    weight("self_attn.q_norm")?,
                    weight("self_attn.k_norm")?,
                ))
            })
            .transpose()?;
        Ok(Self {
            attention_norm: weight("input_layernorm")?,
            q: linear("self_attn.q_proj", config.qkv_bias)?,
            k: linear("self_attn.k_proj", config.qkv_bias)?,
            v: linear("self_attn.v_proj", config.qkv_bias)?,
            o: linear("self_attn.o_proj", config.output_bias)?,
            qk_norm,
            mlp_norm: weight("post_attention_layernorm")?,
            gate: linear("mlp.gate_proj", false)?,
            up: linear("mlp.up_proj", false)?,
            down: linear("mlp.down_proj", false)?,
        })
    }

    /// Computes the layer, attention and MLP with their residual connections: x `[T, D]`.
    fn forward(&self, x: &Tensor, pass: &ForwardPass) -> Result<Tensor> {
        let ForwardPass { shape, eps, dropout } = pass;
        let (eps, dropout) = (*eps, *dropout);
        let h = kernels::rms_norm(x, &self.attention_norm, eps)?;
        let (mut q, mut k) = (self.q.forward(&h, dropout)?, self.k.forward(&h, dropout)?);
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            q = norm_heads(&q, q_norm, eps)?;
            k = norm_heads(&k, k_norm, eps)?;
        }
        let mixed = kernels::attention(&q, &k, &self.v.forward(&h, dropout)?, shape)?;
        let x = (x + self.o.forward(&mixed, dropout)?)?;
        let h = kernels::rms_norm(&x, &self.mlp_norm, eps)?;
        let gated =
            kernels::swiglu(&self.gate.forward(&h, dropout)?, &self.up.forward(&h, dropout)?)?;
        x + self.down.forward(&gated, dropout)?
    }
}

/// Applies RMSNorm to every head of every row (Qwen3).
fn norm_heads(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    let (t, width) = x.dims2()?;
    let d = weight.dim(0)?;
    kernels::rms_norm(&x.reshape((t * width / d, d))?, weight, eps)?.reshape((t, width))
}
