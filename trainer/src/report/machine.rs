//! Machine, times and memory of a run, from measurements in its files.

use serde::Serialize;

use super::sources::{RoundSources, Sources};
use super::table::{Group, Row};
use super::words::{bytes, counted, duration};
use crate::rounds::Machine;

/// A name and its value for this run.
#[derive(Debug, Serialize)]
pub(super) struct Fact {
    name: &'static str,
    value: String,
}

/// Machine and times of the run. Values that older versions did not record are left out.
pub(super) fn facts(sources: &Sources) -> Vec<Fact> {
    let machines: Vec<&Machine> =
        sources.rounds.iter().map(|round| &round.machine).filter(|m| m.cores > 0).collect();
    let mut processors: Vec<String> = machines.iter().map(|m| in_words(m)).collect();
    processors.dedup();
    let peak = machines.iter().filter_map(|m| m.peak_memory).max();
    let planned = machines.iter().filter_map(|m| m.planned_memory).max();
    let facts = [
        ("Started", sources.started.clone()),
        ("Test problems answered", sources.finished.clone()),
        ("Time of all phases", Some(duration(sources.report.total_seconds()))),
        ("Machine", Some(machine(&processors))),
        ("Peak memory of the process", peak.map(bytes)),
        ("Planned for training", planned.map(|n| format!("at most {}", bytes(n)))),
    ];
    facts.into_iter().filter_map(|(name, value)| Some(Fact { name, value: value? })).collect()
}

/// The last machine and the peak memory in a sentence; `None` if the run did not record them.
pub(super) fn in_short(sources: &Sources) -> Option<String> {
    let machines = || sources.rounds.iter().map(|round| &round.machine).filter(|m| m.cores > 0);
    let machine = in_words(machines().next_back()?);
    let peak = machines().filter_map(|m| m.peak_memory).max();
    let peak = peak.map(|n| format!("; the process held {} at most", bytes(n)));
    Some(format!("Machine: {machine}{}.", peak.unwrap_or_default()))
}

/// The machines in order; runs of older versions did not record them.
fn machine(processors: &[String]) -> String {
    match processors {
        [] => "not noted, nor its memory: the run is of an older version".to_owned(),
        found => found.join("; then "),
    }
}

fn in_words(machine: &Machine) -> String {
    let processor = machine.processor.as_deref().unwrap_or("a processor without a name");
    let cores = counted(machine.cores as u64, "core");
    format!("{processor}, {cores}, {} used", counted(machine.threads as u64, "thread"))
}

/// Memory by round.
pub(super) fn memory(sources: &Sources) -> Group {
    let row = |name: &str, meaning, of: fn(&Machine) -> Option<u64>| Row {
        name: name.to_owned(),
        meaning,
        cells: sources
            .by_round(|round: &RoundSources| of(&round.machine).map(bytes).unwrap_or_default()),
    };
    let rows = vec![
        row("peak of the process", "up to the end of the round's training", |m| m.peak_memory),
        row("planned for training", "at most, above what the process held before", |m| {
            m.planned_memory
        }),
    ];
    let told = |row: &Row| row.cells.iter().any(|cell| !cell.is_empty());
    Group { name: "Memory", rows: rows.into_iter().filter(told).collect() }
}
