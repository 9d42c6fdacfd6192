//! The sum of two adapters of one model as one adapter, for rounds that train an adapter on top of another.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{Result as TensorResult, Tensor};

use super::{Adapter, LowRank};
use crate::PolicyError;
use crate::candle::checkpoint::adapter::config::AdapterConfig;

impl Adapter {
    /// Returns one adapter whose update is the sum of both updates: the A matrices are stacked, and the
    /// rank is the sum of the ranks. Modules that only one adapter updates are padded with zeros.
    ///
    /// # Errors
    /// If the shapes of a module's updates do not fit each other.
    pub fn plus(&self, other: &Self) -> Result<Self, PolicyError> {
        let modules: BTreeSet<&String> = self.updates.keys().chain(other.updates.keys()).collect();
        let parts = |module: &String| -> Vec<&LowRank> {
            [self, other].into_iter().filter_map(|adapter| adapter.updates.get(module)).collect()
        };
        let rank_of = |updates: &[&LowRank]| updates.iter().map(|u| u.a.dims()[0]).sum::<usize>();
        let rank = modules.iter().map(|module| rank_of(&parts(module))).max().unwrap_or(0).max(1);
        let mut updates = BTreeMap::new();
        for module in modules {
            let sum = stacked(&parts(module), rank);
            let sum =
                sum.map_err(|e| PolicyError::Model(format!("adapters of `{module}`: {e}")))?;
            updates.insert(module.clone(), sum);
        }
        let last = |module: &String| module.rsplit('.').next().unwrap_or(module).to_owned();
        let targets: BTreeSet<String> = updates.keys().map(last).collect();
        let targets: Vec<String> = targets.into_iter().collect();
        let base = self.config.base_model_name_or_path.clone().unwrap_or_default();
        // With alpha = rank the scale is 1: both scales are folded into B.
        let config = AdapterConfig::lora(base, rank, rank as f64, 0.0, &targets);
        Ok(Self { config, updates })
    }
}

/// Combines the updates of one projection into one update of this rank.
fn stacked(updates: &[&LowRank], rank: usize) -> TensorResult<LowRank> {
    let mut a: Vec<Tensor> = updates.iter().map(|u| u.a.clone()).collect();
    let mut b = updates.iter().map(|u| &u.b * u.scale).collect::<TensorResult<Vec<_>>>()?;
    let held: usize = a.iter().map(|half| half.dims()[0]).sum();
    if held < rank {
        let (_, inputs) = a[0].dims2()?;
        let (outputs, _) = b[0].dims2()?;
        a.push(Tensor::zeros((rank - held, inputs), a[0].dtype(), a[0].device())?);
        b.push(Tensor::zeros((outputs, rank - held), b[0].dtype(), b[0].device())?);
    }
    Ok(LowRank { a: Tensor::cat(&a, 0)?, b: Tensor::cat(&b, 1)?, scale: 1.0, dropout: 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// An adapter with fixed numbers for one projection [2, 3].
    fn adapter(module: &str, rank: usize, scale: f64) -> Adapter {
        let numbers = |count: usize| (0..count).map(|i| (i as f32 - 1.5) / 4.0).collect::<Vec<_>>();
        let a = Tensor::from_vec(numbers(rank * 3), (rank, 3), &Device::Cpu).unwrap();
        let b = Tensor::from_vec(numbers(rank * 2), (2, rank), &Device::Cpu).unwrap();
        let config = AdapterConfig::lora("base".into(), rank, scale, 0.0, &[module.to_owned()]);
        let update = LowRank { a, b, scale, dropout: 0.0 };
        Adapter { config, updates: [(format!("model.layers.0.{module}"), update)].into() }
    }

    fn merged(adapters: &[&Adapter]) -> Vec<Vec<f32>> {
        let weight = |name: &str| {
            let zeros = Tensor::zeros((2, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
            (format!("model.layers.0.{name}.weight"), zeros)
        };
        let mut tensors = BTreeMap::from(["q", "v"].map(weight));
        adapters.iter().for_each(|adapter| adapter.merge_into(&mut tensors).unwrap());
        tensors.values().flat_map(|tensor| tensor.to_vec2::<f32>().unwrap()).collect()
    }

    #[test]
    fn a_sum_updates_as_its_parts_do() {
        let (first, second) = (adapter("q", 2, 0.5), adapter("q", 1, 3.0));
        let other = adapter("v", 1, 2.0);
        for parts in [[&first, &second], [&first, &other]] {
            let sum = parts[0].plus(parts[1]).unwrap();
            let ranks: Vec<usize> = sum.updates.values().map(|u| u.a.dims()[0]).collect();
            assert!(ranks.iter().all(|rank| *rank == sum.config.r), "{ranks:?}");
            let (expected, got) = (merged(&parts), merged(&[&sum]));
            for (x, y) in expected.iter().flatten().zip(got.iter().flatten()) {
                assert!((x - y).abs() < 1e-6, "{expected:?} {got:?}");
            }
        }
    }
}
