//! A training's memory: said before it begins, held to while it runs, measured when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use regrowth_mcts::console::log;
use serde::Serialize;

use crate::TrainError;
use crate::train::{TrainingMemory, peak_memory, resident_memory};

/// How often a running training is looked at: often beside a micro-batch, which takes 0.1 s or more
/// where memory matters.
const LOOK: Duration = Duration::from_millis(10);

/// Time between two occasions of giving pages back.
const REST: Duration = Duration::from_secs(10);

/// Memory of a training run above what the process held before it, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct MemoryUse {
    /// As planned.
    planned: u64,
    /// Held before.
    before: Option<u64>,
    /// What it was, where the system says.
    peak: Option<u64>,
}

/// Holds a running training to its plan; until [`Self::end`].
pub(super) struct Keeper {
    plan: MemoryUse,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Says what training will take, refuses what does not fit, and holds the process to it.
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

/// Gives freed pages back when the process holds more than it may: the allocator keeps them for the
/// next micro-batch, and sizes that differ from one to the next leave holes. Seldom, as every page that
/// is given back is zeroed by the system when it is taken again.
fn keep(allowed: u64, ended: &AtomicBool) {
    let mut given_back: Option<Instant> = None;
    // Relaxed: the flag carries no data.
    while !ended.load(Ordering::Relaxed) {
        let rested = given_back.is_none_or(|at| at.elapsed() >= REST);
        if rested && resident_memory().is_some_and(|held| held > allowed) {
            // SAFETY: may be called at any time from any thread; it changes no live allocation.
            unsafe { libmimalloc_sys::mi_collect(true) };
            given_back = Some(Instant::now());
        }
        std::thread::sleep(LOOK);
    }
}

impl Keeper {
    /// Stops, with the peak so far.
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
            // A panic there lost nothing.
            let _ = thread.join();
        }
    }
}
