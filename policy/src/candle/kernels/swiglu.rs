//! SwiGLU's gate, `silu(gate) * up`, with its backward pass (Shazeer 2020, arXiv:2002.05202).

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::simd::{dispatch, exp};
use super::{values, with_values};

/// Computes `silu(gate) * up`, element by element.
pub(crate) fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.device().is_cpu() { gate.apply_op2(up, Fused) } else { plain(gate, up) }
}

fn plain(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    gate.silu()? * up
}

/// Computes `silu(gate) * up` of each row: `x` `[rows, 2 F]` holds gate and up side by side, `out` is
/// `[rows, F]`.
pub(crate) fn swiglu_rows(out: &mut [f32], x: &[f32], f: usize) {
    dispatch(
        #[inline(always)]
        || {
            for (out, x) in out.chunks_exact_mut(f).zip(x.chunks_exact(2 * f)) {
                let (gate, up) = x.split_at(f);
                for i in 0..f {
                    out[i] = gate[i] * sigmoid(gate[i]) * up[i];
                }
            }
        },
    );
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

struct Fused;

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (values(gate, gate_layout)?, values(up, up_layout)?);
        let mut out = vec![0f32; gate.len()];
        dispatch(
            #[inline(always)]
            || {
                for ((o, g), u) in out.iter_mut().zip(gate).zip(up) {
                    *o = g * sigmoid(*g) * u;
                }
            },
        );
        Ok((CpuStorage::F32(out), gate_layout.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dg, du) = with_values(gate, |gate| {
            with_values(up, |up| with_values(grad, |grad| Ok(backward(gate, up, grad))))
        })?;
        let dg = Tensor::from_vec(dg, gate.shape(), gate.device())?;
        let du = Tensor::from_vec(du, up.shape(), up.device())?;
        Ok((Some(dg), Some(du)))
    }
}

/// Returns the gradients of gate and up, with `silu'(x) = s (1 + x (1 - s))` and s = sigmoid(x).
fn backward(gate: &[f32], up: &[f32], grad: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mut dg = vec![0f32; gate.len()];
    let mut du = vec![0f32; gate.len()];
    dispatch(
        #[inline(always)]
        || {
            let grads = dg.iter_mut().zip(du.iter_mut());
            for (((dg, du), (x, u)), g) in grads.zip(gate.iter().zip(up)).zip(grad) {
                let s = sigmoid(*x);
                *du = g * x * s;
                *dg = g * u * s * (1.0 + x * (1.0 - s));
            }
        },
    );
    (dg, du)
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    #[test]
    fn fused_equals_plain() {
        let (g, u) = (check::random(&[7, 19], 1), check::random(&[7, 19], 2));
        check::same(&swiglu(&g, &u).unwrap(), &plain(&g, &u).unwrap(), &[&g, &u], 2e-6);
    }

    #[test]
    fn side_by_side_rows_equal_the_separate_form() {
        let (g, u) = (check::random(&[3, 8], 1), check::random(&[3, 8], 2));
        let both = Tensor::cat(&[g.as_tensor(), u.as_tensor()], 1).unwrap();
        let x: Vec<f32> = both.flatten_all().unwrap().to_vec1().unwrap();
        let mut out = vec![0.0; 24];
        swiglu_rows(&mut out, &x, 8);
        let expected: Vec<f32> = swiglu(&g, &u).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(out, expected);
    }
}
