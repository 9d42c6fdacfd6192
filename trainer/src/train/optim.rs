//! The optimizers: AdamW, Muon for matrices, and SGD, on f32 master weights.
//!
//! AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101; the decay is decoupled and not applied to norms,
//! biases and embeddings. Muon: Jordan et al. 2024, momentum orthogonalised by Newton-Schulz iterations; for
//! training small models from scratch.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inplace::{Apply, Blend, Power};
use super::variables::Variables;
use crate::TrainError;

/// Optimizer that updates the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// AdamW on all weights.
    #[default]
    AdamW,
    /// Muon on the matrices within the layers, AdamW on all other weights.
    Muon,
    /// Plain SGD on all weights, for comparisons.
    Sgd,
}

/// Settings of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// The optimizer.
    pub kind: OptimizerKind,
    /// AdamW's decay rate of the first moment (paper: 0.9).
    pub beta1: f64,
    /// AdamW's decay rate of the second moment (paper: 0.95).
    pub beta2: f64,
    /// AdamW's epsilon, added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay per unit of learning rate (paper: 0.05).
    pub weight_decay: f64,
    /// Maximum global norm of the gradient; 0 disables clipping (paper: 1.0).
    pub max_grad_norm: f64,
    /// Muon's learning rate as a multiple of AdamW's.
    pub muon_ratio: f64,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::AdamW,
            beta1: 0.9,
            beta2: 0.95,
            eps: 1e-8,
            weight_decay: 0.05,
            max_grad_norm: 1.0,
            muon_ratio: 8.0,
        }
    }
}

/// An optimizer with its state.
pub(super) struct Optimizer {
    config: OptimizerConfig,
    step: usize,
    /// First and second moments by variable name, `m/<name>` and `v/<name>`.
    moments: BTreeMap<String, Tensor>,
}

impl Optimizer {
    /// Creates an optimizer without state.
    pub(super) fn new(config: OptimizerConfig) -> Self {
        Self { config, step: 0, moments: BTreeMap::new() }
    }

    /// Restores an optimizer as it was after `step` steps.
    pub(super) fn restore(
        config: OptimizerConfig,
        step: usize,
        moments: BTreeMap<String, Tensor>,
    ) -> Self {
        Self { config, step, moments }
    }

    /// Number of updates so far.
    pub(super) fn steps(&self) -> usize {
        self.step
    }

    /// The moments, as needed by [`Self::restore`].
    pub(super) fn moments(&self) -> &BTreeMap<String, Tensor> {
        &self.moments
    }

    /// Makes one update at this learning rate. Returns the norm of the gradient before clipping. If the norm
    /// is not finite, nothing is changed and the result is `None`.
    pub(super) fn update(
        &mut self,
        variables: &Variables,
        gradients: &BTreeMap<String, Tensor>,
        rate: f64,
    ) -> Result<Option<f64>, TrainError> {
        let norm = global_norm(gradients)?;
        if !norm.is_finite() {
            return Ok(None);
        }
        self.step += 1;
        let limit = self.config.max_grad_norm;
        let scale = if limit > 0.0 && norm > limit { limit / norm } else { 1.0 };
        for (name, var) in variables.iter() {
            let gradient =
                gradients.get(name).ok_or_else(|| TrainError::MissingGradient(name.to_owned()))?;
            match self.config.kind {
                OptimizerKind::Muon if is_inner_matrix(name, var) => {
                    let rate = rate * self.config.muon_ratio;
                    self.muon(name, var, &(gradient * scale)?, rate)?;
                }
                OptimizerKind::AdamW | OptimizerKind::Muon => {
                    self.adamw(name, var, Clipped { gradient, scale }, rate)?;
                }
                OptimizerKind::Sgd => {
                    let decayed = (var.as_detached_tensor() * self.decay(name, rate))?;
                    var.set(&(decayed - (gradient * (scale * rate))?)?)?;
                }
            }
        }
        Ok(Some(norm))
    }

    /// Factor of a weight before its update (decoupled weight decay).
    fn decay(&self, name: &str, rate: f64) -> f64 {
        if is_decayed(name) { 1.0 - rate * self.config.weight_decay } else { 1.0 }
    }

    /// Returns the moment of this key, initially zero.
    fn moment(&mut self, key: String, like: &Tensor) -> candle_core::Result<Tensor> {
        if let Some(moment) = self.moments.get(&key) {
            return Ok(moment.clone());
        }
        let zero = like.zeros_like()?;
        self.moments.insert(key, zero.clone());
        Ok(zero)
    }

    /// AdamW (arXiv:1711.05101, algorithm 2), in place.
    fn adamw(
        &mut self,
        name: &str,
        var: &Var,
        Clipped { gradient, scale }: Clipped,
        rate: f64,
    ) -> candle_core::Result<()> {
        let c = self.config;
        let step = self.step as f64;
        let mean = self.moment(format!("m/{name}"), gradient)?;
        let square = self.moment(format!("v/{name}"), gradient)?;
        mean.inplace_op2(gradient, &Blend { beta: c.beta1, scale, power: Power::One })?;
        square.inplace_op2(gradient, &Blend { beta: c.beta2, scale, power: Power::Two })?;
        let apply = Apply {
            fix1: (1.0 - c.beta1.powf(step)).recip() as f32,
            fix2: (1.0 - c.beta2.powf(step)).recip() as f32,
            eps: c.eps as f32,
            rate: rate as f32,
            decay: self.decay(name, rate) as f32,
        };
        var.inplace_op3(&mean, &square, &apply)
    }

    fn muon(
        &mut self,
        name: &str,
        var: &Var,
        gradient: &Tensor,
        rate: f64,
    ) -> candle_core::Result<()> {
        const MOMENTUM: f64 = 0.95;
        let mean = self.moment(format!("m/{name}"), gradient)?;
        let mean = ((mean * MOMENTUM)? + gradient)?;
        self.moments.insert(format!("m/{name}"), mean.clone());
        let ahead = (gradient + (mean * MOMENTUM)?)?;
        let (rows, cols) = ahead.dims2()?;
        let shape = (rows as f64 / cols as f64).max(1.0).sqrt();
        let update = orthogonal(&ahead)?;
        let decayed = (var.as_detached_tensor() * self.decay(name, rate))?;
        var.set(&(decayed - (update * (rate * shape))?)?)
    }
}

/// A gradient and its clipping factor.
#[derive(Clone, Copy)]
struct Clipped<'a> {
    gradient: &'a Tensor,
    scale: f64,
}

/// Returns approximately the nearest orthogonal matrix, by five quintic Newton-Schulz iterations.
fn orthogonal(x: &Tensor) -> candle_core::Result<Tensor> {
    const A: f64 = 3.4445;
    const B: f64 = -4.7750;
    const C: f64 = 2.0315;
    let (rows, cols) = x.dims2()?;
    let mut x = if rows > cols { x.t()?.contiguous()? } else { x.clone() };
    let norm = x.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>()?;
    x = (x / (f64::from(norm) + 1e-7))?;
    for _ in 0..5 {
        let gram = x.matmul(&x.t()?)?;
        let mix = ((&gram * B)? + (gram.matmul(&gram)? * C)?)?;
        x = ((&x * A)? + mix.matmul(&x)?)?;
    }
    if rows > cols { x.t()?.contiguous() } else { Ok(x) }
}

/// Norm of all gradients together.
fn global_norm(gradients: &BTreeMap<String, Tensor>) -> candle_core::Result<f64> {
    let mut total = 0.0;
    for gradient in gradients.values() {
        total += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
    }
    Ok(total.sqrt())
}

/// Whether weight decay applies: not to norms, biases and embeddings (docs/paper.md).
fn is_decayed(name: &str) -> bool {
    !(name.contains("norm") || name.ends_with(".bias") || name.contains("embed_tokens"))
}

fn is_inner_matrix(name: &str, var: &Var) -> bool {
    name.contains(".layers.") && var.rank() == 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn newton_schulz_makes_singular_values_close_to_one() {
        let x = Tensor::new(&[[3f32, 1.0, 0.0], [0.5, 1.0, 2.0]], &Device::Cpu).unwrap();
        let q = orthogonal(&x).unwrap();
        let gram: Vec<Vec<f32>> = q.matmul(&q.t().unwrap()).unwrap().to_vec2().unwrap();
        assert!((0.4..1.6).contains(&gram[0][0]) && (0.4..1.6).contains(&gram[1][1]));
        assert!(gram[0][1].abs() < 0.4);
    }

    #[test]
    fn norms_biases_and_embeddings_are_not_decayed() {
        assert!(is_decayed("model.layers.0.mlp.up_proj.weight"));
        for name in ["model.norm.weight", "x.q_proj.bias", "model.embed_tokens.weight"] {
            assert!(!is_decayed(name));
        }
    }
}
