//! Panels of outputs: the unit in which packed weights are stored, and in which the threads share a product.

use std::ops::Range;

use rayon::prelude::*;

/// Outputs in a panel: two AVX-512 registers of f32.
pub(super) const PANEL: usize = 32;

/// Number of multiplications below which a second thread costs more than it saves (measured).
const SHARED_WORK: usize = 1 << 16;

/// How a product is combined with the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Write {
    /// The product replaces the old values.
    Set,
    /// The product is added to the old values.
    Add,
}

/// Number of threads of the current rayon pool that share a product of `work` multiplications.
pub(super) fn threads_for(work: usize) -> usize {
    if work < SHARED_WORK { 1 } else { rayon::current_num_threads() }
}

/// Calls `part` once per thread, each with its range of the panels of `outputs` outputs.
pub(super) fn split(outputs: usize, threads: usize, part: impl Fn(Range<usize>) + Sync) {
    let panels = outputs.div_ceil(PANEL);
    if threads == 1 {
        return part(0..panels);
    }
    let bound = |i: usize| panels * i / threads;
    (0..threads).into_par_iter().with_max_len(1).for_each(|i| part(bound(i)..bound(i + 1)));
}

/// The rows of a result and the bias that is added to them. Several threads write to it, each to the columns of its
/// own panels.
#[derive(Clone, Copy)]
pub(super) struct Out<'a> {
    start: *mut f32,
    outputs: usize,
    /// `[outputs]`.
    bias: Option<&'a [f32]>,
    write: Write,
}

// SAFETY: the pointer is used by `store` alone, whose callers write disjoint columns.
unsafe impl Send for Out<'_> {}
// SAFETY: as above.
unsafe impl Sync for Out<'_> {}

impl<'a> Out<'a> {
    /// Wraps the result `[R, outputs]`, which may still be uninitialised if `write` is [`Write::Set`].
    pub(super) fn new(
        start: *mut f32,
        outputs: usize,
        bias: Option<&'a [f32]>,
        write: Write,
    ) -> Self {
        Self { start, outputs, bias, write }
    }

    /// Writes one row's outputs of a panel; padding after the last output is dropped.
    ///
    /// # Safety
    /// The memory passed to [`Self::new`] must be alive, `row` must be one of its rows, and no other code may read
    /// or write the columns of `panel`. For [`Write::Add`] they must be initialised.
    #[inline(always)]
    pub(super) unsafe fn store(&self, row: usize, panel: usize, values: &[f32; PANEL]) {
        let column = panel * PANEL;
        let n = PANEL.min(self.outputs - column);
        let bias = self.bias.map(|bias| &bias[column..column + n]);
        // SAFETY: `column` is below `outputs`, and `row` is a row by this function's contract.
        let start = unsafe { self.start.add(row * self.outputs + column) };
        for (i, value) in values[..n].iter().enumerate() {
            let value = bias.map_or(*value, |b| value + b[i]);
            // SAFETY: `column + n` is at most `outputs`, so each column lies inside the row; for `Write::Add` it is
            // initialised by the contract.
            unsafe {
                let out = start.add(i);
                out.write(if self.write == Write::Add { out.read() + value } else { value });
            }
        }
    }
}
