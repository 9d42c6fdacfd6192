//! Memory of a training: the estimate is printed before it begins, enforced while it runs, and compared with
//! the measured peak at the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use regrowth_mcts::console::log;
use serde::Serialize;

use crate::TrainError;
use crate::train::{TrainingMemory, peak_memory, resident_memory};

/// Interval at which the memory of a running training is checked. It is short compared with a micro-batch,
/// which takes at least 0.1 s when memory matters.
const LOOK: Duration = Duration::from_millis(10);

/// Minimum time between two purges of freed pages.
const REST: Duration = Duration::from_secs(10);

/// Memory of a training run above what the process held before it, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct MemoryUse {
    /// Planned memory.
    planned: u64,
    /// Memory held before training; `None` if the system does not report it.
    before: Option<u64>,
    /// Peak memory; `None` if the system does not report it.
    peak: Option<u64>,
}

/// Keeps a running training within its planned memory until [`Self::end`].
pub(super) struct Keeper {
    plan: MemoryUse,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Prints the memory estimate, returns an error if it does not fit, and starts to keep the process within it.
pub(super) fn announce(plan: &TrainingMemory) -> Result<Keeper, TrainError> {
    let before = resident_memory();
    let held = before.unwrap_or(0) as f64 / 1e6;
    let most = held + plan.total() as f64 / 1e6;
    log(&format!("memory: at most {most:.0} MB at a time: {held:.0} held, {plan}"));
    plan.check()?;
    let ended = Arc::new(AtomicBool::new(false));
    let allowed = before.map(|before| before + plan.total());
    let thread = allowed.and_then(|allowed| {
        let ended = ended.clone();
        std::thread::Builder::new().spawn(move || keep(allowed, &ended)).ok()
    });
    Ok(Keeper { plan: MemoryUse { planned: plan.total(), before, peak: None }, ended, thread })
}

/// Returns freed pages to the system when the process holds more than `allowed`. The allocator keeps freed
/// pages for the next micro-batch, and micro-batches of different sizes fragment them. It purges seldom,
/// because the system zeroes every returned page when it is allocated again.
fn keep(allowed: u64, ended: &AtomicBool) {
    let mut given_back: Option<Instant> = None;
    // Relaxed: the flag carries no data.
    while !ended.load(Ordering::Relaxed) {
        let rested = given_back.is_none_or(|at| at.elapsed() >= REST);
        if rested && resident_memory().is_some_and(|held| held > allowed) {
            // SAFETY: can be called at any time from any thread; it does not affect live allocations.
            unsafe { libmimalloc_sys::mi_collect(true) };
            given_back = Some(Instant::now());
        }
        std::thread::sleep(LOOK);
    }
}

impl Keeper {
    /// Stops the check and returns the plan with the measured peak.
    pub(super) fn end(self) -> MemoryUse {
        let MemoryUse { planned, before, .. } = self.plan;
        let peak = peak_memory().zip(before).map(|(peak, before)| peak.saturating_sub(before));
        MemoryUse { planned, before, peak }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread loses nothing.
            let _ = thread.join();
        }
    }
}
