//! Problem sources that a user gives on the command line: files and built-in tasks, one or several, each
//! with an optional weight: `train.jsonl`, `builtin:arithmetic`, `gsm8k.jsonl:3`.
//!
//! Without weights, the result is all problems of all sources, one source after the other. If any source
//! has a weight, the sources are mixed in proportion to their weights (default 1). The mixture has as
//! many problems as possible without repeating any, and every beginning of it has the same shares as the
//! whole. The seed decides which problems of a source are used.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use rand::seq::SliceRandom;

use crate::tasks::{Task, TaskSpec};
use crate::{
    DataError, Notices, Problem, ReadOptions, Split, keyed_rng, read_problem_file, split_of,
};

/// Prefix of built-in tasks.
const BUILTIN: &str = "builtin:";

/// Separates sources in the text form of [`ProblemSources`].
const SEPARATOR: char = ',';

/// One source of problems.
#[derive(Debug, Clone, PartialEq)]
pub struct ProblemSource {
    /// A path, or the name of a built-in task.
    name: String,
    /// The built-in task; `None` for a file.
    task: Option<TaskSpec>,
    weight: Option<f64>,
}

impl ProblemSource {
    /// Whether the source is a built-in task.
    #[must_use]
    pub fn is_builtin(&self) -> bool {
        self.task.is_some()
    }
}

impl FromStr for ProblemSource {
    type Err = DataError;

    /// The number after the last colon is a weight, unless a file has that whole name. After
    /// `builtin:NAME` the first number is a level: `builtin:arithmetic:5` has no weight,
    /// `builtin:arithmetic:5:2` and `builtin:arithmetic:0.5` have one.
    fn from_str(spec: &str) -> Result<Self, DataError> {
        let (name, weight) = match spec.rsplit_once(':') {
            Some((name, weight)) if is_weight(spec, name, weight) => (name, Some(weight)),
            _ => (spec, None),
        };
        let weight = weight.map(|text| weight_of(spec, text)).transpose()?;
        let task = name.starts_with(BUILTIN).then(|| name.parse()).transpose()?;
        Ok(Self { name: name.to_owned(), task, weight })
    }
}

/// Whether the text after the last colon of `spec` is a weight.
fn is_weight(spec: &str, name: &str, weight: &str) -> bool {
    let number = weight.starts_with(|c: char| c.is_ascii_digit()) && weight.parse::<f64>().is_ok();
    if !number || name.is_empty() {
        return false;
    }
    match name.strip_prefix(BUILTIN) {
        Some(task) => task.contains(':') || weight.contains('.'),
        None => !Path::new(spec).exists(),
    }
}

fn weight_of(spec: &str, text: &str) -> Result<f64, DataError> {
    let weight = text.parse().ok().filter(|weight: &f64| weight.is_finite() && *weight > 0.0);
    weight.ok_or_else(|| DataError::Source {
        spec: spec.to_owned(),
        detail: format!("the weight `{text}` is not a number above 0"),
    })
}

/// Problem sources, in the order in which they were given.
#[derive(Debug, Clone, PartialEq)]
pub struct ProblemSources(Vec<ProblemSource>);

/// Selects problems of the sources.
#[derive(Debug, Clone, Copy)]
pub struct ProblemSelection {
    /// Split of the files, by content; `None` for all problems.
    pub split: Option<Split>,
    /// Split of the built-in tasks.
    pub task_split: Split,
    /// Maximum number of problems of each built-in task, which is practically endless.
    pub task_limit: usize,
    /// Maximum number of problems in total.
    pub limit: usize,
    /// Seed of the built-in tasks and of the mixture.
    pub seed: u64,
}

impl ProblemSources {
    /// Parses sources. Each text may contain several, separated by commas, unless it is the name of an
    /// existing file.
    ///
    /// # Errors
    /// [`DataError::Source`] for an invalid weight or an empty list; [`DataError::UnknownTask`].
    pub fn parse<T: AsRef<str>>(specs: &[T]) -> Result<Self, DataError> {
        let mut sources = Vec::new();
        for spec in specs {
            let spec = spec.as_ref();
            if Path::new(spec).exists() {
                sources.push(spec.parse()?);
                continue;
            }
            for part in spec.split(SEPARATOR).filter(|part| !part.is_empty()) {
                sources.push(part.parse()?);
            }
        }
        if sources.is_empty() {
            let detail = "expected a problem file or a built-in task".to_owned();
            return Err(DataError::Source { spec: String::new(), detail });
        }
        Ok(Self(sources))
    }

    /// Joins the values of several flags into one text, which [`Self::parse`] splits again.
    ///
    /// # Errors
    /// [`DataError::Source`] if there are several values and one is a path with a comma.
    pub fn joined(specs: &[String]) -> Result<Option<String>, DataError> {
        if let [_, _, ..] = specs
            && let Some(spec) =
                specs.iter().find(|s| Path::new(s).exists() && s.contains(SEPARATOR))
        {
            let detail = "a path with a comma cannot be one of several; rename the file".to_owned();
            return Err(DataError::Source { spec: spec.clone(), detail });
        }
        let separator = SEPARATOR.to_string();
        Ok(Some(specs.join(&separator)).filter(|joined| !joined.is_empty()))
    }

    /// The sources.
    #[must_use]
    pub fn all(&self) -> &[ProblemSource] {
        &self.0
    }

    /// Whether every source is a built-in task.
    #[must_use]
    pub fn are_builtin(&self) -> bool {
        self.0.iter().all(ProblemSource::is_builtin)
    }

    /// Whether any source has a weight, so that the problems are a mixture whose order depends on the
    /// seed.
    #[must_use]
    pub fn are_mixed(&self) -> bool {
        self.0.iter().any(|source| source.weight.is_some())
    }

    /// Reads the problems of all sources, mixed as described in the module. If two sources use the same
    /// id, the number of the later source is appended: `gsm8k/1@2`.
    ///
    /// # Errors
    /// As [`read_problem_file`]; [`DataError::NoSource`] for a file that does not exist.
    pub fn read(
        &self,
        options: ReadOptions,
        selection: &ProblemSelection,
        notices: &mut Notices,
    ) -> Result<Vec<Problem>, DataError> {
        let mut parts = Vec::new();
        let mut ids = BTreeSet::new();
        for (index, source) in self.0.iter().enumerate() {
            let mut part = source.problems(options, selection, notices)?;
            for problem in &mut part {
                if !ids.insert(problem.id.clone()) {
                    problem.id = format!("{}@{}", problem.id, index + 1);
                }
            }
            parts.push(part);
        }
        let mut problems = if self.are_mixed() {
            let weight = |source: &ProblemSource| source.weight.unwrap_or(1.0);
            let weights: Vec<f64> = self.0.iter().map(weight).collect();
            mixed(parts, &weights, selection.seed)
        } else {
            parts.concat()
        };
        problems.truncate(selection.limit);
        Ok(problems)
    }
}

impl fmt::Display for ProblemSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|source| source.name.as_str()).collect();
        f.write_str(&names.join(&SEPARATOR.to_string()))
    }
}

impl ProblemSource {
    fn problems(
        &self,
        options: ReadOptions,
        selection: &ProblemSelection,
        notices: &mut Notices,
    ) -> Result<Vec<Problem>, DataError> {
        if let Some(task) = self.task {
            let limit = selection.task_limit.min(selection.limit);
            return Ok(task.problems(selection.task_split, selection.seed).take(limit).collect());
        }
        let path = Path::new(&self.name);
        let mut problems = match read_problem_file(path, options, notices) {
            Err(DataError::Io { path, source })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                let known = Task::ALL.map(|task| format!("{BUILTIN}{}", task.name())).join(", ");
                return Err(DataError::NoSource { path, known });
            }
            other => other?,
        };
        if let Some(split) = selection.split {
            problems.retain(|problem| split_of(problem) == split);
        }
        Ok(problems)
    }
}

/// Mixes as many problems as the shares allow, each source in an order drawn by `seed`.
fn mixed(mut parts: Vec<Vec<Problem>>, weights: &[f64], seed: u64) -> Vec<Problem> {
    let total: f64 = weights.iter().sum();
    let room = |(part, weight): (&Vec<Problem>, &f64)| part.len() as f64 * total / weight;
    let count = parts.iter().zip(weights).map(room).fold(f64::INFINITY, f64::min);
    for (index, part) in parts.iter_mut().enumerate() {
        part.shuffle(&mut keyed_rng(seed, &[b"mix", &(index as u64).to_le_bytes()]));
    }
    let mut parts: Vec<_> = parts.into_iter().map(Vec::into_iter).collect();
    let mut taken = vec![0.0; weights.len()];
    let mut mixture = Vec::new();
    // Rounding may leave a source one problem short of its share; then the mixture ends.
    for n in 1..=count.floor() as usize {
        // The source furthest below its share; the first one in a tie.
        let behind = |i: usize| n as f64 * weights[i] / total - taken[i];
        let next = (0..weights.len()).reduce(|a, b| if behind(b) > behind(a) { b } else { a });
        let Some(next) = next else { break };
        let Some(problem) = parts[next].next() else { break };
        taken[next] += 1.0;
        mixture.push(problem);
    }
    mixture
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    fn source(spec: &str) -> (String, Option<f64>) {
        let source: ProblemSource = spec.parse().unwrap();
        (source.name, source.weight)
    }

    fn everything() -> ProblemSelection {
        ProblemSelection {
            split: None,
            task_split: Split::Train,
            task_limit: 40,
            limit: usize::MAX,
            seed: 1,
        }
    }

    /// A folder with `a.jsonl` of 30 problems and `b.jsonl` of 10.
    fn files() -> (TempDir, [String; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, n: usize| {
            let row = |i| format!("{{\"question\": \"{name} {i}?\", \"answer\": {i}}}\n");
            let path = folder.path().join(name);
            fs::write(&path, (0..n).map(row).collect::<String>()).unwrap();
            path.display().to_string()
        };
        let paths = [write("a.jsonl", 30), write("b.jsonl", 10)];
        (folder, paths)
    }

    fn read(specs: &[String], selection: &ProblemSelection) -> Vec<Problem> {
        let sources = ProblemSources::parse(specs).unwrap();
        sources.read(ReadOptions::default(), selection, &mut Notices::default()).unwrap()
    }

    fn count(problems: &[Problem], name: &str) -> usize {
        problems.iter().filter(|p| p.question.starts_with(name)).count()
    }

    #[test]
    fn a_weight_is_the_number_behind_the_last_colon() {
        let cases = [
            ("data.jsonl", "data.jsonl", None),
            ("data.jsonl:3", "data.jsonl", Some(3.0)),
            ("data.jsonl:0.5", "data.jsonl", Some(0.5)),
            ("C:\\sets\\data.jsonl", "C:\\sets\\data.jsonl", None),
            ("C:\\sets\\data.jsonl:2", "C:\\sets\\data.jsonl", Some(2.0)),
            ("data:inf", "data:inf", None),
            ("builtin:arithmetic", "builtin:arithmetic", None),
            ("builtin:arithmetic:5", "builtin:arithmetic:5", None),
            ("builtin:arithmetic:5:2", "builtin:arithmetic:5", Some(2.0)),
            ("builtin:arithmetic:2-6:2", "builtin:arithmetic:2-6", Some(2.0)),
            ("builtin:arithmetic:0.5", "builtin:arithmetic", Some(0.5)),
        ];
        for (spec, name, weight) in cases {
            assert_eq!(source(spec), (name.to_owned(), weight), "{spec}");
        }
        assert!("builtin:chess".parse::<ProblemSource>().is_err());
        assert!("builtin:arithmetic:20".parse::<ProblemSource>().is_err());
        assert!(
            "data.jsonl:0".parse::<ProblemSource>().unwrap_err().to_string().contains("above 0")
        );
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("x:2");
        fs::write(&odd, "").unwrap();
        let odd = odd.display().to_string();
        assert_eq!(source(&odd), (odd.clone(), None));
    }

    #[test]
    fn without_weights_files_follow_each_other_with_unique_ids() {
        let (_folder, paths) = files();
        let problems = read(&paths, &everything());
        assert_eq!(problems.len(), 40);
        assert_eq!(
            (problems[0].id.as_str(), problems[30].id.as_str()),
            ("generic/1", "generic/1@2")
        );
        let joined = ProblemSources::joined(&paths).unwrap().unwrap();
        assert_eq!(read(&[joined], &everything()), problems);
    }

    #[test]
    fn weights_are_shares_of_every_prefix() {
        let (_folder, [a, b]) = files();
        let specs = [format!("{a}:3"), b.clone()];
        let problems = read(&specs, &everything());
        assert_eq!((count(&problems, "a"), count(&problems, "b")), (30, 10));
        for n in 1..=problems.len() {
            let share = n as f64 / 4.0 - count(&problems[..n], "b") as f64;
            assert!(share.abs() < 1.0, "{n}");
        }
        // The smaller file limits an even mixture.
        let even = read(&[format!("{a}:1"), b.clone()], &everything());
        assert_eq!((count(&even, "a"), count(&even, "b")), (10, 10));
        let limited = ProblemSelection { limit: 8, ..everything() };
        assert_eq!(read(&specs, &limited), problems[..8]);
        // The same seed selects the same problems, another seed selects others.
        assert_eq!(read(&[format!("{a}:1"), b.clone()], &everything()), even);
        let other = ProblemSelection { seed: 2, ..everything() };
        assert_ne!(read(&[format!("{a}:1"), b], &other), even);
    }

    #[test]
    fn built_in_tasks_are_mixed_with_files() {
        let (_folder, [a, _]) = files();
        let problems = read(&[format!("{a}:1"), "builtin:arithmetic:2-6:1".into()], &everything());
        assert_eq!((problems.len(), count(&problems, "a")), (60, 30));
        let missing = ProblemSources::parse(&["no/such/file"]).unwrap();
        let error = missing.read(ReadOptions::default(), &everything(), &mut Notices::default());
        assert!(error.unwrap_err().to_string().contains("builtin:countdown"));
        assert!(ProblemSources::parse::<String>(&[]).is_err());
    }
}
