//! A comparison uses at most 4 MiB, measured by a counting allocator over every table of cases and the
//! hostile inputs, and over the development set if its folder is given.
//!
//! Only memory beyond the level before the comparison is counted, so inputs are not included. The tests
//! of this program take turns, because the memory of a concurrent test would be counted too.

#![allow(unsafe_code, reason = "a counting allocator cannot be written without it")]

#[path = "it/hostile_inputs.rs"]
mod hostile_inputs;
#[path = "it/published.rs"]
mod published;
#[path = "it/table.rs"]
mod table;

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use regrowth_verifiers::{Form, Grader, Pair};

/// Maximum number of bytes that one comparison may hold at its peak.
const LIMIT: usize = 4 << 20;

/// Counts the memory allocated from the system's allocator.
struct Counting;

// Relaxed: only one thread compares; no other memory access is ordered by the counters.
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator with the caller's own arguments; the counters
// neither read nor keep the pointers.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes held at the peak of `work` above the level before it.
fn peak(work: impl FnOnce()) -> usize {
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed).saturating_sub(before)
}

/// The largest peak, and the name of the comparison that caused it.
#[derive(Default)]
struct Worst {
    bytes: usize,
    name: String,
}

impl Worst {
    fn note(&mut self, name: &str, bytes: usize) {
        if bytes > self.bytes {
            *self = Self { bytes, name: name.to_owned() };
        }
    }
}

fn cases(worst: &mut Worst) {
    let tables = table::tables(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"));
    for (name, rows) in &tables {
        graded(name, rows, worst);
    }
}

fn graded(name: &str, rows: &[table::Row], worst: &mut Worst) {
    for row in rows {
        let bytes = peak(|| drop(row.grade()));
        worst.note(&format!("{name}: {}", row.gold), bytes);
    }
}

fn hostile(worst: &mut Worst) {
    let grader = Grader::default();
    for (name, text) in hostile_inputs::all() {
        let other = format!("{text} + 1");
        for (gold, answer) in
            [("x^2+\\sqrt{424243}", &*text), (&*text, "(1,2)\\cup(3,4)"), (&*text, &*other)]
        {
            for form in [Form::Answer, Form::Text] {
                let pair = Pair { gold_form: form, answer_form: form, ..Pair::new(gold, answer) };
                worst.note(name, peak(|| drop(grader.grade(&pair))));
            }
        }
    }
}

/// Locked by the test that is running.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn a_comparison_holds_at_most_four_mebibytes() {
    let _turn = TURN.lock();
    let (mut usual, mut worst) = (Worst::default(), Worst::default());
    cases(&mut usual);
    hostile(&mut worst);
    eprintln!("cases: {} KiB at most ({})", usual.bytes >> 10, usual.name);
    eprintln!("hostile inputs: {} KiB at most ({})", worst.bytes >> 10, worst.name);
    assert!(usual.bytes > 0, "nothing was counted");
    assert!(usual.bytes.max(worst.bytes) <= LIMIT);
}

#[test]
#[ignore = "needs the published sets: benches/scripts/outside_data.sh FOLDER"]
fn a_comparison_of_the_development_set_holds_no_more() {
    let _turn = TURN.lock();
    let mut worst = Worst::default();
    let rows = table::rows(&published::published("verifier_cases/dev.jsonl"));
    graded("development set", &rows, &mut worst);
    eprintln!("development set: {} KiB at most ({})", worst.bytes >> 10, worst.name);
    assert!(worst.bytes > 0, "nothing was counted");
    assert!(worst.bytes <= LIMIT);
}
