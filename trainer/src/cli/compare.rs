//! `regrowth compare`: compares finished runs, problem by problem if they share test problems, and variant by
//! variant if they have several seeds (`seeds`). It also compares samples files of evaluations, item by item
//! (`samples`).

mod samples;
mod seeds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use regrowth_datasets::read_jsonl;
use regrowth_mcts::config::JudgeForm;
use serde_json::{Value, json};

use super::print_line;
use crate::TrainError;
use crate::artefact::damage;
use crate::rounds::{
    ROW_VERSION, RoundTokens, RunReport, TEST, TestRow, Variant, path_of, read_report,
};
use crate::stats::{Paired, Share, p_value};
use crate::train::DpoConfig;

/// Arguments of `regrowth compare`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Args {
    /// Folders of finished runs, or samples files of `evaluate --out` or lm-eval; all are compared with the
    /// first.
    #[arg(required = true, value_name = "RUN|SAMPLES")]
    runs: Vec<PathBuf>,
    /// Print the comparison as one JSON object.
    #[arg(long)]
    json: bool,
}

/// A finished run to compare.
struct Run {
    path: PathBuf,
    report: RunReport,
    /// Whether the best round solved each test problem, by problem id.
    solved: BTreeMap<String, bool>,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    if args.runs.iter().all(|path| path.is_file()) {
        return print_line(&samples::compared(&args.runs, args.json)?);
    }
    let runs: Vec<Run> = args.runs.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let against: Vec<Option<Paired>> =
        runs.iter().enumerate().map(|(i, run)| (i > 0).then(|| paired(&runs[0], run))).collect();
    let seeds = seeds::groups(&runs);
    let other = |group| seeds.first().filter(|first| !std::ptr::eq(*first, group));
    if args.json {
        let rows: Vec<Value> = runs.iter().zip(&against).map(|(r, p)| as_json(r, *p)).collect();
        let groups: Vec<Value> = seeds.iter().map(|group| group.json(other(group))).collect();
        return print_line(&json!({ "runs": rows, "over_seeds": groups }).to_string());
    }
    let mut lines = vec![row([
        "run",
        "variant",
        "seed",
        "best",
        "before",
        "after",
        "gain [95 %]",
        "p",
        "sampled",
        "trained",
        "against first",
    ]
    .map(str::to_owned))];
    lines.extend(runs.iter().zip(&against).map(|(run, paired)| as_row(run, *paired)));
    let mut text = aligned(&lines);
    if !seeds.is_empty() {
        let mut lines = vec![row(seeds::HEAD.map(str::to_owned))];
        lines.extend(seeds.iter().map(|group| group.row(other(group))));
        text += &format!("\n\nover seeds, paired by seed:\n{}", aligned(&lines));
    }
    print_line(&text)
}

fn read(path: &Path) -> Result<Run, TrainError> {
    let report = read_report(path)?.ok_or_else(|| TrainError::File {
        path: path.join("report.json"),
        detail: "no such file: the run is not finished; `regrowth iterate` with its settings goes \
                 on with it"
            .into(),
    })?;
    if let Some(detail) = damage(path, &report.checksums) {
        let detail = format!("{detail}; `regrowth iterate` with its settings makes it again");
        return Err(TrainError::File { path: path.to_owned(), detail });
    }
    let answers = path_of(path, TEST);
    let rows: Vec<TestRow> = read_jsonl(&answers)?;
    if let Some(row) = rows.iter().find(|row| row.version > ROW_VERSION) {
        let (found, known) = (row.version, ROW_VERSION);
        return Err(TrainError::File {
            path: answers,
            detail: format!("version {found} is newer than {known}, the newest this build reads"),
        });
    }
    let solved = rows.into_iter().map(|r| (r.id, r.best)).collect();
    Ok(Run { path: path.to_owned(), report, solved })
}

/// Compares the best rounds of two runs on the test problems in both.
fn paired(first: &Run, second: &Run) -> Paired {
    let both = first.solved.iter().filter_map(|(id, a)| Some((*a, *second.solved.get(id)?)));
    Paired::of(both)
}

fn accuracy(run: &Run, round: u32) -> Option<Share> {
    run.report.round(round).and_then(|r| r.test.as_ref()).map(|e| e.share)
}

/// Tokens of one kind over all rounds; a fair comparison keeps them equal.
fn tokens(run: &Run, kind: impl Fn(&RoundTokens) -> u64) -> u64 {
    run.report.rounds.iter().map(|r| kind(&r.tokens)).sum()
}

/// Name of the variant, followed by prompt, loss, judge and oracle if they differ from the defaults.
fn variant(run: &Run) -> String {
    let config = &run.report.config;
    let (loss, steps) = (config.dpo.loss, &config.search.value);
    let mut names = vec![name(config.variant)];
    if let Some(prompt) = &config.prompt {
        names.push(format!("prompt {prompt}"));
    }
    if loss != DpoConfig::default().loss {
        names.push(loss.to_string());
    }
    if steps.self_evaluation && steps.judge != JudgeForm::default() {
        names.push(format!("judge {}", name(steps.judge)));
    }
    if !steps.oracle && config.variant != Variant::NoOutcome {
        names.push("no reference".to_owned());
    }
    names.join(", ")
}

/// Name of a value on the command line.
fn name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn as_json(run: &Run, against: Option<Paired>) -> Value {
    json!({
        "run": run.path, "variant": variant(run), "seed": run.report.seed,
        "best_round": run.report.best_round, "before": accuracy(run, 0),
        "after": accuracy(run, run.report.best_round), "gain": run.report.comparison,
        "sampled_tokens": tokens(run, |t| t.sampled), "trained_tokens": tokens(run, |t| t.trained),
        "against_first": against,
    })
}

fn as_row(run: &Run, against: Option<Paired>) -> Vec<String> {
    let share = |share: Option<Share>| share.map_or("-".into(), |share| percent(share.accuracy));
    row([
        run.path.display().to_string(),
        variant(run),
        run.report.seed.to_string(),
        run.report.best_round.to_string(),
        share(accuracy(run, 0)),
        share(accuracy(run, run.report.best_round)),
        difference(&run.report.comparison),
        p_value(run.report.p_value),
        tokens(run, |t| t.sampled).to_string(),
        tokens(run, |t| t.trained).to_string(),
        match against {
            None => String::new(),
            Some(paired) if paired.n == 0 => "no problem in common".to_owned(),
            Some(paired) => {
                let p = p_value(paired.p_value);
                format!("{}, p {p}, n {}", difference(&paired), paired.n)
            }
        },
    ])
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn row<const N: usize>(cells: [String; N]) -> Vec<String> {
    cells.into()
}

fn difference(paired: &Paired) -> String {
    let [low, high] = paired.ci95.map(|v| 100.0 * v);
    format!("{:+.1} [{low:+.1}, {high:+.1}]", 100.0 * paired.difference)
}

/// Aligns the columns, each as wide as its widest cell.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &w)| format!("{cell:<w$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
