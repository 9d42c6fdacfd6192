//! What a checkpoint takes in memory, known before its weights are read.
//!
//! A plan is numbers from the configuration and the options; what is free comes from the operating
//! system where it says so (Linux). Nothing is allocated here.

use std::fmt;

use crate::PolicyError;

/// Bytes that an engine in this process takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The weights, once, in f32.
    pub weights: u64,
    /// Keys and values of stored prefixes at most, and how many tokens that is.
    pub cache: u64,
    /// Tokens that `cache` holds.
    pub cached_tokens: u64,
    /// Rows of one forward pass and logits.
    pub scratch: u64,
}

impl MemoryPlan {
    /// Most bytes at one time: the weights in the file's order and the engine's while they are
    /// rearranged, or the engine with a full cache.
    #[must_use]
    pub fn peak(&self) -> u64 {
        (2 * self.weights).max(self.weights + self.cache + self.scratch)
    }

    /// Refuses a plan that does not fit into `available` bytes.
    ///
    /// # Errors
    /// [`PolicyError::Model`] with the numbers.
    pub fn check(&self, available: u64) -> Result<(), PolicyError> {
        if self.peak() <= available {
            return Ok(());
        }
        Err(PolicyError::Model(format!(
            "the model does not fit: {self}; only {} MiB are free. Use a smaller model, or free \
             memory",
            mib(available)
        )))
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "weights {} MiB, keys and values up to {} MiB ({} tokens), scratch {} MiB, at most {} \
             MiB at a time",
            mib(self.weights),
            mib(self.cache),
            self.cached_tokens,
            mib(self.scratch),
            mib(self.peak())
        )
    }
}

/// Bytes that this process could still take, where the operating system says.
#[must_use]
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
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
        let plan =
            MemoryPlan { weights: 340 << 20, cache: 1 << 30, cached_tokens: 14_563, scratch: 9 };
        assert_eq!(plan.peak(), (1364 << 20) + 9);
        assert!(plan.check(2 << 30).is_ok());
        let error = plan.check(1 << 30).unwrap_err().to_string();
        for number in ["340 MiB", "14563 tokens", "1365 MiB", "only 1024 MiB"] {
            assert!(error.contains(number), "{error}");
        }
    }
}
