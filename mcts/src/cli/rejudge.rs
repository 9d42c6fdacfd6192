//! `mcts rejudge`: another policy judges the pairs of a file.

use std::path::PathBuf;

use clap::Args;
use regrowth_datasets::{PreferencePair, read_pairs, write_pairs};
use regrowth_policy::{joined, load};

use toml::Table;

use super::failure::Failure;
use super::paths::{check_output, unwritten};
use super::settings::Settings;
use super::sources::known;
use super::{log, print_line};
use crate::SearchConfig;
use crate::config::{JudgeForm, ValueConfig};
use crate::flags::EngineFlags;
use crate::frontend::SetFlags;
use crate::rejudge::{Ratings, RejudgeOptions, RejudgeReport, rejudge};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcts rejudge --pairs pairs.jsonl --policy models/Qwen2.5-7B-Instruct --out rejudged.jsonl
  mcts rejudge --pairs pairs.jsonl --policy http://localhost:8000/v1#model --budget 200000 --out rejudged.jsonl
  mcts rejudge --pairs pairs.jsonl --policy models/judge --judge graded --out graded.jsonl";

/// Arguments of `mcts rejudge`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input and output")]
pub(crate) struct Arguments {
    /// Pairs of a search or of a round
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// The judge: builtin, a checkpoint folder or .gguf file, http://host:port/v1#model (may be given
    /// several times), scripted
    #[arg(long, value_name = "POLICY", required = true)]
    policy: Vec<String>,
    /// Output file of the pairs; the judge's ratings are stored as self-evaluations of the judged pairs
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Judge only the pairs with the smallest margins, as many as certainly fit into this many tokens
    /// [default: all pairs]
    #[arg(long, value_name = "TOKENS")]
    budget: Option<u64>,
    /// How sides are judged: question (in both orders), graded or follow-ups; set texts, labels and values
    /// with --set search.value.grades and search.value.follow_ups
    #[arg(long, value_name = "FORM", value_enum, default_value_t = JudgeForm::Question, hide_possible_values = true)]
    judge: JudgeForm,
    /// Leave out pairs for which the judge prefers the rejected side
    #[arg(long)]
    drop_disagreeing: bool,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    set: SetFlags,
    #[command(flatten)]
    engine: EngineFlags,
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    check_output("--out", &arguments.out, &[("--pairs", &arguments.pairs)])?;
    let options = options(arguments)?;
    let pairs = read_pairs(&arguments.pairs)?;
    let spec = joined(&arguments.policy)?.unwrap_or_default();
    log(format!("loading {spec} for {} pairs", pairs.len()));
    let policy = load(&spec, &arguments.engine.load_options(|text| log(text)).for_judge())?;
    policy.notes().iter().for_each(log);
    if arguments.budget.is_some() && policy.limits().question == 0 {
        log(
            "this policy does not say how long its question is; the budget counts pairs without it",
        );
    }
    let policy = options.value.judge_by(policy, None)?;
    let rejudged = rejudge(&*policy, &pairs, &options)?;
    let report = RejudgeReport::of(&pairs, &rejudged);
    let rated = pairs.into_iter().zip(&rejudged.ratings);
    let kept: Vec<PreferencePair> = rated
        .filter(|(_, r)| !(arguments.drop_disagreeing && disagrees(r.as_ref())))
        .map(with_ratings)
        .collect();
    write_pairs(&arguments.out, &kept).map_err(unwritten)?;
    if arguments.json {
        let text = serde_json::to_string(&report);
        return print_line(&text.map_err(|e| Failure::internal(format!("report: {e}")))?);
    }
    print_line(&format!("{}\n{} pairs written", report.text(), kept.len()))
}

/// Options of the judge. Of a search's settings, only the judge's texts can be set here.
fn options(arguments: &Arguments) -> Result<RejudgeOptions, Failure> {
    let table = arguments.set.over(Table::new(), &known()).map_err(Failure::usage)?;
    let settings: Settings = table.try_into().map_err(|e| Failure::usage(format!("--set: {e}")))?;
    let ValueConfig { grades, follow_ups, .. } = settings.search.value.clone();
    let texts = ValueConfig { grades, follow_ups, ..ValueConfig::default() };
    let mut search = SearchConfig { value: texts, ..SearchConfig::default() };
    if settings != (Settings { search: search.clone(), ..Settings::default() }) {
        let expected = "keys of search.value.grades and search.value.follow_ups alone";
        return Err(Failure::usage(format!(
            "--set: expected {expected}; the others are of a search"
        )));
    }
    search.value.judge = arguments.judge;
    search.check()?;
    if !matches!(arguments.judge, JudgeForm::Question | JudgeForm::Graded | JudgeForm::FollowUps) {
        let expected =
            "--judge: expected question, graded or follow-ups; the others need the search";
        return Err(Failure::usage(expected.to_owned()));
    }
    Ok(RejudgeOptions { budget: arguments.budget, value: search.value })
}

fn disagrees(ratings: Option<&Ratings>) -> bool {
    ratings.and_then(|r| r.strength()).is_some_and(|strength| strength < 0.0)
}

/// The pair with the judge's ratings; an unchanged pair if it was not judged.
fn with_ratings((mut pair, ratings): (PreferencePair, &Option<Ratings>)) -> PreferencePair {
    if let Some(ratings) = ratings {
        pair.self_evaluation_chosen = ratings.chosen;
        pair.self_evaluation_rejected = ratings.rejected;
    }
    pair
}
