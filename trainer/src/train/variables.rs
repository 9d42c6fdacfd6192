//! The trained weights of a model as variables, in a fixed order.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use regrowth_datasets::keyed_rng;
use regrowth_policy::candle::{Checkpoint, ModelConfig, Parameters};

/// Weights by name; every one is trained.
#[derive(Debug, Clone)]
pub struct Variables(BTreeMap<String, Var>);

impl Variables {
    /// The weights of a checkpoint.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn from_checkpoint(checkpoint: &Checkpoint) -> Result<Self> {
        let vars = checkpoint.tensors.iter();
        Ok(Self(vars.map(|(n, t)| Ok((n.clone(), Var::from_tensor(t)?))).collect::<Result<_>>()?))
    }

    /// Fresh weights: norms 1, biases 0, everything else normal with deviation 0.02, and that over
    /// `sqrt(2 L)` for the projections into the residual stream (GPT-2's initialisation).
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn fresh(config: &ModelConfig, seed: u64, device: &candle_core::Device) -> Result<Self> {
        let residual = 0.02 / (2.0 * config.layers as f64).sqrt();
        let mut vars = BTreeMap::new();
        for (name, shape) in config.tensor_shapes() {
            let n = shape.iter().product();
            let data = if name.contains("norm") {
                vec![1.0; n]
            } else if name.ends_with(".bias") {
                vec![0.0; n]
            } else {
                let into_residual = name.contains("o_proj") || name.contains("down_proj");
                normal(n, if into_residual { residual } else { 0.02 }, seed, &name)
            };
            let tensor = Tensor::from_vec(data, shape, device)?;
            vars.insert(name, Var::from_tensor(&tensor)?);
        }
        Ok(Self(vars))
    }

    /// Names and variables in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v))
    }

    /// Detached copies of the weights, for saving.
    ///
    /// # Errors
    /// When a tensor cannot be copied.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        self.0.iter().map(|(n, v)| Ok((n.clone(), v.as_detached_tensor().copy()?))).collect()
    }

    /// Overwrites every variable from `tensors`.
    ///
    /// # Errors
    /// When one is missing or of another shape.
    pub fn assign(&self, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        self.iter().try_for_each(|(name, var)| var.set(&Parameters::get(tensors, name)?))
    }
}

impl Parameters for Variables {
    fn get(&self, name: &str) -> Result<Tensor> {
        match self.0.get(name) {
            Some(var) => Ok(var.as_tensor().clone()),
            None => candle_core::bail!("no variable `{name}`"),
        }
    }
}

/// Normal values by Box and Muller's method from the stream of this name.
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
