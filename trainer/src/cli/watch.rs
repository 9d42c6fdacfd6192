//! Shows the progress of a run: the current phase, and when the phase and the run will end.
//!
//! The remaining time is estimated from earlier phases: each kind of phase takes as long as last time, per
//! problem or per round. Until every kind of phase has been seen, the time of the run is shown as a lower
//! bound.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use regrowth_mcts::console::{Bound, Monitor, Phase, Remaining, Work, log};
use regrowth_policy::decorate::Meter;

use super::progress;
use crate::rounds::{Observer, RoundReport, RunConfig};
use crate::train;

/// The phases of a round in order.
const ROUND: [&str; 4] = ["search", "train", "validate", "kl"];

/// Remaining work of a run.
#[derive(Debug, Clone)]
struct Ahead {
    rounds: u32,
    /// Number of problems of each phase of a round; 1 for a phase that is counted as a unit.
    sizes: [f64; 4],
    tests: f64,
    /// Seconds per problem (or per phase that is counted as a unit); `None` if not seen yet.
    costs: [Option<f64>; 4],
}

impl Ahead {
    fn new(config: &RunConfig) -> Self {
        let size = |n: usize| n as f64;
        let sampled = config.kl_problems.min(config.validation_problems);
        let validation = size(config.validation_problems);
        let sizes =
            [size(config.problems_per_round), 1.0, validation, f64::from(u8::from(sampled > 0))];
        let costs = sizes.map(|size| (size == 0.0).then_some(0.0));
        Self { rounds: config.rounds, sizes, tests: size(config.test_problems), costs }
    }

    /// Records the time of a phase; `seconds` is for all of its problems.
    fn learn(&mut self, phase: &str, seconds: f64, problems: f64) {
        let kind = if phase == "test" { "validate" } else { phase };
        if let Some(kind) = ROUND.iter().position(|name| *name == kind) {
            let by = if matches!(kind, 0 | 2) { problems } else { 1.0 };
            if by > 0.0 {
                self.costs[kind] = Some(seconds / by);
            }
        }
    }

    /// Returns the work after a phase.
    fn behind(&self, round: u32, phase: &str) -> Remaining {
        let mut left = Remaining { seconds: 0.0, bound: Bound::About };
        let mut add = |kind: usize, problems: f64| match self.costs[kind] {
            Some(cost) => left.seconds += cost * problems,
            None => left.bound = Bound::AtLeast,
        };
        let tests =
            if phase == "test" { self.rounds.saturating_sub(round) } else { self.rounds + 1 };
        if phase != "test" {
            let at = ROUND.iter().position(|name| *name == phase).unwrap_or(0);
            let rest = if round == 0 { ROUND.len() } else { at + 1 };
            (rest..ROUND.len()).for_each(|kind| add(kind, self.sizes[kind]));
            let rounds = f64::from(self.rounds.saturating_sub(round));
            (0..ROUND.len()).for_each(|kind| add(kind, rounds * self.sizes[kind]));
        }
        add(2, self.tests * f64::from(tests));
        left
    }
}

/// Shows the progress of a run.
pub(super) struct Watcher {
    progress: Monitor,
    ahead: Ahead,
    /// Name, number of problems and start of the current phase; `None` if an earlier process did a part of
    /// it.
    phase: Option<(String, f64, Instant)>,
}

impl Watcher {
    pub(super) fn new(config: &RunConfig, meter: Arc<Meter>) -> Self {
        let progress = Monitor::new(meter);
        let name = format!("loading {} and {}", config.policy, config.problems);
        progress.begin(Phase { name, ..Phase::default() });
        Self { progress, ahead: Ahead::new(config), phase: None }
    }

    /// Marks the run as finished; its result is printed from the report.
    pub(super) fn finished(&self) {
        self.progress.finished();
    }
}

impl Observer for Watcher {
    fn holds(&mut self, run: &Path) {
        self.progress.keep_in(run.to_owned());
    }

    fn begin(&mut self, round: u32, phase: &'static str, total: usize, work: Work) {
        self.end();
        let problems = total.max(1) as f64;
        self.phase = Some((phase.to_owned(), problems, Instant::now()));
        let ahead = self.ahead.clone();
        let rest = move |seconds: f64| {
            let mut ahead = ahead.clone();
            ahead.learn(phase, seconds, problems);
            ahead.behind(round, phase)
        };
        let unit = match phase {
            "search" => "trees",
            "train" => "steps",
            _ => "problems",
        };
        self.progress.begin(Phase {
            name: format!("round {round} {phase}"),
            unit,
            total: total as u64,
            work,
            rest: Some(Box::new(rest)),
        });
    }

    fn skip(&mut self, done: usize) {
        self.progress.skip(done as u64);
        if done > 0 {
            self.phase = None;
        }
    }

    fn advance(&mut self, work: u64, message: String) {
        self.progress.advance(work, message);
    }

    fn step(&mut self, step: &train::StepProgress) {
        progress::step(&self.progress, step);
    }

    fn end(&mut self) {
        self.progress.end();
        if let Some((phase, problems, started)) = self.phase.take() {
            self.ahead.learn(&phase, started.elapsed().as_secs_f64(), problems);
        }
    }

    fn log(&mut self, text: &str) {
        log(text);
    }

    fn round(&mut self, report: &RoundReport) {
        let seconds = report.seconds;
        // Times of phases that an earlier process ran.
        for (kind, seconds, problems) in [
            (0, seconds.search, report.problems as f64),
            (1, seconds.train, 1.0),
            (2, seconds.validate, report.validation.share.n as f64),
            (3, seconds.kl, 1.0),
        ] {
            let seen = report.round > 0 || kind == 2;
            if self.ahead.costs[kind].is_none() && seen && problems > 0.0 {
                self.ahead.costs[kind] = Some(seconds / problems);
            }
        }
        let gate = match &report.gate {
            Some(gate) if !gate.accepted => format!(", kept round {}", gate.start_round),
            _ => String::new(),
        };
        self.log(&format!(
            "round {}: validation {}, {} trees, {} pairs{gate} ({})",
            report.round,
            report.validation.share,
            report.trees,
            report.pairs,
            regrowth_mcts::console::duration(report.seconds.total()),
        ));
        let answers = [report.statistics.unanswered, report.validation.unanswered()];
        let warnings = answers.iter().flat_map(|a| a.warnings("`search.max_solution_tokens`"));
        warnings.for_each(|warning| self.log(&warning));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_mcts::Preset;

    #[test]
    fn the_rest_of_a_run_is_a_bound_until_every_kind_of_phase_was_seen() {
        let config = RunConfig {
            rounds: 2,
            problems_per_round: 100,
            validation_problems: 50,
            test_problems: 200,
            kl_problems: 0,
            ..RunConfig::of(Preset::Builtin)
        };
        let mut ahead = Ahead::new(&config);
        ahead.learn("validate", 25.0, 50.0);
        let left = |ahead: &Ahead, round, phase| {
            let left = ahead.behind(round, phase);
            (left.seconds, left.bound)
        };
        // Two validations of 50 problems and three test evaluations of 200, at half a second per problem.
        assert_eq!(left(&ahead, 0, "validate"), (350.0, Bound::AtLeast));
        ahead.learn("search", 400.0, 100.0);
        assert_eq!(left(&ahead, 1, "search"), (750.0, Bound::AtLeast));
        ahead.learn("train", 60.0, 1.0);
        // Training and validation of round 1, all of round 2, and the test evaluations.
        assert_eq!(left(&ahead, 1, "search"), (870.0, Bound::About));
        assert_eq!(left(&ahead, 2, "validate"), (300.0, Bound::About));
        assert_eq!(left(&ahead, 1, "test"), (100.0, Bound::About));
    }
}
