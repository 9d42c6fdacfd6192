//! The two elementwise updates of AdamW, in place. They copy no weight, moment or gradient; the copies would
//! take most of the optimizer's time and half of its memory.

use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Result, bail};

/// Power of the gradient that a moment averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    /// The gradient itself.
    One,
    /// The squared gradient.
    Two,
}

/// `m = beta m + (1 - beta) (scale g)^power`.
pub(super) struct Blend {
    pub(super) beta: f64,
    pub(super) scale: f64,
    pub(super) power: Power,
}

impl InplaceOp2 for Blend {
    fn name(&self) -> &'static str {
        "moment"
    }

    fn cpu_fwd(
        &self,
        moment: &mut CpuStorage,
        moment_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let (keep, take) = (self.beta as f32, (1.0 - self.beta) as f32);
        let (scale, square) = (self.scale as f32, self.power == Power::Two);
        let moment = values_mut(moment, moment_layout)?;
        for (m, g) in moment.iter_mut().zip(values(gradient, gradient_layout)?) {
            let g = g * scale;
            *m = *m * keep + if square { g * g } else { g } * take;
        }
        Ok(())
    }
}

/// `w = decay w - rate (fix1 m) / (sqrt(fix2 v) + eps)`.
pub(super) struct Apply {
    pub(super) fix1: f32,
    pub(super) fix2: f32,
    pub(super) eps: f32,
    pub(super) rate: f32,
    pub(super) decay: f32,
}

impl InplaceOp3 for Apply {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        weight: &mut CpuStorage,
        weight_layout: &Layout,
        mean: &CpuStorage,
        mean_layout: &Layout,
        square: &CpuStorage,
        square_layout: &Layout,
    ) -> Result<()> {
        let moments = values(mean, mean_layout)?.iter().zip(values(square, square_layout)?);
        for (w, (m, v)) in values_mut(weight, weight_layout)?.iter_mut().zip(moments) {
            let update = m * self.fix1 / ((v * self.fix2).sqrt() + self.eps);
            *w = *w * self.decay - update * self.rate;
        }
        Ok(())
    }
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("the optimizer takes contiguous f32 tensors"),
    }
}

fn values_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("the optimizer takes contiguous f32 tensors"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    fn tensor(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    #[test]
    fn one_step_by_hand() {
        // m = 0.1 * 2 = 0.2, v = 0.05 * 4 = 0.2; bias-corrected: 2 and 4; update 2 / (2 + 0) = 1.
        let (w, m, v, g) = (tensor(&[1.0]), tensor(&[0.0]), tensor(&[0.0]), tensor(&[2.0]));
        m.inplace_op2(&g, &Blend { beta: 0.9, scale: 1.0, power: Power::One }).unwrap();
        v.inplace_op2(&g, &Blend { beta: 0.95, scale: 1.0, power: Power::Two }).unwrap();
        let apply = Apply { fix1: 10.0, fix2: 20.0, eps: 0.0, rate: 0.5, decay: 0.9 };
        w.inplace_op3(&m, &v, &apply).unwrap();
        assert!((w.to_vec1::<f32>().unwrap()[0] - 0.4).abs() < 1e-6);
    }

    #[test]
    fn clipping_scales_the_gradient_before_it_is_squared() {
        let (v, g) = (tensor(&[0.0]), tensor(&[4.0]));
        v.inplace_op2(&g, &Blend { beta: 0.5, scale: 0.5, power: Power::Two }).unwrap();
        assert_eq!(v.to_vec1::<f32>().unwrap(), [2.0]);
    }
}
