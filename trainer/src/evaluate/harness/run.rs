//! Sends the items of a task to a policy and scores its answers with the task's own metrics.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use regrowth_datasets::TokenId;
use regrowth_policy::{
    Boundary, Policy, PolicyError, Propose, Request, Response, Sampling, Score, StopAt,
};
use regrowth_verifiers::lm_eval;
use serde_json::{Value, json};

use super::Harness;
use super::document::Document;
use super::task::{HarnessTask, MAX_TOKENS, Output};
use crate::TrainError;
use crate::evaluate::ask::ask_in_order;
use crate::evaluate::options::best;
use crate::stats::Share;

/// Text that lm-eval writes if a filter finds no answer.
const INVALID: &str = "[invalid]";

/// Figures of a task, and the rows that they are computed from.
#[derive(Debug, Default)]
pub struct HarnessResult {
    /// Accuracy by `metric,filter`.
    pub metrics: Vec<(&'static str, Share)>,
    /// Rows of the samples file, one per item and filter.
    pub samples: Vec<Value>,
}

/// Result of one filter on a generated text: the filter, the extracted answer, and whether it is right.
struct Reading {
    filter: &'static str,
    found: String,
    right: bool,
}

impl Harness {
    /// Evaluates every item. `seen` is called after each item with whether it is right by the first metric.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] if cancelled, [`TrainError::Policy`] if a request fails: a figure over
    /// fewer items would not be comparable.
    pub fn measure(
        &self,
        policy: &dyn Policy,
        cancel: &AtomicBool,
        seen: &mut dyn FnMut(bool),
    ) -> Result<HarnessResult, TrainError> {
        match self.task.output() {
            Output::MultipleChoice { normed } => self.by_options(policy, normed, cancel, seen),
            Output::Generate { until } => self.by_text(policy, until, cancel, seen),
        }
    }

    fn by_options(
        &self,
        policy: &dyn Policy,
        normed: bool,
        cancel: &AtomicBool,
        seen: &mut dyn FnMut(bool),
    ) -> Result<HarnessResult, TrainError> {
        let mut requests = Vec::new();
        for (document, prompt) in self.documents.iter().zip(&self.prompts) {
            for choice in &document.choices {
                requests.push(Request::Score(pair(policy, prompt, &format!(" {choice}"))?));
            }
        }
        let mut result = HarnessResult::default();
        let (mut acc, mut acc_norm) = (Vec::new(), Vec::new());
        let (mut sums, mut at) = (Vec::new(), 0);
        ask_in_order(policy, requests, cancel, &mut |response| {
            let Response::Scores(scores) = response? else { return Err(unexpected()) };
            sums.push(scores.logps.iter().map(|&l| f64::from(l)).sum::<f64>());
            let document = &self.documents[at];
            if sums.len() < document.choices.len() {
                return Ok(());
            }
            let sums = std::mem::take(&mut sums);
            let length = |choice: &String| choice.chars().count() as f64;
            let per_character: Vec<f64> =
                sums.iter().zip(&document.choices).map(|(sum, c)| sum / length(c)).collect();
            let right = best(&sums) == Some(document.gold);
            let right_normed = best(&per_character) == Some(document.gold);
            let mut row = self.row(at, "none");
            row["target"] = json!(document.gold);
            row["resps"] = json!(sums.iter().map(|sum| [sum]).collect::<Vec<_>>());
            row["filtered_resps"] = json!(sums);
            row["acc"] = json!(f64::from(u8::from(right)));
            if normed {
                row["acc_norm"] = json!(f64::from(u8::from(right_normed)));
            }
            result.samples.push(row);
            acc.push(right);
            acc_norm.push(right_normed);
            seen(right);
            at += 1;
            Ok(())
        })?;
        result.metrics.push(("acc,none", Share::of(acc)));
        if normed {
            result.metrics.push(("acc_norm,none", Share::of(acc_norm)));
        }
        Ok(result)
    }

    fn by_text(
        &self,
        policy: &dyn Policy,
        until: &[&str],
        cancel: &AtomicBool,
        seen: &mut dyn FnMut(bool),
    ) -> Result<HarnessResult, TrainError> {
        let requests = self.prompts.iter().map(|prompt| generation(policy, prompt, until));
        let requests = requests.collect::<Result<Vec<_>, _>>()?;
        let mut result = HarnessResult::default();
        let mut right: Vec<(&'static str, Vec<bool>)> = Vec::new();
        let mut at = 0;
        ask_in_order(policy, requests, cancel, &mut |response| {
            let Response::Candidates(mut found) = response? else { return Err(unexpected()) };
            let text = found.candidates.pop().ok_or_else(unexpected)?.step.text;
            let text = cut(&text, until);
            let readings = readings(self.task, &self.documents[at], text);
            seen(readings.first().is_some_and(|reading| reading.right));
            for (place, reading) in readings.into_iter().enumerate() {
                let mut row = self.row(at, reading.filter);
                row["resps"] = json!([[text]]);
                row["filtered_resps"] = json!([reading.found]);
                row["exact_match"] = json!(f64::from(u8::from(reading.right)));
                result.samples.push(row);
                if right.len() == place {
                    right.push((metric(reading.filter), Vec::new()));
                }
                right[place].1.push(reading.right);
            }
            at += 1;
            Ok(())
        })?;
        result.metrics = right.into_iter().map(|(name, all)| (name, Share::of(all))).collect();
        Ok(result)
    }

    fn row(&self, at: usize, filter: &str) -> Value {
        let Document { row, target, .. } = &self.documents[at];
        json!({ "doc_id": at, "doc": row, "target": target, "prompt": self.prompts[at], "filter": filter })
    }
}

fn metric(filter: &str) -> &'static str {
    match filter {
        "strict-match" => "exact_match,strict-match",
        "flexible-extract" => "exact_match,flexible-extract",
        _ => "exact_match,none",
    }
}

/// Applies the task's filters to a text.
fn readings(task: HarnessTask, document: &Document, text: &str) -> Vec<Reading> {
    let target = document.target.as_str();
    let number = |filter, answer: Option<&str>| Reading {
        filter,
        found: answer.unwrap_or(INVALID).to_owned(),
        right: lm_eval::gsm8k_matches(target, answer),
    };
    let whole = |right| Reading { filter: "none", found: text.to_owned(), right };
    match task {
        HarnessTask::Gsm8k => vec![
            number("strict-match", lm_eval::gsm8k_strict_answer(text)),
            number("flexible-extract", lm_eval::gsm8k_flexible_answer(text)),
        ],
        HarnessTask::Gsm8kCot => vec![
            number("strict-match", lm_eval::gsm8k_cot_answer(text)),
            number("flexible-extract", lm_eval::gsm8k_flexible_answer(text)),
        ],
        HarnessTask::MinervaMath => vec![whole(lm_eval::minerva_math(target, text))],
        _ => vec![whole(lm_eval::hendrycks_math(target, text))],
    }
}

/// Encodes context and continuation as lm-eval does: together, with spaces at the end of the context counted
/// to the continuation.
fn pair(policy: &dyn Policy, context: &str, continuation: &str) -> Result<Score, TrainError> {
    let whole = policy.encode(&format!("{context}{continuation}"))?;
    let mut prefix = policy.encode(context.trim_end())?;
    let continuation = whole.get(prefix.len()..).unwrap_or_default().to_vec();
    if continuation.is_empty() {
        let detail = format!("no token of its own is left for the continuation {continuation:?}");
        return Err(PolicyError::Request(detail).into());
    }
    keep_last(&mut prefix, policy.limits().context.saturating_sub(continuation.len()))?;
    Ok(Score { prefix: prefix.into(), continuation: continuation.into() })
}

fn generation(policy: &dyn Policy, prompt: &str, until: &[&str]) -> Result<Request, TrainError> {
    let mut prefix = policy.encode(prompt)?;
    keep_last(&mut prefix, policy.limits().context.saturating_sub(MAX_TOKENS))?;
    Ok(Request::Propose(Propose {
        prefix: Arc::from(prefix),
        keys: vec![0],
        sampling: Sampling::greedy(),
        greedy_first: true,
        boundary: Boundary::End,
        stop_at: StopAt { strings: until.iter().map(|&s| s.to_owned()).collect(), ids: vec![] },
        max_tokens: MAX_TOKENS,
    }))
}

/// Truncates a prompt that is too long from the left, as lm-eval does.
fn keep_last(prefix: &mut Vec<TokenId>, room: usize) -> Result<(), TrainError> {
    if room == 0 {
        let detail = "the context of the model leaves no room for a prompt".to_owned();
        return Err(PolicyError::Request(detail).into());
    }
    prefix.drain(..prefix.len().saturating_sub(room));
    Ok(())
}

/// Returns the text before the first of these stop strings.
fn cut<'a>(text: &'a str, until: &[&str]) -> &'a str {
    let ends = until.iter().filter_map(|stop| text.find(stop));
    &text[..ends.min().unwrap_or(text.len())]
}

fn unexpected() -> TrainError {
    PolicyError::Model("the answer is not of the kind asked for".into()).into()
}
