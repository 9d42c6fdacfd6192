//! The memory that a checkpoint will need, computed before its weights are read.
//!
//! A plan is computed from the configuration and the options. Free memory is reported by the operating
//! system (on Linux), including the limit of a container. Nothing is allocated here.

use std::fmt;

use crate::{PolicyError, cgroup};

/// Bytes that a process with an engine will need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The program itself and its threads.
    pub program: u64,
    /// The tokenizer.
    pub tokenizer: u64,
    /// The weights in the engine's dtypes: f32, or 16 bits if the checkpoint or the engine has them in 16
    /// bits.
    pub weights: u64,
    /// Additional bytes while the weights are loaded: tensors are read as stored and packed one after the
    /// other.
    pub loading: u64,
    /// Keys and values with a full KV cache.
    pub cache: u64,
    /// Number of tokens that `cache` holds.
    pub cached_tokens: u64,
    /// Rows of one forward pass, logits and rotary tables.
    pub scratch: u64,
    /// Memory on the GPU, if the engine uses one.
    pub device: Option<DevicePlan>,
}

/// Bytes that an engine will need on a GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicePlan {
    /// The weights in the GPU's compute dtype.
    pub weights: u64,
    /// The KV cache, allocated at once.
    pub cache: u64,
    /// Maximum for rows and attention of one forward pass.
    pub scratch: u64,
}

impl DevicePlan {
    /// Returns the sum of all parts.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.weights + self.cache + self.scratch
    }

    /// Returns an error if the plan does not fit into `free` bytes of the GPU.
    ///
    /// # Errors
    /// [`PolicyError::Model`] with the numbers.
    pub fn check(&self, free: u64) -> Result<(), PolicyError> {
        if self.peak() <= free {
            return Ok(());
        }
        Err(PolicyError::Model(format!(
            "the model does not fit on the GPU: {self}; only {} MiB are free. Use a smaller cache \
             (--cache), 16-bit numbers (--dtype bf16) or a smaller model",
            mib(free)
        )))
    }
}

impl fmt::Display for DevicePlan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "on the GPU weights {} MiB, keys and values {} MiB, scratch up to {} MiB, at most {} MiB",
            mib(self.weights),
            mib(self.cache),
            mib(self.scratch),
            mib(self.peak())
        )
    }
}

impl MemoryPlan {
    /// Returns the maximum number of bytes in use at one time: while the weights are loaded, or with a full
    /// cache.
    #[must_use]
    pub fn peak(&self) -> u64 {
        let always = self.program + self.tokenizer + self.weights;
        always + self.loading.max(self.cache + self.scratch)
    }

    /// Returns an error if the plan does not fit into `available` bytes.
    ///
    /// # Errors
    /// [`PolicyError::Model`] with the numbers.
    pub fn check(&self, available: u64) -> Result<(), PolicyError> {
        if self.peak() <= available {
            return Ok(());
        }
        Err(PolicyError::Model(format!(
            "the model does not fit: {self}; only {} MiB are free. Use a smaller model or a \
             smaller cache (--cache), or free memory",
            mib(available)
        )))
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "program {} MiB, tokenizer {} MiB, weights {} MiB, keys and values up to {} MiB ({} \
             tokens), scratch {} MiB, at most {} MiB at a time",
            mib(self.program),
            mib(self.tokenizer),
            mib(self.weights),
            mib(self.cache),
            self.cached_tokens,
            mib(self.scratch),
            mib(self.peak())
        )?;
        self.device.map_or(Ok(()), |device| write!(f, "; {device}"))
    }
}

/// Returns the bytes that this process may still use, if the operating system reports them: the machine's
/// available memory, or less if a container has a lower limit.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok();
    let machine = machine.and_then(|text| machine_memory(&text));
    [machine, cgroup::room()].into_iter().flatten().min()
}

/// Returns `MemAvailable` from the text of `/proc/meminfo`, in bytes.
fn machine_memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_does_not_fit_is_refused_with_its_numbers() {
        let plan = MemoryPlan {
            program: 30 << 20,
            tokenizer: 10 << 20,
            weights: 340 << 20,
            loading: 12 << 20,
            cache: 1 << 30,
            cached_tokens: 14_563,
            scratch: 9,
            device: None,
        };
        assert_eq!(plan.peak(), (1404 << 20) + 9);
        assert!(plan.check(2 << 30).is_ok());
        assert_eq!(MemoryPlan { cache: 0, ..plan }.peak(), 392 << 20);
        let error = plan.check(1 << 30).unwrap_err().to_string();
        for number in ["340 MiB", "14563 tokens", "1405 MiB", "only 1024 MiB"] {
            assert!(error.contains(number), "{error}");
        }
    }

    #[test]
    fn what_the_machine_has_left_is_read_in_bytes() {
        let text = "MemTotal:  49368360 kB\nMemFree:  99 kB\nMemAvailable:   38712 kB\n";
        assert_eq!(machine_memory(text), Some(38_712 << 10));
        assert_eq!(machine_memory("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn a_plan_on_a_gpu_is_refused_with_its_numbers() {
        let plan = DevicePlan { weights: 300 << 20, cache: 1 << 30, scratch: 5 << 20 };
        assert!(plan.check(2 << 30).is_ok());
        let error = plan.check(1 << 30).unwrap_err().to_string();
        for number in ["300 MiB", "values 1024 MiB", "at most 1329 MiB", "only 1024 MiB"] {
            assert!(error.contains(number), "{error}");
        }
    }
}
