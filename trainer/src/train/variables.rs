//! The weights of a model in training, in a fixed order: the trained variables, and with LoRA the frozen
//! weights.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var};
use regrowth_datasets::keyed_rng;
use regrowth_policy::Dtype;
use regrowth_policy::candle::{Adapter, Checkpoint, LowRank, ModelConfig, Parameters};

use super::lora::LoraConfig;

/// Suffixes of an adapter's variable names, after the name of the projection.
const HALVES: [&str; 2] = [".lora_A", ".lora_B"];

/// Weights by name, trained or frozen.
#[derive(Debug, Clone)]
pub struct Variables {
    trained: BTreeMap<String, Var>,
    frozen: BTreeMap<String, Tensor>,
    lora: Option<LoraConfig>,
    frozen_dtype: Dtype,
}

impl Variables {
    /// Makes all weights of a checkpoint trainable. Each tensor is freed as soon as its variable is made, so
    /// weights without other owners are never in memory twice.
    ///
    /// # Errors
    /// If a tensor cannot be copied.
    pub fn taking(weights: BTreeMap<String, Tensor>) -> Result<Self> {
        let vars = weights.into_iter().map(|(n, t)| Ok((n, Var::from_tensor(&t)?)));
        Ok(Self::all(vars.collect::<Result<_>>()?))
    }

    /// Adds low-rank updates to the frozen weights of a checkpoint. A is uniform as in PEFT (Kaiming with
    /// `a = sqrt(5)`: up to `1 / sqrt(in)`), B is zero, so that training starts at the base model.
    ///
    /// # Errors
    /// If no projection matches a target, or a tensor cannot be made.
    pub fn low_rank(checkpoint: &Checkpoint, lora: &LoraConfig, seed: u64) -> Result<Self> {
        let device = &Device::Cpu;
        let mut trained = BTreeMap::new();
        for (name, shape) in checkpoint.config.tensor_shapes() {
            let Some(module) = lora.module(&name) else { continue };
            let &[outputs, inputs] = shape.as_slice() else { continue };
            let reach = (inputs as f64).sqrt().recip();
            let a = uniform(lora.rank * inputs, reach, seed, module);
            let a = Tensor::from_vec(a, (lora.rank, inputs), device)?;
            let b = Tensor::zeros((outputs, lora.rank), candle_core::DType::F32, device)?;
            for (half, tensor) in HALVES.iter().zip([a, b]) {
                trained.insert(format!("{module}{half}"), Var::from_tensor(&tensor)?);
            }
        }
        if trained.is_empty() {
            candle_core::bail!("no projection is called as one of the targets {:?}", lora.targets);
        }
        let frozen = checkpoint.tensors.clone();
        Ok(Self { trained, frozen, lora: Some(lora.clone()), frozen_dtype: Dtype::F32 })
    }

    /// Initialises new weights: norms 1, biases 0, all others normal with standard deviation
    /// `1 / sqrt(hidden)`, divided by `sqrt(2 L)` for the projections into the residual stream, as in GPT-2.
    /// GPT-2's 0.02, meant for widths of at least 768, learnt more slowly at width 128
    /// (docs/experiments/0002-choice.md).
    ///
    /// # Errors
    /// If a tensor cannot be made.
    pub fn fresh(config: &ModelConfig, seed: u64, device: &Device) -> Result<Self> {
        let inner = (config.hidden_size as f64).sqrt().recip();
        let residual = inner / (2.0 * config.layers as f64).sqrt();
        let mut vars = BTreeMap::new();
        for (name, shape) in config.tensor_shapes() {
            let n = shape.iter().product();
            let data = if name.contains("norm") {
                vec![1.0; n]
            } else if name.ends_with(".bias") {
                vec![0.0; n]
            } else {
                let into_residual = name.contains("o_proj") || name.contains("down_proj");
                normal(n, if into_residual { residual } else { inner }, seed, &name)
            };
            let tensor = Tensor::from_vec(data, shape, device)?;
            vars.insert(name, Var::from_tensor(&tensor)?);
        }
        Ok(Self::all(vars))
    }

    fn all(trained: BTreeMap<String, Var>) -> Self {
        Self { trained, frozen: BTreeMap::new(), lora: None, frozen_dtype: Dtype::F32 }
    }

    /// Returns the variables with this compute dtype of the frozen weights (f32 or bf16).
    #[must_use]
    pub fn with_frozen_dtype(self, frozen_dtype: Dtype) -> Self {
        Self { frozen_dtype, ..self }
    }

    /// Compute dtype of the frozen weights.
    #[must_use]
    pub fn frozen_dtype(&self) -> Dtype {
        self.frozen_dtype
    }

    /// Names and trained variables, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.trained.iter().map(|(n, v)| (n.as_str(), v))
    }

    /// LoRA settings; `None` if all weights are trained.
    #[must_use]
    pub fn lora(&self) -> Option<&LoraConfig> {
        self.lora.as_ref()
    }

    /// Returns the trained variables as tensors. They share the variables' memory and change with them.
    #[must_use]
    pub fn trained(&self) -> BTreeMap<String, Tensor> {
        self.iter().map(|(n, v)| (n.to_owned(), v.as_detached_tensor())).collect()
    }

    /// Number of trained values, and number of frozen values.
    #[must_use]
    pub fn sizes(&self) -> (usize, usize) {
        let trained = self.trained.values().map(|v| v.elem_count()).sum();
        (trained, self.frozen.values().map(Tensor::elem_count).sum())
    }

    /// Returns the adapter's updates by projection, detached; empty if all weights are trained.
    #[must_use]
    pub fn updates(&self) -> BTreeMap<String, LowRank> {
        let modules = self.trained.keys().filter_map(|name| name.strip_suffix(HALVES[0]));
        modules
            .filter_map(|module| {
                let mut update = Parameters::low_rank(self, module)?;
                update.a = update.a.detach();
                update.b = update.b.detach();
                Some((module.to_owned(), update))
            })
            .collect()
    }

    /// Overwrites every trained variable from `tensors`.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape.
    pub fn assign(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        self.iter().try_for_each(|(name, var)| var.set(&Parameters::get(tensors, name)?))
    }

    /// Overwrites the updates with those of an adapter, which must have the same projections, ranks and
    /// scale.
    ///
    /// # Errors
    /// A text that says what differs and what to do.
    pub(super) fn adopt(&self, adapter: &Adapter) -> std::result::Result<(), String> {
        let own = self.updates();
        let shape = |update: &LowRank| (update.a.dims().to_vec(), update.b.dims().to_vec());
        for (module, update) in &adapter.updates {
            let same = own.get(module).is_some_and(|mine| {
                shape(mine) == shape(update) && (mine.scale - update.scale).abs() < 1e-9
            });
            if !same {
                return Err(format!(
                    "the adapter has an update of rank {} and scale {} for `{module}`, which these \
                     settings have not; set rank, alpha and targets as they were, or start from the \
                     merged model",
                    update.a.dims()[0],
                    update.scale
                ));
            }
        }
        if let Some(module) = own.keys().find(|module| !adapter.updates.contains_key(*module)) {
            return Err(format!("the adapter has no update for the target `{module}`"));
        }
        let tensors = adapter.updates.iter().flat_map(|(module, LowRank { a, b, .. })| {
            HALVES.iter().zip([a, b]).map(move |(half, t)| (format!("{module}{half}"), t.clone()))
        });
        self.assign(&tensors.collect()).map_err(|e| e.to_string())
    }

    /// The frozen weights under an adapter.
    #[must_use]
    pub fn frozen(&self) -> &BTreeMap<String, Tensor> {
        &self.frozen
    }
}

impl Parameters for Variables {
    fn get(&self, name: &str) -> Result<Tensor> {
        let trained = self.trained.get(name).map(|var| var.as_tensor().clone());
        match trained.or_else(|| self.frozen.get(name).cloned()) {
            Some(tensor) => Ok(tensor),
            None => candle_core::bail!("no variable `{name}`"),
        }
    }

    fn frozen_dtype(&self) -> Dtype {
        self.frozen_dtype
    }

    fn low_rank(&self, name: &str) -> Option<LowRank> {
        let lora = self.lora.as_ref()?;
        let half =
            |half: &str| Some(self.trained.get(&format!("{name}{half}"))?.as_tensor().clone());
        let [a, b] = HALVES.map(half);
        Some(LowRank { a: a?, b: b?, scale: lora.scale(), dropout: lora.dropout })
    }
}

/// Returns `n` uniform values in `[-reach, reach)`; their random stream depends on `seed` and `name`.
fn uniform(n: usize, reach: f64, seed: u64, name: &str) -> Vec<f32> {
    use rand::RngExt;
    let mut rng = keyed_rng(seed, &[b"lora", name.as_bytes()]);
    (0..n).map(|_| (reach * rng.random_range(-1.0f64..1.0)) as f32).collect()
}

/// Returns `n` normal values by the Box-Muller method; their random stream depends on `seed` and `name`.
fn normal(n: usize, deviation: f64, seed: u64, name: &str) -> Vec<f32> {
    use rand::RngExt;
    let mut rng = keyed_rng(seed, &[b"init", name.as_bytes()]);
    (0..n)
        .map(|_| {
            let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
            let angle = 2.0 * std::f64::consts::PI * rng.random::<f64>();
            (deviation * radius * angle.cos()) as f32
        })
        .collect()
}
