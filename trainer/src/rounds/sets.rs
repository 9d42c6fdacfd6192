//! Which problems are trained on, which choose the best round, and which measure it.
//!
//! Parts go by content ([`regrowth_datasets::split_of`]), so a problem of one part is in no other,
//! whatever file or format it came from; this is checked again on what is really used.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use rand::seq::SliceRandom;
use regrowth_datasets::{
    DataError, Problem, Split, keyed_rng, overlap, problem_key, read_problems,
};

use sha2::{Digest, Sha256};

use super::config::RunConfig;
use crate::artefact::hex;
use crate::{TrainError, inputs};

/// The problems of a run.
#[derive(Debug, Clone)]
pub struct ProblemSets {
    /// Searched and trained on, in the order in which rounds take them.
    pub train: Vec<Problem>,
    /// Decide about rounds.
    pub validation: Vec<Problem>,
    /// Measure the result.
    pub test: Vec<Problem>,
}

impl ProblemSets {
    /// The problems that `config` names.
    ///
    /// # Errors
    /// When a file cannot be read, a part is empty, or two parts share a problem.
    pub fn read(config: &RunConfig) -> Result<Self, TrainError> {
        let mut sets = if inputs::is_builtin(&config.problems) {
            Self::builtin(config)?
        } else {
            Self::file(config)?
        };
        sets.check(config)?;
        compact(&mut sets.train);
        Ok(sets)
    }

    fn builtin(config: &RunConfig) -> Result<Self, TrainError> {
        let take =
            |split, seed, limit| inputs::problems(&config.problems, None, Some(split), seed, limit);
        let wanted = config.problems_per_round.saturating_mul(config.rounds as usize);
        Ok(Self {
            train: take(Split::Train, config.seed, wanted)?,
            validation: take(Split::Validation, config.exam_seed, config.validation_problems)?,
            test: match &config.eval {
                Some(eval) => test_file(eval, config)?,
                None => take(Split::Test, config.exam_seed, config.eval_problems)?,
            },
        })
    }

    fn file(config: &RunConfig) -> Result<Self, TrainError> {
        let format = inputs::format(config.format.as_deref())?;
        let mut all = inputs::problems(&config.problems, format, None, 0, usize::MAX)?;
        all.sort_by_cached_key(problem_key);
        all.dedup_by_key(|p| problem_key(p));
        let part = |split: Split, seed: u64, limit: usize| {
            let of_part = |p: &&Problem| regrowth_datasets::split_of(p) == split;
            let mut part: Vec<Problem> = all.iter().filter(of_part).cloned().collect();
            part.shuffle(&mut keyed_rng(seed, &[b"order", split.to_string().as_bytes()]));
            part.truncate(limit);
            part
        };
        Ok(Self {
            train: part(Split::Train, config.seed, usize::MAX),
            validation: part(Split::Validation, config.exam_seed, config.validation_problems),
            test: match &config.eval {
                Some(eval) => test_file(eval, config)?,
                None => part(Split::Test, config.exam_seed, config.eval_problems),
            },
        })
    }

    /// Refuses empty parts and parts that share a problem.
    fn check(&self, config: &RunConfig) -> Result<(), TrainError> {
        let test = config.eval.as_deref().unwrap_or(&config.problems);
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
                        if name == "test" { ", or another one with --eval" } else { "" }
                    ),
                });
            }
        }
        disjoint(("train", &self.train), ("validation", &self.validation))?;
        disjoint(("train", &self.train), ("test", &self.test))?;
        disjoint(("validation", &self.validation), ("test", &self.test))
    }

    /// The problems of a round, from 1. Where there are fewer than all rounds ask for, they are
    /// taken again from the start.
    #[must_use]
    pub fn shard(&self, round: u32, size: usize) -> Cow<'_, [Problem]> {
        let n = self.train.len();
        let start = (round as usize - 1).saturating_mul(size) % n.max(1);
        match self.train.get(start..start.saturating_add(size)) {
            Some(problems) => Cow::Borrowed(problems),
            None => (0..size.min(n)).map(|i| self.train[(start + i) % n].clone()).collect(),
        }
    }

    /// One hash for each part over what is asked and in which order. Of a built-in task, whose
    /// training problems have no end, the first round's stand for all.
    #[must_use]
    pub fn digests(&self, config: &RunConfig) -> BTreeMap<String, String> {
        let first = if inputs::is_builtin(&config.problems) {
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

/// Gives back what texts and list reserved to grow, about a third: the list lives as long as a run.
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

/// The problems of the file that `--eval` names.
fn test_file(path: &str, config: &RunConfig) -> Result<Vec<Problem>, TrainError> {
    let mut problems = read_problems(Path::new(path), None).map_err(|error| match error {
        DataError::UnknownFormat { path, detail, .. } => TrainError::File {
            path,
            detail: format!("no known problem format fits the file of --eval ({detail})"),
        },
        other => other.into(),
    })?;
    problems.shuffle(&mut keyed_rng(config.exam_seed, &[b"order", b"test"]));
    problems.truncate(config.eval_problems);
    Ok(problems)
}

/// Refuses two parts that share a problem.
fn disjoint(a: (&str, &[Problem]), b: (&str, &[Problem])) -> Result<(), TrainError> {
    // The keys of the second part, which is the smaller one, are held in memory.
    let shared = overlap(b.1, a.1);
    let Some(&first) = shared.first() else { return Ok(()) };
    Err(TrainError::Setting {
        name: "eval",
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
    use crate::rounds::Preset;

    fn config() -> RunConfig {
        RunConfig {
            rounds: 2,
            problems_per_round: 30,
            validation_problems: 10,
            eval_problems: 20,
            ..Preset::Builtin.config()
        }
    }

    #[test]
    fn built_in_parts_have_their_sizes_and_rounds_do_not_meet() {
        let sets = ProblemSets::read(&config()).unwrap();
        assert_eq!((sets.train.len(), sets.validation.len(), sets.test.len()), (60, 10, 20));
        assert!(overlap(&sets.shard(1, 30), &sets.shard(2, 30)).is_empty());
        let other = ProblemSets::read(&RunConfig { seed: 1, ..config() }).unwrap();
        assert_eq!(other.test, sets.test);
        assert_ne!(other.train, sets.train);
        let (old, new) = (sets.digests(&config()), other.digests(&config()));
        assert!(old["train"] != new["train"] && old["test"] == new["test"]);
        let longer = RunConfig { rounds: 3, ..config() };
        assert_eq!(ProblemSets::read(&longer).unwrap().digests(&longer), old);
    }

    #[test]
    fn a_small_file_is_taken_again_from_the_start() {
        let mut sets = ProblemSets::read(&config()).unwrap();
        sets.train.truncate(5);
        assert_eq!(sets.shard(1, 30).len(), 5);
        let shard = sets.shard(2, 4);
        let ids: Vec<&str> = shard.iter().map(|p| p.id.as_str()).collect();
        let wanted: Vec<&str> = [4, 0, 1, 2].iter().map(|&i| sets.train[i].id.as_str()).collect();
        assert_eq!(ids, wanted);
    }

    #[test]
    fn a_test_file_that_shares_a_problem_is_refused_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exam.jsonl");
        let taught = &ProblemSets::read(&config()).unwrap().train[3];
        // Another format, other spacing and another id: still the same problem.
        let row = serde_json::json!({
            "question": taught.question.replace(' ', "  "), "answer": taught.answer,
        });
        std::fs::write(&path, format!("{row}\n")).unwrap();
        let eval = Some(path.to_string_lossy().into_owned());
        let error = ProblemSets::read(&RunConfig { eval, ..config() }).unwrap_err().to_string();
        assert!(error.contains("train problems are also test problems"), "{error}");
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
