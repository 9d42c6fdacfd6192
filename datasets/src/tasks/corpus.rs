//! The corpus that teaches a small model the tasks: solutions to imitate, steps to judge, skill tasks.
//!
//! Head-room for search is planted on purpose: some solutions merge operations or skip hops, some
//! go wrong. Example `i` depends on the configuration and `i` only, and only train problems are
//! used. The mixture follows a first recipe that worked.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::skill_task::{copy, skill_task};
use super::spec::TaskSpec;
use super::stream::draw_from;
use super::task::Task;
use super::words::chance;
use super::worked::SolvedProblem;
use crate::{Problem, Split, keyed_rng};

/// What a corpus is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct CorpusConfig {
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// Tasks with their weights, each at least 0 and their sum above 0; by default `arithmetic` 0.55,
    /// `choice` 0.3, `countdown` 0.15.
    pub tasks: Vec<(TaskSpec, f64)>,
    /// Share of judged prefixes among the examples that are no skill tasks, in [0, 1]; 0.35 by
    /// default.
    pub judged_share: f64,
    /// Share of wrong steps among judged ones, in [0, 1]; 0.5 by default.
    pub judged_wrong_share: f64,
    /// Share of copied words, in [0, 1]; the rest is drawn as if there were none. 0 by default: they
    /// work undiluted, as a corpus of their own (1) before everything else.
    pub copy_share: f64,
    /// Share of skill tasks at the start, in [0, 1]; 0.5 by default. As many of the other examples come
    /// from the lower half of their task's levels: a short curriculum.
    pub drill_share: f64,
    /// Examples in which the share of skill tasks falls by a factor of e, above 0; 40,000 by default.
    pub drill_decay: f64,
    /// Multiplies the probabilities of merging operations (0.35 to 0.65 by kind of word problem); 0
    /// for one operation in every line, 1 by default.
    pub merge_scale: f64,
    /// The same for skipping hops (0.2 to 0.4 by their number), with 0 for a line for every hop.
    pub skip_scale: f64,
    /// Share of solutions with one wrong step that is carried through, in [0, 1]; 0.1 by default.
    pub wrong_share: f64,
}

impl Default for CorpusConfig {
    fn default() -> Self {
        let weights = [(Task::Arithmetic, 0.55), (Task::Choice, 0.3), (Task::Countdown, 0.15)];
        Self {
            seed: 0,
            tasks: weights.map(|(task, weight)| (task.into(), weight)).to_vec(),
            judged_share: 0.35,
            judged_wrong_share: 0.5,
            copy_share: 0.0,
            drill_share: 0.5,
            drill_decay: 40_000.0,
            merge_scale: 1.0,
            skip_scale: 1.0,
            wrong_share: 0.1,
        }
    }
}

/// One example. Steps are lines with their line breaks; the last line of a whole solution,
/// `#### answer`, has none and is followed by the end of the text.
#[derive(Debug, Clone, PartialEq)]
pub enum CorpusExample {
    /// A whole solution to imitate, merged or wrong ones included.
    Solution {
        /// The problem.
        problem: Problem,
        /// All lines.
        steps: Vec<String>,
    },
    /// A prefix whose last step is to be judged.
    Judged {
        /// The problem.
        problem: Problem,
        /// Lines up to and with the judged one; those before it are right.
        steps: Vec<String>,
        /// Whether the last of them is right; for `countdown` a legal step from which the target is
        /// out of reach is not.
        correct: bool,
    },
    /// A small skill, with the same shape as a solution; its problem is in no part of any task.
    SkillTask {
        /// A problem of level 0.
        problem: Problem,
        /// All lines.
        steps: Vec<String>,
    },
}

impl CorpusExample {
    /// The problem.
    #[must_use]
    pub fn problem(&self) -> &Problem {
        match self {
            Self::Solution { problem, .. }
            | Self::Judged { problem, .. }
            | Self::SkillTask { problem, .. } => problem,
        }
    }

    /// The lines.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        match self {
            Self::Solution { steps, .. }
            | Self::Judged { steps, .. }
            | Self::SkillTask { steps, .. } => steps,
        }
    }
}

/// The endless corpus of a configuration; from [`corpus`].
#[derive(Debug, Clone)]
pub struct Corpus {
    config: CorpusConfig,
    next: u64,
}

/// The corpus of this configuration: endless, example `i` a pure function of it and `i`.
#[must_use]
pub fn corpus(config: &CorpusConfig) -> Corpus {
    Corpus { config: config.clone(), next: 0 }
}

impl Corpus {
    /// Example `index`, wherever the iterator stands.
    #[must_use]
    pub fn example(&self, index: u64) -> CorpusExample {
        let config = &self.config;
        let mut rng = keyed_rng(config.seed, &[b"corpus", &index.to_le_bytes()]);
        if chance(&mut rng, config.copy_share) {
            let (problem, steps) = copy(&mut rng);
            return CorpusExample::SkillTask { problem, steps };
        }
        let spec = self.draw_task(&mut rng);
        let early = config.drill_share * (-(index as f64) / config.drill_decay).exp();
        if chance(&mut rng, early) {
            let (problem, steps) = skill_task(&mut rng, spec.task());
            return CorpusExample::SkillTask { problem, steps };
        }
        let spec = if chance(&mut rng, early) { spec.easier() } else { spec };
        let worked = draw_from(&mut rng, spec, Split::Train);
        let problem = worked.problem();
        let scale = match spec.task() {
            Task::Choice => config.skip_scale,
            Task::Arithmetic | Task::Countdown => config.merge_scale,
        };
        if chance(&mut rng, config.judged_share) {
            let (steps, correct) = self.judged(&mut rng, &*worked, scale);
            return CorpusExample::Judged { problem, steps, correct };
        }
        let wrong = chance(&mut rng, config.wrong_share)
            .then(|| worked.solve_wrongly(&mut rng, scale))
            .flatten();
        let steps = wrong.map_or_else(|| worked.solve(&mut rng, scale), |flawed| flawed.steps);
        CorpusExample::Solution { problem, steps }
    }

    /// A prefix and whether its last step is right.
    fn judged(
        &self,
        rng: &mut ChaCha8Rng,
        worked: &dyn SolvedProblem,
        scale: f64,
    ) -> (Vec<String>, bool) {
        if chance(rng, self.config.judged_wrong_share)
            && let Some(mut flawed) = worked.solve_wrongly(rng, scale)
        {
            flawed.steps.truncate(flawed.wrong + 1);
            return (flawed.steps, false);
        }
        let mut steps = worked.solve(rng, scale);
        steps.truncate(rng.random_range(1..=steps.len()));
        (steps, true)
    }

    /// A task by weight.
    fn draw_task(&self, rng: &mut ChaCha8Rng) -> TaskSpec {
        let tasks = &self.config.tasks;
        let mut at = rng.random::<f64>() * tasks.iter().map(|(_, weight)| weight).sum::<f64>();
        for &(spec, weight) in tasks {
            if at < weight {
                return spec;
            }
            at -= weight;
        }
        // Rounding may leave a rest; an empty list means the default task.
        tasks.last().map_or(Task::Arithmetic.into(), |&(spec, _)| spec)
    }
}

impl Iterator for Corpus {
    type Item = CorpusExample;

    fn next(&mut self) -> Option<CorpusExample> {
        let example = self.example(self.next);
        self.next += 1;
        Some(example)
    }
}
