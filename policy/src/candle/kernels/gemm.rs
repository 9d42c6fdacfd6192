//! Matrix products on slices: a safe, bounds-checked wrapper of the gemm crate.

use gemm::Parallelism;

/// A strided view of f32 values as a matrix.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// Views values as a row-major matrix of `rows` x `cols`.
    pub(crate) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "matrix data of another size");
        Self { data, rows, cols, transposed: false }
    }

    /// Views the same values as the transposed matrix, `cols` x `rows`.
    pub(crate) fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, transposed: !self.transposed, ..self }
    }

    /// Returns column and row stride.
    fn strides(&self) -> (isize, isize) {
        if self.transposed { (self.rows as isize, 1) } else { (1, self.cols as isize) }
    }
}

/// Computes `out = a b`, or `out += a b` if `accumulate`; `out` is row-major.
///
/// Runs on the current rayon pool; the result does not depend on its size.
pub(crate) fn multiply(out: &mut [f32], a: Matrix, b: Matrix, accumulate: bool) {
    assert_eq!(out.len(), a.rows * b.cols, "output of another size");
    // SAFETY: `out` holds as many values as the product, asserted above, and is initialised.
    unsafe { multiply_to(out.as_mut_ptr(), a, b, accumulate) }
}

/// Returns `a b` as a new row-major vector: [`multiply`] without filling the result with zeros first.
pub(crate) fn product(a: Matrix, b: Matrix) -> Vec<f32> {
    let n = a.rows * b.cols;
    let mut out = Vec::with_capacity(n);
    if a.cols == 0 {
        out.resize(n, 0.0);
        return out;
    }
    // SAFETY: the vector has room for the product; without `accumulate` gemm writes every value of
    // it and reads none, so all n are initialised when the length is set.
    unsafe {
        multiply_to(out.as_mut_ptr(), a, b, false);
        out.set_len(n);
    }
    out
}

/// # Safety
/// `out` must be valid for writes of `a.rows * b.cols` values, and initialised if `accumulate`.
unsafe fn multiply_to(out: *mut f32, a: Matrix, b: Matrix, accumulate: bool) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    assert_eq!(k, b.rows, "inner dimensions differ");
    let threads = rayon::current_num_threads();
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    let ((a_cs, a_rs), (b_cs, b_rs)) = (a.strides(), b.strides());
    // SAFETY: (1) the inputs hold exactly rows x cols values, asserted in `Matrix::new`, and the
    // output does by this function's contract; (2) the strides are those of a dense matrix of that
    // size, plain or transposed, so every address gemm forms lies inside its slice; (3) the caller
    // has `out` to itself, so it overlaps neither input.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            n as isize,
            accumulate,
            a.data.as_ptr(),
            a_cs,
            a_rs,
            b.data.as_ptr(),
            b_cs,
            b_rs,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_all_orientations() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // 2 x 3
        let b = [1.0, 0.0, 2.0, 1.0, 0.0, 3.0]; // 3 x 2
        let mut out = [0.0; 4];
        multiply(&mut out, Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2), false);
        assert_eq!(out, [5.0, 11.0, 14.0, 23.0]);
        multiply(&mut out, Matrix::new(&a, 3, 2).t(), Matrix::new(&b, 2, 3).t(), true);
        // [1 3 5; 2 4 6] x [1 1; 0 0; 2 3] = [11 16; 14 20]
        assert_eq!(out, [16.0, 27.0, 28.0, 43.0]);
        assert_eq!(product(Matrix::new(&a, 2, 3), Matrix::new(&b, 3, 2)), [5.0, 11.0, 14.0, 23.0]);
        assert_eq!(product(Matrix::new(&[], 2, 0), Matrix::new(&[], 0, 1)), [0.0, 0.0]);
    }
}
