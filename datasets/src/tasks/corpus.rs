//! The training corpus for a small model of the tasks: solutions to imitate, steps to judge, skill tasks.
//!
//! The corpus deliberately leaves head-room for search: some solutions merge operations or skip hops,
//! some go wrong. Example `i` depends only on the configuration and `i`, and only train problems are
//! used. The mixture follows the first recipe that worked.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::skill_task::{copy, skill_task};
use super::spec::TaskSpec;
use super::stream::draw_from;
use super::task::Task;
use super::words::chance;
use super::worked::SolvedProblem;
use crate::{Problem, Split, keyed_rng};

/// Composition of a corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct CorpusConfig {
    /// Seed of all random draws.
    pub seed: u64,
    /// Tasks with their weights, each at least 0 and their sum above 0; by default `arithmetic` 0.55,
    /// `choice` 0.3, `countdown` 0.15.
    pub tasks: Vec<(TaskSpec, f64)>,
    /// Share of judged prefixes among the examples that are not skill tasks, in [0, 1]; 0.35 by default.
    pub judged_share: f64,
    /// Share of wrong steps among judged ones, in [0, 1]; 0.5 by default.
    pub judged_wrong_share: f64,
    /// Share of copied words, in [0, 1]; the other examples are drawn independently of it. 0 by default:
    /// copying is learnt from a corpus of copying alone (1), before everything else.
    pub copy_share: f64,
    /// Share of skill tasks at the start, in [0, 1]; 0.5 by default. The same share of the other examples
    /// comes from the lower half of their task's levels: a short curriculum.
    pub drill_share: f64,
    /// Number of examples in which the share of skill tasks falls by a factor of e, above 0; 40,000 by
    /// default.
    pub drill_decay: f64,
    /// Multiplies the probabilities of merging operations (0.35 to 0.65 by kind of word problem); 0 for
    /// one operation per line, 1 by default.
    pub merge_scale: f64,
    /// Multiplies the probabilities of skipping hops (0.2 to 0.4 by their number); 0 for a line per hop,
    /// 1 by default.
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

/// One example. Steps are lines with their line breaks. The last line of a complete solution,
/// `#### answer`, has no line break and is followed by the end of the text.
#[derive(Debug, Clone, PartialEq)]
pub enum CorpusExample {
    /// A complete solution to imitate, possibly merged or wrong.
    Solution {
        /// The problem.
        problem: Problem,
        /// All lines.
        steps: Vec<String>,
    },
    /// A prefix whose last step is judged.
    Judged {
        /// The problem.
        problem: Problem,
        /// Lines up to and including the judged one; the lines before it are right.
        steps: Vec<String>,
        /// Whether the last line is right. In `countdown`, a legal step after which the target cannot be
        /// reached is wrong.
        correct: bool,
    },
    /// A small skill, in the same form as a solution; its problem belongs to no split of any task.
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

/// The endless corpus of a configuration, made by [`corpus`].
#[derive(Debug, Clone)]
pub struct Corpus {
    config: CorpusConfig,
    next: u64,
}

/// Makes the corpus of this configuration. It is endless; example `i` is a pure function of the
/// configuration and `i`.
#[must_use]
pub fn corpus(config: &CorpusConfig) -> Corpus {
    Corpus { config: config.clone(), next: 0 }
}

impl Corpus {
    /// Example `index`, independent of the position of the iterator.
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

    /// Draws a task by weight.
    fn draw_task(&self, rng: &mut ChaCha8Rng) -> TaskSpec {
        let tasks = &self.config.tasks;
        let mut at = rng.random::<f64>() * tasks.iter().map(|(_, weight)| weight).sum::<f64>();
        for &(spec, weight) in tasks {
            if at < weight {
                return spec;
            }
            at -= weight;
        }
        // Rounding may leave a remainder; an empty list means the default task.
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
