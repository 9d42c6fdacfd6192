//! The machine that a round ran on, as its `cost.json` has it. Results do not depend on it.

use serde::{Deserialize, Serialize};

use crate::train::peak_memory;

/// Processor, threads and memory of a round. All that is not known is absent or 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Machine {
    /// Name of the processor, where the system says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processor: Option<String>,
    /// Cores that the process may use.
    pub(crate) cores: usize,
    /// Threads that search and training used.
    pub(crate) threads: usize,
    /// Largest resident memory of the process up to the end of the round's training, in bytes; of several
    /// processes, the largest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_memory: Option<u64>,
    /// What training was planned to take at most above what the process held before it, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) planned_memory: Option<u64>,
}

impl Machine {
    /// Notes this machine and the memory that this process has taken so far.
    pub(super) fn note(&mut self, threads: usize) {
        self.processor = processor(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
        self.cores = std::thread::available_parallelism().map_or(0, usize::from);
        self.threads = threads;
        self.peak_memory = self.peak_memory.max(peak_memory());
    }
}

/// The first processor of `/proc/cpuinfo`; `None` on machines that do not name theirs.
fn processor(info: &str) -> Option<String> {
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'))?.1;
    Some(name.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_where_the_system_says_it() {
        let info = "processor\t: 0\nmodel name\t: Some  CPU @ 2.0 GHz\nmodel name\t: other\n";
        assert_eq!(processor(info).as_deref(), Some("Some CPU @ 2.0 GHz"));
        assert_eq!(processor("Features : fp asimd"), None);
    }

    #[test]
    fn a_peak_of_an_earlier_process_is_kept() {
        let mut machine = Machine { peak_memory: Some(u64::MAX), ..Machine::default() };
        machine.note(3);
        assert_eq!((machine.threads, machine.peak_memory), (3, Some(u64::MAX)));
    }
}
