//! Estimates the memory of training before it begins.
//!
//! The estimate is computed from shapes: the autograd graph of one micro-batch, its gradients, the
//! optimizer's moments. Memory that the process already holds when it asks for the estimate, such as the
//! weights, is not included.

use regrowth_policy::candle::ModelConfig;
use regrowth_policy::{Dtype, available_memory};
use serde::Serialize;

use super::collate::PackedBatch;
use super::model::Model;
use super::optim::OptimizerKind;
use crate::TrainError;

/// Maximum number of logits that the loss holds at once for one micro-batch (see the policy's operations).
const LOGITS: usize = 1 << 22;
const F32: u64 = 4;
/// Additional memory of a worker thread: buffers of matrix products, and memory kept by the allocator.
/// Measured: 40 to 60 MB for models of 1 to 7 million parameters, with one thread and with two.
const WORKER: u64 = 50_000_000;

/// Memory that training needs in addition to what the process holds, in bytes, by use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TrainingMemory {
    /// Frozen weights packed in bf16 for the forward and the backward pass, if `--dtype bf16` is set.
    pub frozen: u64,
    /// The optimizer's moments.
    pub moments: u64,
    /// Gradients of the micro-batches in flight, and their sum.
    pub gradients: u64,
    /// Activations of the micro-batches in flight.
    pub activations: u64,
    /// Logits of the micro-batches in flight.
    pub logits: u64,
    /// Buffers of the worker threads.
    pub buffers: u64,
    /// Saving the result, after all of the above has been freed: the largest tensor, its update if only
    /// updates were trained, and the copy that is written.
    pub saving: u64,
    /// Number of optimizer steps.
    pub steps: usize,
}

impl TrainingMemory {
    /// Estimates the memory of a run whose step with the largest need is `busiest`.
    pub(super) fn new(model: &Model, optimizer: OptimizerKind, busiest: &PeakBatch) -> Self {
        let (trained, frozen) = model.variables.sizes();
        let packed = match model.variables.frozen_dtype() {
            Dtype::Bf16 => 2 * (frozen * Dtype::Bf16.bytes()) as u64,
            _ => 0,
        };
        let moments = match optimizer {
            OptimizerKind::AdamW | OptimizerKind::Muon => 2 * trained as u64 * F32,
            OptimizerKind::Sgd => 0,
        };
        let vocabulary = model.config.vocab_size;
        let block = (LOGITS / vocabulary).clamp(1, 512);
        let workers = busiest.workers as u64;
        Self {
            frozen: packed,
            moments,
            gradients: busiest.gradients,
            activations: busiest.activations,
            logits: workers * (block * vocabulary) as u64 * F32,
            buffers: workers * WORKER,
            saving: saving(model),
            steps: busiest.steps,
        }
    }

    /// Peak memory, in bytes.
    #[must_use]
    pub fn total(&self) -> u64 {
        let steps = self.frozen
            + self.moments
            + self.gradients
            + self.activations
            + self.logits
            + self.buffers;
        steps.max(self.saving)
    }

    /// Returns an error if the estimate exceeds the available memory that the system reports.
    ///
    /// # Errors
    /// [`TrainError::Setting`] with both numbers.
    pub fn check(&self) -> Result<(), TrainError> {
        match available_memory() {
            Some(free) if self.total() > free => Err(TrainError::Setting {
                name: "memory",
                detail: format!(
                    "training would take {} MB and {} MB are free; lower micro_tokens or threads, \
                     or turn gradient_checkpointing on",
                    self.total() / 1_000_000,
                    free / 1_000_000
                ),
            }),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for TrainingMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "training takes {:.0} MB more: activations {:.0}, gradients {:.0}, optimizer {:.0}, \
             logits {:.0}, buffers {:.0}, frozen weights {:.0}; then {:.0} MB to write the result",
            mb(self.total()),
            mb(self.activations),
            mb(self.gradients),
            mb(self.moments),
            mb(self.logits),
            mb(self.buffers),
            mb(self.frozen),
            mb(self.saving),
        )
    }
}

/// Memory for saving the result, in bytes: tensors are merged, converted and written one at a time.
fn saving(model: &Model) -> u64 {
    let copies = if model.variables.lora().is_some() { 3 } else { 2 };
    copies * largest(model)
}

/// Size of the largest tensor, in bytes.
fn largest(model: &Model) -> u64 {
    let shapes = model.config.tensor_shapes();
    let most = shapes.iter().map(|(_, shape)| shape.iter().product::<usize>()).max();
    most.unwrap_or(0) as u64 * F32
}

/// Peak memory over the steps of a run.
pub(super) struct PeakBatch {
    threads: usize,
    row: u64,
    gradient: u64,
    /// Temporary memory for adding one gradient to another.
    sum: u64,
    /// Activations at the peak.
    activations: u64,
    /// Gradients at the peak.
    gradients: u64,
    /// Maximum number of micro-batches in flight.
    workers: usize,
    /// Number of optimizer steps seen.
    steps: usize,
}

impl PeakBatch {
    /// Starts with no steps seen; `threads` micro-batches are computed at once.
    pub(super) fn new(model: &Model, recompute: bool, threads: usize) -> Self {
        let largest = model.variables.iter().map(|(_, var)| var.elem_count()).max().unwrap_or(0);
        Self {
            threads: threads.max(1),
            row: row_bytes(&model.config, recompute),
            gradient: model.variables.sizes().0 as u64 * F32,
            sum: 2 * largest as u64 * F32,
            activations: 0,
            gradients: 0,
            workers: 1,
            steps: 0,
        }
    }

    /// Takes the micro-batches of a step into account, in the order in which threads compute them.
    pub(super) fn see<'a>(&mut self, step: impl Iterator<Item = &'a PackedBatch>) {
        self.steps += 1;
        let rows: Vec<usize> = step.map(|packed| packed.ids.len().max(1)).collect();
        let works = schedule(&rows, self.threads);
        self.workers = self.workers.max(self.threads.min(rows.len()));
        for at in works.iter().map(|work| work.end) {
            let (mut activations, mut gradients) = (0.0, 0.0);
            for work in &works {
                let (activation, gradient) = work.share(at);
                activations += activation * work.rows() * self.row as f64;
                gradients += gradient * self.gradient as f64;
            }
            // The sum reuses the memory of its first summand.
            let summed = works.iter().filter(|work| work.summed <= at).count();
            gradients -= summed.saturating_sub(1) as f64 * self.gradient as f64;
            let (activations, gradients) = (activations as u64, gradients as u64 + self.sum);
            if activations + gradients > self.activations + self.gradients {
                (self.activations, self.gradients) = (activations, gradients);
            }
        }
    }
}

/// When a micro-batch is started, finished and added to the sum. The time unit is one row computed by one
/// thread.
#[derive(Debug, Clone, Copy)]
struct Work {
    start: f64,
    end: f64,
    summed: f64,
}

impl Work {
    fn rows(&self) -> f64 {
        self.end - self.start
    }

    /// Shares of the micro-batch's activations and of its gradient that are in memory at time `at`. The
    /// forward pass, a third of the work, creates activations; the backward pass creates gradients.
    fn share(&self, at: f64) -> (f64, f64) {
        if at <= self.start {
            return (0.0, 0.0);
        }
        if at > self.end {
            return (0.0, 1.0);
        }
        let done = (at - self.start) / self.rows();
        ((3.0 * done).min(1.0), (1.5 * done - 0.5).max(0.0))
    }
}

/// Schedule of the micro-batches if all threads are equally fast. As in [`super::workers`], at most one
/// micro-batch more than there are threads is ahead of the sum.
fn schedule(rows: &[usize], threads: usize) -> Vec<Work> {
    let mut free = vec![0.0_f64; threads.min(rows.len()).max(1)];
    let mut works: Vec<Work> = Vec::with_capacity(rows.len());
    for (index, &rows) in rows.iter().enumerate() {
        let waits = index.checked_sub(threads + 1).map_or(0.0, |before| works[before].summed);
        free.sort_by(f64::total_cmp);
        let start = free[0].max(waits);
        let end = start + rows as f64;
        free[0] = end;
        let summed = works.last().map_or(end, |before| before.summed.max(end));
        works.push(Work { start, end, summed });
    }
    works
}

/// Peak memory of one token row in a pass, in bytes.
fn row_bytes(config: &ModelConfig, recompute: bool) -> u64 {
    let d = config.hidden_size;
    let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    let f = config.intermediate_size;
    // Tensors that the graph keeps per layer: two norms, two sums and two products of width D, q and the
    // attention output, k and v, gate, up and their product. Sums with biases and normalised heads are
    // separate tensors.
    let mut layer = 6 * d + 2 * q + 2 * kv + 3 * f;
    layer += if config.qkv_bias { q + 2 * kv } else { 0 };
    layer += if config.output_bias { d } else { 0 };
    layer += if config.qk_norm { q + kv } else { 0 };
    // Gradients in the backward pass through the widest part of a layer, in addition to the kept tensors.
    let transient = 3 * f + 2 * d;
    let kept = if recompute { layer + config.layers * d } else { config.layers * layer };
    (kept + transient + 3 * d) as u64 * F32
}

/// Peak resident memory of this process so far, in bytes; `None` if the system does not report it.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    process_memory("VmHWM:")
}

/// Resident memory of this process, in bytes; `None` if the system does not report it.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    process_memory("VmRSS:")
}

fn process_memory(name: &str) -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, name)
}

/// Returns the value of a line `Name:   123 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_read() {
        let text = "VmPeak:\t  10 kB\nVmHWM:\t    2048 kB\n";
        assert_eq!(kilobytes(text, "VmHWM:"), Some(2048 * 1024));
        assert_eq!(kilobytes(text, "VmRSS:"), None);
    }

    #[test]
    fn gradients_are_held_until_they_are_added_in_order() {
        let works = schedule(&[10, 30, 10, 10], 2);
        let times: Vec<_> = works.iter().map(|w| (w.start, w.end, w.summed)).collect();
        // The fourth waits only for the first sum, which is ready at 10.
        assert_eq!(
            times,
            [(0.0, 10.0, 10.0), (0.0, 30.0, 30.0), (10.0, 20.0, 30.0), (20.0, 30.0, 30.0)]
        );
        assert_eq!(works[1].share(10.0), (1.0, 0.0));
        assert_eq!(works[1].share(30.0), (1.0, 1.0));
        assert_eq!(works[0].share(10.5), (0.0, 1.0));
    }

    #[test]
    fn recomputation_holds_one_layer() {
        let config = ModelConfig::llama(100, 64, 176, 8, 4);
        let (all, one) = (row_bytes(&config, false), row_bytes(&config, true));
        assert!(all > 4 * one, "{all} {one}");
    }
}
