//! Flags of both binaries for the prompt format, and the selection of a prompt's worked examples.
//!
//! Examples come from training problems with a worked solution, in an order determined by the seed, and are
//! never among the problems to be solved. The policy implements the prompt formats.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use rand::seq::SliceRandom;
use regrowth_datasets::{
    DataError, Format, Notices, Problem, ProblemSelection, ProblemSources, ReadOptions, Split,
    keyed_rng, problem_key, read_problems, split_of,
};
use regrowth_policy::{Exemplar, PolicyError, PromptName, PromptOptions, wants_shots};
use serde::{Deserialize, Serialize};

/// Number of examples for a model without a chat template, if there are that many (our choice: the literature
/// uses 4 to 8, and 4 cost the fewest tokens).
const DEFAULT_SHOTS: usize = 4;
/// Number of problems of a built-in task, after the problems to be solved, from which examples are drawn.
const BUILTIN_POOL: usize = 256;

/// Prompt format of the problems. Missing fields take their defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Policy and problems")]
pub struct PromptFlags {
    /// Prompt format: boxed, gsm8k, choice, plain, or a FILE with a template (docs/prompts.md) [default: the
    /// checkpoint's own; for a chat model boxed, or choice for multiple choice; else gsm8k]
    #[arg(long, value_name = "FORM|FILE", hide = true)]
    pub prompt: Option<PromptName>,
    /// Number of worked examples before each question, from training problems other than those to solve
    /// [default: 4 for a model without a chat template if there are some, else 0]
    #[arg(long, value_name = "N", hide = true)]
    pub shots: Option<usize>,
    /// File of problems with worked solutions; the examples are drawn from its training part [default: the
    /// file of --problems]
    #[arg(long, value_name = "FILE", hide = true)]
    pub shots_from: Option<PathBuf>,
}

impl PromptFlags {
    /// These flags; absent ones are taken from the settings file `file`.
    #[must_use]
    pub fn over(&self, file: &Self) -> Self {
        let (own, file) = (self.clone(), file.clone());
        Self {
            prompt: own.prompt.or(file.prompt),
            shots: own.shots.or(file.shots),
            shots_from: own.shots_from.or(file.shots_from),
        }
    }

    /// Default number of examples for the policy `spec`, if there are that many.
    ///
    /// # Errors
    /// If the checkpoint cannot be inspected.
    pub fn default_shots(&self, spec: &str) -> Result<usize, PolicyError> {
        Ok(if wants_shots(spec, self.prompt.as_ref())? { DEFAULT_SHOTS } else { 0 })
    }

    /// Prompt format and examples for the policy `spec` and the problems `asked`, which come from the file or
    /// task `problems`.
    ///
    /// # Errors
    /// If a file cannot be read, or if fewer problems with a worked solution are left than `--shots`
    /// requests.
    pub fn options<E: From<DataError> + From<PolicyError>>(
        &self,
        spec: &str,
        (problems, format): (&str, Option<Format>),
        asked: &[Problem],
        seed: u64,
    ) -> Result<PromptOptions, E> {
        let wanted = self.shots.map_or_else(|| self.default_shots(spec), Ok)?;
        let mut shots = vec![];
        if wanted > 0 {
            let pool = self.pool(problems, format, asked.len(), seed)?;
            // By default, use as many as there are.
            let least = self.shots.map_or(0, |_| wanted);
            shots = examples(&pool, asked, least..=wanted, seed)?;
        }
        Ok(PromptOptions { form: self.prompt.clone(), shots: shots.into() })
    }

    /// Problems that examples may be drawn from: the training part of a file, or the problems of a built-in
    /// task after those to be solved.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn pool(
        &self,
        problems: &str,
        format: Option<Format>,
        asked: usize,
        seed: u64,
    ) -> Result<Vec<Problem>, DataError> {
        if let Some(path) = &self.shots_from {
            let mut pool = read_problems(path, None)?;
            pool.retain(|problem| split_of(problem) == Split::Train);
            return Ok(pool);
        }
        let selection = ProblemSelection {
            split: Some(Split::Train),
            task_split: Split::Train,
            task_limit: asked + BUILTIN_POOL,
            limit: usize::MAX,
            seed,
        };
        let options = ReadOptions { format, needs_answer: false };
        // Faults of the files were already reported when the problems to solve were read.
        let mut notices = Notices::skipping(usize::MAX);
        ProblemSources::parse(&[problems])?.read(options, &selection, &mut notices)
    }
}

/// Worked examples from `pool` that are not among `asked`: as many as there are, up to the end of `count`.
/// The selection depends on `seed` and on the content of the pool, not on its order.
///
/// # Errors
/// [`PolicyError::Prompt`] if there are fewer than the start of `count`.
pub fn examples(
    pool: &[Problem],
    asked: &[Problem],
    count: RangeInclusive<usize>,
    seed: u64,
) -> Result<Vec<Exemplar>, PolicyError> {
    let solved = pool.iter().filter_map(|p| Some((problem_key(p), Exemplar::of(p)?)));
    let mut found: Vec<(String, Exemplar)> = solved.collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    // Remove the problems to solve after shuffling, so that a change of these problems changes the examples
    // as little as possible.
    found.shuffle(&mut keyed_rng(seed, &[b"shots"]));
    let asked: BTreeSet<String> = asked.iter().map(problem_key).collect();
    found.retain(|(key, _)| !asked.contains(key));
    if found.len() < *count.start() {
        return Err(PolicyError::Prompt(format!(
            "--shots {}: {} training problems have a worked solution and are not asked themselves; \
             name a file with more by --shots-from, or ask for fewer",
            count.start(),
            found.len()
        )));
    }
    found.truncate(*count.end());
    Ok(found.into_iter().map(|(_, shot)| shot).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::{AnswerKind, overlap};

    fn problem(number: usize, solution: Option<&str>) -> Problem {
        Problem {
            id: number.to_string(),
            source: "test".into(),
            question: format!("What is {number} + 1?"),
            choices: vec![],
            answer: (number + 1).to_string(),
            kind: AnswerKind::Number,
            solution: solution.map(str::to_owned),
            level: None,
        }
    }

    #[test]
    fn examples_are_solved_unasked_and_decided_by_the_seed_alone() {
        let mut pool: Vec<Problem> =
            (0..40).map(|i| problem(i, (i % 2 == 0).then_some("One more."))).collect();
        let asked: Vec<Problem> = (0..10).map(|i| problem(i, Some("One more."))).collect();
        let chosen = |pool: &[Problem], seed| examples(pool, &asked, 8..=8, seed).unwrap();
        let first = chosen(&pool, 0);
        let shown: Vec<Problem> = first
            .iter()
            .map(|s| Problem { question: s.question.clone(), ..problem(0, None) })
            .collect();
        assert!(overlap(&asked, &shown).is_empty() && first.len() == 8);
        assert!(first.iter().all(|shot| shot.solution == "One more."));
        assert_ne!(chosen(&pool, 1), first);
        pool.reverse();
        pool.push(pool[3].clone());
        assert_eq!(chosen(&pool, 0), first);
        // A smaller number selects the first of them.
        assert_eq!(examples(&pool, &asked, 0..=3, 0).unwrap(), first[..3]);
        // The examples do not depend on which other problems are to be solved.
        let more: Vec<Problem> = (10..14).map(|i| problem(i, None)).chain(asked.clone()).collect();
        let shown: Vec<String> = more.iter().map(|p| p.question.clone()).collect();
        let rest: Vec<&Exemplar> = first.iter().filter(|s| !shown.contains(&s.question)).collect();
        let fewer = examples(&pool, &more, 8..=8, 0).unwrap();
        assert!(fewer.iter().zip(rest).all(|(a, b)| a == b));
        // 15 remain: the even numbers from 10 on.
        assert_eq!(examples(&pool, &asked, 0..=99, 0).unwrap().len(), 15);
        let error = examples(&pool, &asked, 16..=16, 0).unwrap_err().to_string();
        assert!(
            error.contains("--shots 16: 15 training") && error.contains("--shots-from"),
            "{error}"
        );
    }
}
