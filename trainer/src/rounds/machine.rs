//! The machine that a round ran on, as recorded in `cost.json`. Results do not depend on it.

use serde::{Deserialize, Serialize};

use crate::train::peak_memory;

/// CPU, threads and memory of a round. Unknown values are absent or 0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Machine {
    /// Name of the CPU; `None` if the system does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) processor: Option<String>,
    /// Number of cores that the process may use.
    pub(crate) cores: usize,
    /// Number of threads that search and training used.
    pub(crate) threads: usize,
    /// Peak resident memory of the process up to the end of the round's training, in bytes. If several
    /// processes worked on the round: the largest peak.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_memory: Option<u64>,
    /// Planned peak memory of training above what the process held before training, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) planned_memory: Option<u64>,
}

impl Machine {
    /// Records this machine and the peak memory of this process so far.
    pub(super) fn note(&mut self, threads: usize) {
        self.processor = processor(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
        self.cores = std::thread::available_parallelism().map_or(0, usize::from);
        self.threads = threads;
        self.peak_memory = self.peak_memory.max(peak_memory());
    }
}

/// Returns the name of the first CPU in `/proc/cpuinfo`; `None` on machines that report no name.
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
