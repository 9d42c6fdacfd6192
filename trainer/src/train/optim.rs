//! AdamW, and Muon for matrices, on f32 master weights.
//!
//! AdamW: Loshchilov and Hutter 2019, arXiv:1711.05101; decay is decoupled and leaves norms, biases
//! and embeddings alone. Muon: Jordan et al. 2024, momentum made orthogonal by Newton-Schulz
//! iterations; for training small models from nothing.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inplace::{Apply, Blend, Power};
use super::variables::Variables;
use crate::TrainError;

/// Which optimizer updates the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// AdamW on everything.
    #[default]
    AdamW,
    /// Muon on the matrices inside the layers, AdamW on everything else.
    Muon,
    /// Plain gradient descent everywhere, for comparisons.
    Sgd,
}

/// Settings of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerConfig {
    /// Which one.
    pub kind: OptimizerKind,
    /// AdamW's decay of the gradient mean (paper: 0.9).
    pub beta1: f64,
    /// AdamW's decay of the squared gradient's mean (paper: 0.95).
    pub beta2: f64,
    /// AdamW's denominator floor.
    pub eps: f64,
    /// Decoupled weight decay per unit of learning rate (paper: 0.05).
    pub weight_decay: f64,
    /// Largest norm of the whole gradient; 0 leaves it as it is (paper: 1.0).
    pub max_grad_norm: f64,
    /// Muon's learning rate over AdamW's.
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
    /// A fresh optimizer.
    pub(super) fn new(config: OptimizerConfig) -> Self {
        Self { config, step: 0, moments: BTreeMap::new() }
    }

    /// An optimizer as it was after `step` steps.
    pub(super) fn restore(
        config: OptimizerConfig,
        step: usize,
        moments: BTreeMap<String, Tensor>,
    ) -> Self {
        Self { config, step, moments }
    }

    /// Updates so far.
    pub(super) fn steps(&self) -> usize {
        self.step
    }

    /// The state that [`Self::restore`] takes.
    pub(super) fn moments(&self) -> &BTreeMap<String, Tensor> {
        &self.moments
    }

    /// One update at this learning rate. Returns the norm of the gradient before clipping, or `None`
    /// if it is not finite: then nothing was changed.
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

    /// What a weight is multiplied with before its update (decoupled weight decay).
    fn decay(&self, name: &str, rate: f64) -> f64 {
        if is_decayed(name) { 1.0 - rate * self.config.weight_decay } else { 1.0 }
    }

    /// The moment of this key, zero at first.
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

/// A gradient, and what clipping multiplies it with.
#[derive(Clone, Copy)]
struct Clipped<'a> {
    gradient: &'a Tensor,
    scale: f64,
}

/// Nearest orthogonal matrix, roughly, by five quintic Newton-Schulz iterations.
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

/// Norm over all gradients together.
fn global_norm(gradients: &BTreeMap<String, Tensor>) -> candle_core::Result<f64> {
    let mut total = 0.0;
    for gradient in gradients.values() {
        total += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
    }
    Ok(total.sqrt())
}

/// Norms, biases and embeddings are not decayed (docs/paper.md).
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
