//! CPU time and memory of this process, and a description of this machine; 0 or "unknown" if the system
//! does not report a value.

use std::fs::read_to_string;

/// Clock ticks per second in `/proc/self/stat`; 100 on every Linux in use.
const TICKS: f64 = 100.0;

/// CPU seconds of this process so far, summed over threads.
#[must_use]
pub fn cpu_seconds() -> f64 {
    let stat = read_to_string("/proc/self/stat").unwrap_or_default();
    // The program name in brackets may contain spaces and brackets; utime and stime are the fields 14 and
    // 15.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let fields = after.split_whitespace().skip(11).take(2);
    fields.filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() / TICKS
}

/// Resident memory of this process, in bytes.
#[must_use]
pub fn resident_bytes() -> u64 {
    status_bytes("VmRSS:")
}

/// Peak resident memory of this process, in bytes.
#[must_use]
pub fn peak_bytes() -> u64 {
    status_bytes("VmHWM:")
}

fn status_bytes(name: &str) -> u64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(name));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Processor model and number of cores.
#[must_use]
pub fn machine() -> String {
    let info = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|l| l.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} x {}", cores, model.unwrap_or("unknown processor"))
}
