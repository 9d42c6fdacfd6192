//! `mcts audit`: the factors that the preferences of a file or a run correlate with, and the evidence they
//! rest on.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;
use regrowth_datasets::{
    Notices, PreferencePair, Preferences, Problem, ProblemSelection, ProblemSources, ReadOptions,
    Split, read_jsonl, read_preferences,
};

use super::failure::Failure;
use super::rows::PAIRS;
use super::{log, print_line, trees};
use crate::audit::{AuditRow, Factor, RankedPair, audit, pair_key, render, solutions_below};
use crate::read_trees;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcts audit --pairs pairs.jsonl
  mcts audit --pairs runs/default --test test.jsonl --factor hedges=perhaps|maybe";

/// File in which training stores the log-probabilities of its pairs.
const RANKING: &str = "ranking.jsonl";
/// Number of problems read from a built-in task, which is practically endless.
const BUILTIN_LIMIT: usize = 1000;

/// Arguments of `mcts audit`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input and output")]
pub(crate) struct Arguments {
    /// Preferences: a file (of this program, TRL or Step-DPO), or the folder of a search, of a round or
    /// of a run (all of its rounds)
    #[arg(long, value_name = "PATH")]
    pairs: PathBuf,
    /// Trees of the pairs, as for `mcts pairs`: they give the outcomes below unfinished steps [default: those
    /// in the folder of --pairs]
    #[arg(long, value_name = "PATH")]
    trees: Option<PathBuf>,
    /// Test problems to look for among the pairs: a file or builtin:TASK [default: none]
    #[arg(long, value_name = "PROBLEMS")]
    test: Option<String>,
    /// Log-probabilities after training: ranking.jsonl of `regrowth train`, or of a round with dpo.ranking =
    /// true [default: those in the folder of --pairs]
    #[arg(long, value_name = "FILE")]
    ranking: Option<PathBuf>,
    /// One more factor: the number of matches of a regular expression in a side; may be given several times
    /// [default: none]
    #[arg(long, value_name = "NAME=REGEX", value_parser = str::parse::<Factor>)]
    factor: Vec<Factor>,
    /// Print the audit as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let test = arguments.test.as_deref().map(test_problems).transpose()?;
    let trees = match &arguments.trees {
        Some(named) => trees::files(named)?,
        None if arguments.pairs.is_dir() => trees::files(&arguments.pairs)?,
        None => Vec::new(),
    };
    let files = match arguments.pairs.is_dir() {
        true => trees::files(&arguments.pairs)?.iter().map(|f| f.with_file_name(PAIRS)).collect(),
        false => vec![arguments.pairs.clone()],
    };
    let rankings: Vec<PathBuf> = match &arguments.ranking {
        Some(file) => vec![file.clone()],
        None if arguments.pairs.is_dir() => {
            let beside = files.iter().map(|file| file.with_file_name(RANKING));
            beside.filter(|file| file.is_file()).collect()
        }
        None => Vec::new(),
    };
    let rows = read_rows(&files, &trees, &rankings)?;
    let mut factors = Factor::builtin();
    factors.extend(arguments.factor.iter().cloned());
    let audit = audit(&rows, &factors, test.as_deref());
    if arguments.json {
        let text = serde_json::to_string(&audit);
        return print_line(&text.map_err(|e| Failure::internal(format!("audit: {e}")))?);
    }
    print_line(render(&audit).trim_end())
}

/// Reads the rows of the files of pairs. Adds the solutions below their steps if `trees` contain them, and
/// their log-probabilities after training if `rankings` contain them.
fn read_rows(
    files: &[PathBuf],
    trees: &[PathBuf],
    rankings: &[PathBuf],
) -> Result<Vec<AuditRow>, Failure> {
    let (mut pairs, mut rows) = (Vec::new(), Vec::new());
    for file in files {
        let mut notices = Notices::default();
        match read_preferences(file, &mut notices)? {
            Preferences::Pairs(found) => pairs.extend(found),
            Preferences::Texts(found) => rows.extend(found.iter().map(|(_, row)| row.into())),
        }
        notices.lines().iter().for_each(log);
    }
    let first = rows.len();
    rows.extend(pairs.iter().map(AuditRow::from));
    add_solutions(&pairs, &mut rows[first..], trees)?;
    add_rankings(&pairs, &mut rows[first..], rankings)?;
    Ok(rows)
}

/// Adds to each pair the solutions below its steps; keeps one tree in memory at a time.
fn add_solutions(
    pairs: &[PreferencePair],
    rows: &mut [AuditRow],
    trees: &[PathBuf],
) -> Result<(), Failure> {
    let mut of_tree: HashMap<(&str, u32), Vec<usize>> = HashMap::new();
    for (number, pair) in pairs.iter().enumerate() {
        of_tree.entry((&pair.problem_id, pair.round)).or_default().push(number);
    }
    for file in trees {
        for tree in read_trees(file)? {
            let tree = tree?;
            let numbers = of_tree.get(&(tree.problem.id.as_str(), tree.round));
            for &number in numbers.into_iter().flatten() {
                if let Some([chosen, rejected]) = solutions_below(&tree, &pairs[number]) {
                    rows[number].chosen.below = Some(chosen);
                    rows[number].rejected.below = Some(rejected);
                }
            }
        }
    }
    Ok(())
}

/// Adds the log-probabilities after training to each pair.
fn add_rankings(
    pairs: &[PreferencePair],
    rows: &mut [AuditRow],
    rankings: &[PathBuf],
) -> Result<(), Failure> {
    let mut after: HashMap<String, [f64; 2]> = HashMap::new();
    for file in rankings {
        let ranked = read_jsonl::<RankedPair>(file)?;
        after.extend(ranked.into_iter().map(|row| (row.pair, row.after)));
    }
    if !after.is_empty() {
        for (pair, row) in pairs.iter().zip(rows) {
            row.trained = after.get(&pair_key(pair)).copied();
        }
    }
    Ok(())
}

/// The problems of `--test`; for a built-in task, those of its test part.
fn test_problems(spec: &str) -> Result<Vec<Problem>, Failure> {
    let selection = ProblemSelection {
        split: None,
        task_split: Split::Test,
        task_limit: BUILTIN_LIMIT,
        limit: usize::MAX,
        seed: 0,
    };
    let options = ReadOptions { format: None, needs_answer: false };
    let mut notices = Notices::default();
    let problems = ProblemSources::parse(&[spec])?.read(options, &selection, &mut notices)?;
    notices.lines().iter().for_each(log);
    Ok(problems)
}
