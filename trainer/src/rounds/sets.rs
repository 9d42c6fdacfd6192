//! The problems of a run: training, validation (chooses the best round) and test (measures the result).
//!
//! Problems are assigned to parts by their content ([`regrowth_datasets::split_of`]), so no problem is in two
//! parts, whatever file or format it came from. The problems actually used are checked again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use rand::seq::SliceRandom;
use regrowth_datasets::{
    DataError, Notices, Problem, ProblemSelection, ProblemSources, ReadOptions, Split, keyed_rng,
    overlap, problem_key, split_of,
};
use regrowth_mcts::prompting::examples;
use regrowth_policy::{Exemplar, PromptOptions};
use sha2::{Digest, Sha256};

use super::config::{Objective, RunConfig};
use super::gate;
use crate::artefact::hex;
use crate::stats::Share;
use crate::{TrainError, inputs};

/// Width of a 95 % confidence interval above which a set of problems is reported as small.
const WIDE: f64 = 0.1;

/// The problems of a run.
#[derive(Debug, Clone)]
pub struct ProblemSets {
    /// Problems that are searched and trained on, in the order in which rounds use them.
    pub train: Vec<Problem>,
    /// Validation problems: gate and best round depend on them.
    pub validation: Vec<Problem>,
    /// Test problems.
    pub test: Vec<Problem>,
    /// Few-shot examples of every prompt; none of them is among the problems above.
    pub shots: Arc<[Exemplar]>,
    /// Notices for the user about the problem files.
    pub notices: Vec<String>,
}

impl ProblemSets {
    /// Reads the problems named in `config`.
    ///
    /// # Errors
    /// If a file cannot be read, a part is empty, or two parts share a problem.
    pub fn read(config: &RunConfig) -> Result<Self, TrainError> {
        let sources = ProblemSources::parse(&[&config.problems])?;
        let mut notices = Notices::skipping(config.skip_bad);
        let mut sets = if sources.are_builtin() {
            Self::builtin(config, &sources, &mut notices)?
        } else {
            Self::files(config, &sources, &mut notices)?
        };
        sets.notices = notices.lines();
        let left_out = sets.keep_answered();
        sets.notices.extend(left_out);
        sets.check(config)?;
        if let Some(count) = config.shots.filter(|&count| count > 0) {
            sets.shots = sets.examples(config, count..=count)?.into();
            let shown: BTreeSet<&str> = sets.shots.iter().map(|s| s.question.as_str()).collect();
            sets.train.retain(|problem| !shown.contains(problem.question.as_str()));
        }
        compact(&mut sets.train);
        Ok(sets)
    }

    fn builtin(
        config: &RunConfig,
        sources: &ProblemSources,
        notices: &mut Notices,
    ) -> Result<Self, TrainError> {
        let mut take = |task_split, seed, limit| {
            let selection =
                ProblemSelection { split: None, task_split, task_limit: limit, limit, seed };
            sources.read(ReadOptions::default(), &selection, notices)
        };
        let wanted = config.problems_per_round.saturating_mul(config.rounds as usize);
        let train = take(Split::Train, config.seed, wanted)?;
        let validation = take(Split::Validation, config.test_seed, config.validation_problems)?;
        let test = match &config.test {
            None => take(Split::Test, config.test_seed, config.test_problems)?,
            Some(test) => test_problems(test, config, notices)?,
        };
        Ok(Self { train, validation, test, shots: Arc::default(), notices: Vec::new() })
    }

    /// Splits the problems of files by content. A built-in task among the sources adds as many training
    /// problems as a run may need. If `--test` names other test problems, the files' test part is used for
    /// training.
    fn files(
        config: &RunConfig,
        sources: &ProblemSources,
        notices: &mut Notices,
    ) -> Result<Self, TrainError> {
        let format = inputs::format(config.format.as_deref())?;
        let options = ReadOptions { format, needs_answer: needs_answers(config) };
        let selection = ProblemSelection {
            split: None,
            task_split: Split::Train,
            task_limit: config.problems_per_round.saturating_mul(config.rounds as usize),
            limit: usize::MAX,
            // Not the run's seed: all runs use the same problems, and so the same test problems.
            seed: 0,
        };
        let mut all = sources.read(options, &selection, notices)?;
        all.sort_by_cached_key(problem_key);
        all.dedup_by_key(|p| problem_key(p));
        let part = |split: Split, seed: u64, limit: usize| {
            let of_part = |p: &&Problem| match split_of(p) {
                Split::Test if config.test.is_some() => split == Split::Train,
                own => own == split,
            };
            let mut part: Vec<Problem> = all.iter().filter(of_part).cloned().collect();
            part.shuffle(&mut keyed_rng(seed, &[b"order", split.to_string().as_bytes()]));
            part.truncate(limit);
            part
        };
        Ok(Self {
            train: part(Split::Train, config.seed, usize::MAX),
            validation: part(Split::Validation, config.test_seed, config.validation_problems),
            test: match &config.test {
                Some(test) => test_problems(test, config, notices)?,
                None => part(Split::Test, config.test_seed, config.test_problems),
            },
            shots: Arc::default(),
            notices: Vec::new(),
        })
    }

    /// Removes problems without a reference answer from validation and test. Returns a notice if any were
    /// removed.
    fn keep_answered(&mut self) -> Option<String> {
        let before = self.validation.len() + self.test.len();
        self.validation.retain(Problem::has_reference);
        self.test.retain(Problem::has_reference);
        let left_out = before - self.validation.len() - self.test.len();
        (left_out > 0).then(|| {
            format!(
                "{left_out} validation and test problems have no reference answer and are left out"
            )
        })
    }

    /// Draws few-shot examples from the file that the settings name, otherwise from the training problems.
    ///
    /// # Errors
    /// If the file cannot be read, or there are fewer examples than the lower bound of `count`.
    pub fn examples(
        &self,
        config: &RunConfig,
        count: RangeInclusive<usize>,
    ) -> Result<Vec<Exemplar>, TrainError> {
        let evaluation = [self.validation.as_slice(), &self.test].concat();
        let prompts = config.prompts();
        let pool = match &prompts.shots_from {
            Some(_) => Cow::Owned(prompts.pool(&config.problems, None, 0, config.seed)?),
            None => Cow::Borrowed(&self.train),
        };
        Ok(examples(&pool, &evaluation, count, config.seed)?)
    }

    /// Returns the prompt options of the run: the prompt form and the few-shot examples.
    #[must_use]
    pub fn prompts(&self, config: &RunConfig) -> PromptOptions {
        PromptOptions { form: config.prompt.clone(), shots: self.shots.clone() }
    }

    /// Returns an error if a part is empty or two parts share a problem.
    fn check(&self, config: &RunConfig) -> Result<(), TrainError> {
        let test = config.test.as_deref().unwrap_or(&config.problems);
        let parts = [
            ("train", &self.train, config.problems.as_str(), true),
            ("validation", &self.validation, &config.problems, config.validation_problems > 0),
            ("test", &self.test, test, true),
        ];
        for (name, problems, from, needed) in parts {
            if needed && problems.is_empty() {
                return Err(TrainError::File {
                    path: from.into(),
                    detail: format!(
                        "its {name} part (80 % train, 10 % validation, 10 % test, by content) \
                         holds no problem; give a larger file{}",
                        if name == "test" { ", or another one with --test" } else { "" }
                    ),
                });
            }
        }
        disjoint(("train", &self.train), ("validation", &self.validation))?;
        disjoint(("train", &self.train), ("test", &self.test))?;
        disjoint(("validation", &self.validation), ("test", &self.test))
    }

    /// Returns warnings about sets that are too small for a precise accuracy.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (name, n) in [("validation", self.validation.len()), ("test", self.test.len())] {
            // Half of the answers right: the widest interval for this number of problems.
            let [low, high] = Share::new(n as u64 / 2, n as u64).ci95;
            if n == 0 || high - low <= WIDE {
                continue;
            }
            let wide = 100.0 * (high - low);
            let mut text = format!(
                "warning: only {n} {name} problems ({} to train on): an accuracy on them has a 95 % \
                 interval of up to {wide:.0} points",
                self.train.len()
            );
            if name == "validation" && !gate::can_decide(n) {
                text += &format!(
                    "; below {} they decide nothing: every trained round is kept, the last is best",
                    gate::GATE_MINIMUM
                );
            }
            warnings.push(text);
        }
        warnings
    }

    /// Returns the problems of a round; rounds are counted from 1. If the run needs more problems than there
    /// are, it starts over from the first problem.
    #[must_use]
    pub fn round_problems(&self, round: u32, size: usize) -> Cow<'_, [Problem]> {
        let n = self.train.len();
        let start = (round as usize - 1).saturating_mul(size) % n.max(1);
        match self.train.get(start..start.saturating_add(size)) {
            Some(problems) => Cow::Borrowed(problems),
            None => (0..size.min(n)).map(|i| self.train[(start + i) % n].clone()).collect(),
        }
    }

    /// Returns one hash per part, over its problems and their order. A built-in task has no last training
    /// problem, so only the first round's training problems are hashed.
    #[must_use]
    pub fn digests(&self, config: &RunConfig) -> BTreeMap<String, String> {
        let builtin = ProblemSources::parse(&[&config.problems]).is_ok_and(|s| s.are_builtin());
        let first = if builtin {
            config.problems_per_round.min(self.train.len())
        } else {
            self.train.len()
        };
        let parts = [
            ("train", &self.train[..first]),
            ("validation", &self.validation),
            ("test", &self.test),
        ];
        parts.into_iter().map(|(name, problems)| (name.to_owned(), digest(problems))).collect()
    }
}

/// Frees the spare capacity of the list and its strings, about a third: the list lives as long as the run.
fn compact(problems: &mut Vec<Problem>) {
    for problem in problems.iter_mut() {
        let Problem { id, source, question, answer, solution, .. } = problem;
        [id, source, question, answer].into_iter().for_each(String::shrink_to_fit);
        solution.iter_mut().for_each(String::shrink_to_fit);
    }
    problems.shrink_to_fit();
}

fn digest(problems: &[Problem]) -> String {
    let mut hasher = Sha256::new();
    for problem in problems {
        hasher.update(format!("{} {} {}\n", problem.id, problem_key(problem), problem.answer));
    }
    hex(hasher)
}

/// Whether training problems need a reference answer, because outcomes are rewarded or right solutions are
/// trained on.
fn needs_answers(config: &RunConfig) -> bool {
    config.search.value.oracle || config.objective == Objective::CorrectSolutions
}

/// Reads the problems of the sources that `--test` names.
fn test_problems(
    sources: &str,
    config: &RunConfig,
    notices: &mut Notices,
) -> Result<Vec<Problem>, TrainError> {
    let sources = ProblemSources::parse(&[sources])?;
    let options = ReadOptions { format: None, needs_answer: true };
    let selection = ProblemSelection {
        split: None,
        task_split: Split::Test,
        task_limit: config.test_problems,
        limit: usize::MAX,
        seed: config.test_seed,
    };
    let read = sources.read(options, &selection, notices);
    let mut problems = read.map_err(|error| match error {
        DataError::UnknownFormat { path, detail, .. } => TrainError::File {
            path,
            detail: format!("no known problem format fits the file of --test ({detail})"),
        },
        other => other.into(),
    })?;
    // A mixture must keep its order: every prefix contains the sources in their shares.
    if !sources.are_mixed() {
        problems.shuffle(&mut keyed_rng(config.test_seed, &[b"order", b"test"]));
    }
    problems.truncate(config.test_problems);
    Ok(problems)
}

/// Returns an error if two parts share a problem.
fn disjoint(a: (&str, &[Problem]), b: (&str, &[Problem])) -> Result<(), TrainError> {
    // Only the keys of the second part, the smaller one, are held in memory.
    let shared = overlap(b.1, a.1);
    let Some(&first) = shared.first() else { return Ok(()) };
    Err(TrainError::Setting {
        name: "test",
        detail: format!(
            "{} {} problems are also {} problems, the first with id `{}`; a policy that trained \
             on a problem cannot be measured on it",
            shared.len(),
            a.0,
            b.0,
            a.1[first].id
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_mcts::Preset;

    fn config() -> RunConfig {
        RunConfig {
            rounds: 2,
            problems_per_round: 30,
            validation_problems: 10,
            test_problems: 20,
            ..RunConfig::of(Preset::Builtin)
        }
    }

    /// Writes a file of `count` problems whose questions begin with `name`.
    fn file(dir: &std::path::Path, name: &str, count: usize) -> String {
        let path = dir.join(name);
        let row = |i| format!("{{\"question\": \"{name} {i}?\", \"answer\": {i}}}\n");
        std::fs::write(&path, (0..count).map(row).collect::<String>()).unwrap();
        path.display().to_string()
    }

    #[test]
    fn built_in_parts_have_their_sizes_and_rounds_do_not_meet() {
        let sets = ProblemSets::read(&config()).unwrap();
        assert_eq!((sets.train.len(), sets.validation.len(), sets.test.len()), (60, 10, 20));
        assert!(overlap(&sets.round_problems(1, 30), &sets.round_problems(2, 30)).is_empty());
        let other = ProblemSets::read(&RunConfig { seed: 1, ..config() }).unwrap();
        assert_eq!(other.test, sets.test);
        assert_ne!(other.train, sets.train);
        let (old, new) = (sets.digests(&config()), other.digests(&config()));
        assert!(old["train"] != new["train"] && old["test"] == new["test"]);
        let longer = RunConfig { rounds: 3, ..config() };
        assert_eq!(ProblemSets::read(&longer).unwrap().digests(&longer), old);
    }

    #[test]
    fn worked_examples_are_training_problems_that_are_not_trained_on() {
        let bare = ProblemSets::read(&config()).unwrap();
        let sets = ProblemSets::read(&RunConfig { shots: Some(3), ..config() }).unwrap();
        assert_eq!((sets.shots.len(), sets.train.len()), (3, bare.train.len() - 3));
        let asked = |question: &str, sets: &ProblemSets| {
            sets.train.iter().any(|problem| problem.question == question)
        };
        for shot in sets.shots.iter() {
            assert!(asked(&shot.question, &bare) && !asked(&shot.question, &sets), "{shot:?}");
        }
        assert_eq!((&sets.validation, &sets.test), (&bare.validation, &bare.test));
        assert_eq!(bare.prompts(&config()), PromptOptions::default());
        let many = RunConfig { shots: Some(1000), ..config() };
        let error = ProblemSets::read(&many).unwrap_err().to_string();
        assert!(error.contains("--shots 1000") && error.contains("--shots-from"), "{error}");
    }

    #[test]
    fn a_small_file_is_taken_again_from_the_start() {
        let mut sets = ProblemSets::read(&config()).unwrap();
        sets.train.truncate(5);
        assert_eq!(sets.round_problems(1, 30).len(), 5);
        let problems = sets.round_problems(2, 4);
        let ids: Vec<&str> = problems.iter().map(|p| p.id.as_str()).collect();
        let wanted: Vec<&str> = [4, 0, 1, 2].iter().map(|&i| sets.train[i].id.as_str()).collect();
        assert_eq!(ids, wanted);
    }

    #[test]
    fn a_test_file_that_shares_a_problem_is_refused_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evaluation.jsonl");
        let taught = &ProblemSets::read(&config()).unwrap().train[3];
        // Other format, spacing and id: still the same problem.
        let row = serde_json::json!({
            "question": taught.question.replace(' ', "  "), "answer": taught.answer,
        });
        std::fs::write(&path, format!("{row}\n")).unwrap();
        let test = Some(path.to_string_lossy().into_owned());
        let error = ProblemSets::read(&RunConfig { test, ..config() }).unwrap_err().to_string();
        assert!(error.contains("train problems are also test problems"), "{error}");
    }

    #[test]
    fn test_problems_come_from_several_files_and_tasks() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, count: usize| file(dir.path(), name, count);
        let (a, b) = (file("a", 8), file("b", 8));
        let read = |test: String| {
            ProblemSets::read(&RunConfig { test: Some(test), ..config() }).unwrap().test
        };
        let count = |test: &[Problem], name: &str| {
            test.iter().filter(|problem| problem.question.starts_with(name)).count()
        };
        let both = read(format!("{a},{b}"));
        assert_eq!((both.len(), count(&both, "a"), count(&both, "b")), (16, 8, 8));
        let shares = read(format!("{a}:3,{b}:1"));
        assert_eq!((count(&shares, "a"), count(&shares, "b")), (8, 2));
        let task = read(format!("{a},builtin:countdown"));
        // As many problems as requested, from the file and the task together.
        assert_eq!(task.len(), 20);
    }

    #[test]
    fn the_test_part_is_trained_on_where_other_files_hold_the_test_problems() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, count: usize| file(dir.path(), name, count);
        let (problems, test) = (file("a", 200), file("b", 8));
        let alone = RunConfig { problems, validation_problems: 200, ..config() };
        let (without, with) = (
            ProblemSets::read(&RunConfig { test_problems: 200, ..alone.clone() }).unwrap(),
            ProblemSets::read(&RunConfig { test: Some(test), ..alone }).unwrap(),
        );
        assert_eq!(without.train.len() + without.validation.len() + without.test.len(), 200);
        assert_eq!(with.train.len(), without.train.len() + without.test.len());
        assert_eq!((with.validation, with.test.len()), (without.validation, 8));
    }

    #[test]
    fn a_file_without_a_test_part_is_refused_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("few.jsonl");
        std::fs::write(&path, "{\"question\": \"1 + 1?\", \"answer\": \"2\"}\n").unwrap();
        let problems = path.to_string_lossy().into_owned();
        let error = ProblemSets::read(&RunConfig { problems, ..config() }).unwrap_err().to_string();
        assert!(error.contains("few.jsonl") && error.contains("larger file"), "{error}");
    }
}
