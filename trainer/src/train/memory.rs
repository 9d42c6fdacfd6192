//! How much memory training will take, told before it begins.
//!
//! Counted from shapes: what the graph of one micro-batch holds, its gradients, the optimizer's
//! moments. What a process already holds when it asks (the weights among it) is not in the plan.

use regrowth_policy::candle::ModelConfig;
use serde::Serialize;

use super::collate::Packed;
use super::optim::OptimizerKind;
use super::run::Model;
use crate::TrainError;

/// Most logits that the loss holds at once for one micro-batch (see the policy's operations).
const LOGITS: usize = 1 << 22;
const F32: u64 = 4;
/// What a working thread holds beside that: buffers of matrix products and what the allocator keeps.
/// Measured: 40 to 60 MB for models of 1 to 7 million parameters, with one thread and with two.
const WORKER: u64 = 50_000_000;

/// Bytes that training will take above what the process holds, by use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// The optimizer's moments.
    pub moments: u64,
    /// Gradients: those of the micro-batches in work and their sum.
    pub gradients: u64,
    /// Activations of the micro-batches in work.
    pub activations: u64,
    /// Logits of the micro-batches in work.
    pub logits: u64,
    /// Buffers of the threads that work on them.
    pub buffers: u64,
}

impl MemoryPlan {
    /// For steps whose largest micro-batches at work together have these numbers of token rows and
    /// of scored rows.
    pub(super) fn new(
        model: &Model,
        optimizer: OptimizerKind,
        recompute: bool,
        together: &[(usize, usize)],
    ) -> Self {
        let (trained, _) = model.variables.sizes();
        let trained = trained as u64 * F32;
        let moments = match optimizer {
            OptimizerKind::AdamW | OptimizerKind::Muon => 2 * trained,
            OptimizerKind::Sgd => 0,
        };
        let config = &model.config;
        let activations = |&(rows, _): &(usize, usize)| rows as u64 * row_bytes(config, recompute);
        let logits = |&(_, scored): &(usize, usize)| {
            let block = (LOGITS / config.vocab_size).clamp(1, 512).min(scored.max(1));
            (block * config.vocab_size) as u64 * F32
        };
        Self {
            moments,
            // Those of every micro-batch in work, their sum, and one that waits for its turn.
            gradients: trained * (together.len() as u64 + 2),
            activations: together.iter().map(activations).sum(),
            logits: together.iter().map(logits).sum(),
            buffers: WORKER * together.len() as u64,
        }
    }

    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.moments + self.gradients + self.activations + self.logits + self.buffers
    }

    /// Refuses a plan that does not fit what the system says is free.
    ///
    /// # Errors
    /// [`TrainError::Setting`] with both numbers.
    pub fn check(&self) -> Result<(), TrainError> {
        match system_memory("MemAvailable:") {
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

impl std::fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "training takes {:.0} MB more: activations {:.0}, gradients {:.0}, optimizer {:.0}, \
             logits {:.0}, buffers {:.0}",
            mb(self.total()),
            mb(self.activations),
            mb(self.gradients),
            mb(self.moments),
            mb(self.logits),
            mb(self.buffers),
        )
    }
}

/// The micro-batches that take most when they are worked on together.
pub(super) struct Largest {
    threads: usize,
    /// Token rows and scored rows of each.
    pub(super) together: Vec<(usize, usize)>,
}

impl Largest {
    /// For this many micro-batches at once.
    pub(super) fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), together: vec![] }
    }

    /// Looks at the micro-batches of a step.
    pub(super) fn see<'a>(&mut self, step: impl Iterator<Item = &'a Packed>) {
        let mut sizes: Vec<_> = step.map(|p| (p.ids.len(), p.targets.len())).collect();
        sizes.sort_unstable();
        sizes.reverse();
        sizes.truncate(self.threads);
        let rows = |sizes: &[(usize, usize)]| sizes.iter().map(|s| s.0).sum::<usize>();
        if rows(&sizes) > rows(&self.together) {
            self.together = sizes;
        }
    }
}

/// Bytes that one token row holds at the peak of a pass.
fn row_bytes(config: &ModelConfig, recompute: bool) -> u64 {
    let d = config.hidden_size;
    let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    let f = config.intermediate_size;
    // Results that the graph keeps of one layer: two norms, three sums and products of width D, q
    // and the mixed values, k and v, gate, up and their product.
    let layer = 6 * d + 2 * q + 2 * kv + 3 * f;
    // Gradients on their way back through the widest part of a layer, beside its results.
    let transient = 3 * f + 2 * d;
    let kept = if recompute { layer + config.layers * d } else { config.layers * layer };
    (kept + transient + 3 * d) as u64 * F32
}

/// Peak of this process's resident memory so far, in bytes.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    process_memory("VmHWM:")
}

/// This process's resident memory, in bytes.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    process_memory("VmRSS:")
}

fn process_memory(name: &str) -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, name)
}

fn system_memory(name: &str) -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/meminfo").ok()?, name)
}

/// The value of a line `Name:   123 kB`, in bytes.
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
    fn recomputation_holds_one_layer() {
        let config = ModelConfig::llama(100, 64, 176, 8, 4);
        let (all, one) = (row_bytes(&config, false), row_bytes(&config, true));
        assert!(all > 4 * one, "{all} {one}");
    }
}
