//! Computes the part of a weight that an adapter's initialisation subtracts from its base. PEFT subtracts
//! this part each time it loads an adapter that was not converted.
//!
//! Vectors are rows here, in f64: a basis of r vectors is `[r, n]`.

use candle_core::{DType, Result as TensorResult, Tensor};
use rand::RngExt;
use regrowth_datasets::keyed_rng;

/// Maximum number of iterations of the search for singular vectors; weights of published models needed
/// fewer than 60.
const MOST_ROUNDS: usize = 2000;
/// Matrix products between two convergence checks.
const PRODUCTS: usize = 4;
/// Largest accepted residual of a singular vector, relative to the largest eigenvalue. Its effect on the
/// result is below the rounding of f32 weights.
const RESIDUAL: f64 = 1e-10;
/// Two successive eigenvalues closer than this, relative to the largest, count as equal.
const GAP: f64 = 1e-8;

/// Returns the projection of W `[out, in]` on the span of its first `rank` columns: `Q_r R_r` of its QR
/// decomposition (OLoRA, arXiv:2406.01775).
pub(crate) fn olora_part(weight: &Tensor, rank: usize) -> Result<Tensor, String> {
    let part = || {
        let weight = weight.to_dtype(DType::F64)?;
        let columns = weight.narrow(1, 0, rank.min(weight.dim(1)?))?.t()?.to_vec2::<f64>()?;
        let basis = tensor(&orthonormal(columns), &weight)?;
        basis.t()?.matmul(&basis.matmul(&weight)?)?.to_dtype(DType::F32)
    };
    part().map_err(|e: candle_core::Error| e.to_string())
}

/// Returns the part of W `[out, in]` that belongs to its `rank` largest singular values (PiSSA,
/// arXiv:2404.02948).
pub(crate) fn pissa_part(weight: &Tensor, rank: usize) -> Result<Tensor, String> {
    let part = || {
        let weight = weight.to_dtype(DType::F64)?;
        let (outputs, inputs) = weight.dims2()?;
        let transposed = weight.t()?.contiguous()?;
        // Compute the singular vectors of the shorter side.
        if outputs <= inputs {
            let Some(basis) = leading(&weight.matmul(&transposed)?, rank)? else { return Ok(None) };
            Ok(Some(basis.t()?.matmul(&basis.matmul(&weight)?)?.to_dtype(DType::F32)?))
        } else {
            let Some(basis) = leading(&transposed.matmul(&weight)?, rank)? else { return Ok(None) };
            Ok(Some(weight.matmul(&basis.t()?)?.matmul(&basis)?.to_dtype(DType::F32)?))
        }
    };
    let part = part().map_err(|e: candle_core::Error| e.to_string())?;
    part.ok_or_else(|| {
        format!(
            "`init_lora_weights` is pissa, but singular value {rank} of the weight is too near the next \
             one to tell them apart; save the adapter with `path_initial_model_for_weight_conversion`"
        )
    })
}

/// Returns the eigenvectors `[rank, n]` of the `rank` largest eigenvalues of a symmetric matrix `[n, n]`;
/// `None` if they cannot be separated from the next eigenvalue. Simultaneous iteration with Ritz vectors
/// (Saad, Numerical Methods for Large Eigenvalue Problems, section 5.2).
fn leading(matrix: &Tensor, rank: usize) -> TensorResult<Option<Tensor>> {
    let n = matrix.dim(0)?;
    let rank = rank.min(n);
    let block = (2 * rank + 16).min(n);
    let mut rng = keyed_rng(0, &[b"singular vectors"]);
    let start = (0..block).map(|_| (0..n).map(|_| rng.random_range(-1.0..1.0)).collect());
    let mut basis = tensor(&orthonormal(start.collect()), matrix)?;
    for _ in 0..MOST_ROUNDS {
        for _ in 0..PRODUCTS {
            basis = tensor(&orthonormal(basis.matmul(matrix)?.to_vec2()?), matrix)?;
        }
        let image = basis.matmul(matrix)?;
        let (values, turn) = eigen(image.matmul(&basis.t()?)?.to_vec2()?);
        let turn = tensor(&turn, matrix)?;
        basis = turn.matmul(&basis)?;
        let image = turn.matmul(&image)?;
        let scaled =
            basis.broadcast_mul(&Tensor::new(values.as_slice(), matrix.device())?.unsqueeze(1)?)?;
        let residuals = (image - scaled)?.sqr()?.sum(1)?.sqrt()?.to_vec1::<f64>()?;
        let first = values.first().copied().unwrap_or(0.0);
        if residuals.iter().take(rank).all(|residual| *residual <= RESIDUAL * first) {
            let next = values.get(rank).is_some_and(|next| values[rank - 1] - next <= GAP * first);
            let rank = rank.min(basis.dim(0)?);
            return Ok(if next { None } else { Some(basis.narrow(0, 0, rank)?) });
        }
    }
    Ok(None)
}

fn tensor(rows: &[Vec<f64>], like: &Tensor) -> TensorResult<Tensor> {
    let width = rows.first().map_or(0, Vec::len);
    Tensor::from_vec(rows.concat(), (rows.len(), width), like.device())
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Returns an orthonormal basis of the span of these vectors (Gram-Schmidt, each vector twice).
fn orthonormal(vectors: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for mut vector in vectors {
        let before = dot(&vector, &vector).sqrt();
        for _ in 0..2 {
            for unit in &basis {
                let along = dot(&vector, unit);
                vector.iter_mut().zip(unit).for_each(|(v, u)| *v -= along * u);
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        // Skip a vector that lies in the span of the others.
        if norm > 1e-12 * before {
            vector.iter_mut().for_each(|v| *v /= norm);
            basis.push(vector);
        }
    }
    basis
}

/// Returns the eigenvalues of a small symmetric matrix, the largest first, and their eigenvectors as rows
/// (Jacobi's method).
fn eigen(mut matrix: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = matrix.len();
    let unit = |i: usize| (0..n).map(|j| f64::from(u8::from(i == j))).collect();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(unit).collect();
    // Ten sweeps bring any matrix of this size to full precision; most need six.
    for _ in 0..10 {
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut matrix, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| matrix[b][b].total_cmp(&matrix[a][a]));
    let values = order.iter().map(|&i| matrix[i][i]).collect();
    (values, order.iter().map(|&i| std::mem::take(&mut vectors[i])).collect())
}

/// One rotation in the plane of p and q that makes their entry zero.
fn rotate(matrix: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    let entry = matrix[p][q];
    if entry == 0.0 {
        return;
    }
    let theta = (matrix[q][q] - matrix[p][p]) / (2.0 * entry);
    let tangent = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
    let cos = (tangent * tangent + 1.0).sqrt().recip();
    let sin = tangent * cos;
    for row in matrix.iter_mut() {
        (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
    }
    for rows in [matrix, vectors] {
        let (before, after) = rows.split_at_mut(q);
        for (a, b) in before[p].iter_mut().zip(&mut after[0]) {
            (*a, *b) = (cos * *a - sin * *b, sin * *a + cos * *b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// A matrix of this shape with singular values 1/1, 1/2, 1/3 and so on, and the part of it that belongs
    /// to the `rank` largest singular values.
    fn graded(outputs: usize, inputs: usize, rank: usize) -> [Tensor; 2] {
        let mut rng = keyed_rng(3, &[b"graded"]);
        let mut vectors = |n: usize, width: usize| {
            let rows = (0..n).map(|_| (0..width).map(|_| rng.random_range(-1.0..1.0)).collect());
            orthonormal(rows.collect())
        };
        let n = outputs.min(inputs);
        let (left, right) = (vectors(n, outputs), vectors(n, inputs));
        [n, rank].map(|n| {
            let mut values = vec![0.0; outputs * inputs];
            for k in 0..n {
                for (i, l) in left[k].iter().enumerate() {
                    for (j, r) in right[k].iter().enumerate() {
                        values[i * inputs + j] += l * r / (k + 1) as f64;
                    }
                }
            }
            let tensor = Tensor::from_vec(values, (outputs, inputs), &Device::Cpu).unwrap();
            tensor.to_dtype(DType::F32).unwrap()
        })
    }

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn the_principal_part_is_that_of_the_largest_singular_values() {
        for (outputs, inputs) in [(40, 90), (90, 40), (12, 12)] {
            let [weight, expected] = graded(outputs, inputs, 4);
            let found = pissa_part(&weight, 4).unwrap();
            assert!(difference(&found, &expected) < 1e-6, "{outputs} x {inputs}");
        }
    }

    #[test]
    fn singular_values_that_are_the_same_cannot_be_told_apart() {
        let same = Tensor::eye(60, DType::F32, &Device::Cpu).unwrap();
        assert!(pissa_part(&same, 4).unwrap_err().contains("singular value 4"));
    }

    #[test]
    fn the_first_columns_span_the_part_that_is_taken_off() {
        let [weight, _] = graded(20, 30, 1);
        let rest = (&weight - olora_part(&weight, 3).unwrap()).unwrap();
        let first = rest.narrow(1, 0, 3).unwrap();
        assert!(difference(&first, &first.zeros_like().unwrap()) < 1e-6);
        let kept = rest.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(kept > 0.1, "{kept}");
    }
}
