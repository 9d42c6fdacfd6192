//! The top of the page: a one-sentence verdict, and short answers to common questions about a run.

use std::path::Path;

use serde::Serialize;

use super::changes::Changes;
use super::charts::all_tokens;
use super::machine;
use super::sources::Sources;
use super::troubles;
use super::words::{count, counted, duration, percent, points};
use crate::rounds::{Objective, RoundReport, RunReport};
use crate::stats::p_value;

/// p-value below which a difference is called significant, at the same 5 % level as the intervals.
const SIGNIFICANT: f64 = 0.05;

/// Data of the top of the page.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// `better`, `worse` or `open`.
    tone: &'static str,
    verdict: String,
    /// How the verdict was determined.
    basis: String,
    answers: Vec<ShortAnswer>,
}

#[derive(Debug, Serialize)]
struct ShortAnswer {
    question: &'static str,
    /// One sentence per entry.
    answer: Vec<String>,
}

impl Summary {
    pub(super) fn of(sources: &Sources, changed: Option<&Changes>) -> Self {
        let report = sources.report;
        let (tone, verdict) = verdict(report);
        let ask = |question, answer: Vec<String>| ShortAnswer { question, answer };
        let mut answers = vec![
            ask("What was trained?", trained(sources)),
            ask("On what?", data(report)),
            ask("Did it help?", vec![in_short(report, tone)]),
        ];
        if let Some(kinds) = changed.and_then(Changes::kinds_in_words) {
            answers.push(ask("On which kind of problem?", vec![kinds]));
        }
        answers.push(ask("What went wrong?", troubles::of(report)));
        let spent = std::iter::once(cost(report)).chain(machine::in_short(sources));
        answers.push(ask("What did it cost?", spent.collect()));
        Self { tone, verdict, basis: basis(report), answers }
    }
}

/// Whether training helped, with the numbers that show it.
fn verdict(report: &RunReport) -> (&'static str, String) {
    let test =
        |round: u32| report.round(round).and_then(|r| r.test.as_ref()).filter(|e| e.share.n > 0);
    let Some(before) = test(0) else {
        return (
            "open",
            "The run has no test evaluation, so whether training helped is not known.".into(),
        );
    };
    let before_share = percent(before.share.accuracy);
    if report.best_round == 0 {
        let last = report.rounds.last().filter(|r| r.round > 0);
        let last = last.and_then(|r| Some((r.round, r.test.as_ref()?.share.accuracy)));
        let then = last.map(|(round, accuracy)| {
            format!("; round {round}, the last, reached {}", percent(accuracy))
        });
        let text = format!(
            "No round beat the base policy on validation problems, so none was kept: on the test problems the \
             base policy is right on {before_share}{}.",
            then.unwrap_or_default()
        );
        return ("open", text);
    }
    let Some(after) = test(report.best_round) else {
        return ("open", "The best round has no test evaluation.".into());
    };
    let compared = &report.comparison;
    let [low, high] = compared.ci95.map(points);
    let (tone, lead) = match (compared.p_value < SIGNIFICANT, compared.difference > 0.0) {
        (true, true) => ("better", "Training helped"),
        (true, false) => ("worse", "Training hurt"),
        (false, _) => ("open", "Training made no difference that these test problems can show"),
    };
    let text = format!(
        "{lead}: greedy accuracy on {} unseen test problems went from {before_share} to {} after round {} \
         ({} points, 95\u{a0}% interval {low} to {high}; {} gained, {} lost; exact McNemar p = {}).",
        count(after.share.n),
        percent(after.share.accuracy),
        report.best_round,
        points(compared.difference),
        counted(compared.gained, "problem"),
        count(compared.lost),
        p_value(compared.p_value),
    );
    (tone, text)
}

/// The verdict in a few words.
fn in_short(report: &RunReport, tone: &str) -> String {
    let difference = points(report.comparison.difference);
    match (tone, report.best_round) {
        ("better", best) => format!("Yes, {difference} points by round {best}."),
        ("worse", best) => format!("No, {difference} points by round {best}."),
        (_, 0) => "No round was kept.".to_owned(),
        (_, best) => {
            format!("Not to be seen: {difference} points by round {best}, inside the noise.")
        }
    }
}

fn basis(report: &RunReport) -> String {
    let tested = match report.earlier_looks() {
        None => {
            "The test problems were asked once, when all rounds were done, and decided nothing."
                .to_owned()
        }
        Some(looks) => format!("The test problems decided nothing, but {looks}."),
    };
    format!("Validation problems chose the best round. {tested}")
}

fn trained(sources: &Sources) -> Vec<String> {
    let config = &sources.report.config;
    let policy = match config.policy.as_str() {
        "builtin" => "The bundled model".to_owned(),
        policy => match base_of(Path::new(policy)) {
            Some(base) => format!("The policy {policy}, an adapter of {base}"),
            None => format!("The policy {policy}"),
        },
    };
    let identity =
        sources.file.as_ref().map(|file| format!(" ({})", file.policy)).unwrap_or_default();
    let how = match (&config.trainer_command, config.objective) {
        (Some(_), _) => "by an external trainer on preference pairs of sibling steps",
        (None, Objective::Preferences) => "by preference training (DPO) on pairs of sibling steps",
        (None, Objective::ChosenSteps) => {
            "by supervised training on the chosen sides of step pairs"
        }
        (None, Objective::CorrectSolutions) => "by supervised training on right solutions (STaR)",
    };
    let lora = match config.objective {
        Objective::Preferences => &config.dpo.lora,
        Objective::ChosenSteps | Objective::CorrectSolutions => &config.sft.lora,
    };
    let lora = lora.as_ref().filter(|_| config.trainer_command.is_none());
    let lora = lora.map(|lora| format!(", through a LoRA adapter of rank {}", lora.rank));
    let lora = lora.unwrap_or_default();
    let setting = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    };
    vec![
        format!("{policy}{identity}, {how}{lora}."),
        format!(
            "Variant {} of the method, settings of preset {}; regrowth iterate --help-all explains them.",
            setting(serde_json::to_value(config.variant)),
            setting(serde_json::to_value(config.preset))
        ),
    ]
}

/// Name of an adapter's base model, without its folders.
fn base_of(adapter: &Path) -> Option<String> {
    let config = std::fs::read_to_string(adapter.join("adapter_config.json")).ok()?;
    let config: serde_json::Value = serde_json::from_str(&config).ok()?;
    let base = config["base_model_name_or_path"].as_str()?;
    Some(base.rsplit('/').next().unwrap_or(base).to_owned())
}

/// Number of problems that the rounds searched, and the results.
fn searched(report: &RunReport, rounds: &[&RoundReport]) -> String {
    let sum = |of: fn(&RoundReport) -> u64| rounds.iter().map(|r| of(r)).sum();
    let all: u64 = sum(|r| r.problems);
    let each = rounds.first().map_or(0, |r| r.problems);
    let problems = match rounds.iter().all(|r| r.problems == each) && rounds.len() > 1 {
        true => format!("{} each", counted(each, "problem")),
        false => counted(all, "problem"),
    };
    let pairs = counted(sum(|r| r.pairs), "pair");
    let trees = match report.config.objective {
        Objective::Preferences | Objective::ChosenSteps => format!("their trees gave {pairs}"),
        Objective::CorrectSolutions => format!(
            "right solutions of their trees were trained on; {pairs} of steps are counted for comparison, not \
             trained on"
        ),
    };
    format!(
        "{}: {} searched {problems}, and {trees}.",
        report.config.problems,
        counted(rounds.len() as u64, "round"),
    )
}

fn data(report: &RunReport) -> Vec<String> {
    let rounds: Vec<&RoundReport> = report.rounds.iter().filter(|r| r.round > 0).collect();
    let asked = report.round(0).and_then(|r| r.test.as_ref());
    let test =
        asked.map(|e| format!(" and {} test problems", count(e.share.n))).unwrap_or_default();
    let from = report
        .config
        .test
        .as_ref()
        .map(|test| format!(" Test problems are from {test}."))
        .unwrap_or_default();
    vec![
        searched(report, &rounds),
        format!(
            "Measured on {} validation{test}; no problem is in two parts.{from}",
            count(report.round(0).map_or(0, |r| r.validation.share.n)),
        ),
    ]
}

fn cost(report: &RunReport) -> String {
    let tokens = report.rounds.iter().map(all_tokens).sum();
    let sampled = report.rounds.iter().map(|r| r.tokens.sampled).sum();
    let trained = report.rounds.iter().map(|r| r.tokens.trained).sum();
    let sum = |of: fn(&RoundReport) -> f64| duration(report.rounds.iter().map(of).sum());
    format!(
        "{} of computing (search {}, training {}) and {} tokens, of which {} were sampled by \
         searches and {} trained on.",
        duration(report.total_seconds()),
        sum(|r| r.seconds.search),
        sum(|r| r.seconds.train),
        count(tokens),
        count(sampled),
        count(trained),
    )
}
