//! Training of the judge together with the policy: the judge's questions about steps, and the loss on its
//! answers.
//!
//! Preference training changes the weights that also judge; without judge training the judge gets worse from
//! round to round. Judge examples are in the same batches as pairs, so rows of a tree are computed once for
//! its pairs and its step labels. The answer is read as in a search, over all tokens that decode to a label.
//! The step labels come from the search.

use std::ops::Range;

use regrowth_datasets::{StepLabel, TokenId};
use regrowth_policy::PromptOptions;
use regrowth_policy::candle::{PromptForm, Tokenizer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::collate::PackedSequence;
use super::metrics::Metrics;
use super::model::Model;
use crate::TrainError;

/// Settings of judge training.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JudgeConfig {
    /// Weight of the judge's mean loss relative to that of the pairs; 0 disables judge training (default:
    /// paper).
    pub weight: f64,
    /// Target of the judge.
    pub labels: JudgeLabels,
}

/// Target of the judge for a step.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum JudgeLabels {
    /// Share of right solutions among those through the step: the value of the state after it.
    #[default]
    Value,
    /// Whether any solution through the step is right (hard estimation, arXiv:2312.08935).
    Reached,
}

/// A step label with its judge questions, one for each order of the options.
pub(super) struct JudgeExample<'a> {
    pub(super) row: &'a StepLabel,
    /// Prompt and steps, without EOS; the question follows.
    base: Vec<TokenId>,
    asks: Vec<JudgeQuestion>,
    /// Target probability of "correct", in [0, 1].
    target: f64,
}

struct JudgeQuestion {
    question: Vec<TokenId>,
    /// All tokens that decode to the label of "correct", then those of the other label.
    labels: Vec<TokenId>,
    /// Number of leading `labels` that mean "correct".
    correct: usize,
}

/// Builds the judge examples of a file. Also returns the number of examples left out because they exceed the
/// model's context.
pub(super) fn judge_examples<'a>(
    step_labels: &'a [StepLabel],
    model: &Model,
    labels: JudgeLabels,
) -> Result<(Vec<JudgeExample<'a>>, usize), TrainError> {
    if step_labels.is_empty() {
        return Ok((vec![], 0));
    }
    let tokenizer = Tokenizer::read(&model.origin, &model.config)?;
    let form = PromptForm::read(&model.origin, &tokenizer, &PromptOptions::default())?;
    let [a, b] = ["A", "B"].map(|label| tokenizer.label_ids(label));
    if a.is_empty() || b.is_empty() {
        let detail = "the tokenizer has no token for the labels A and B".into();
        return Err(TrainError::Setting { name: "judge.weight", detail });
    }
    let mut judge_examples = Vec::with_capacity(step_labels.len());
    for (index, row) in step_labels.iter().enumerate() {
        check(row, model).map_err(|detail| TrainError::Example { index, detail })?;
        let step = row.completion_ids.strip_suffix(tokenizer.eos().as_slice());
        let step = step.unwrap_or(&row.completion_ids);
        let ask = |correct_first: bool| -> Result<JudgeQuestion, TrainError> {
            let question = form.question(&tokenizer.decode(step)?, correct_first, None)?;
            let (correct, other) = if correct_first { (&a, &b) } else { (&b, &a) };
            Ok(JudgeQuestion {
                question: tokenizer.encode(&question)?,
                labels: [correct.as_slice(), other].concat(),
                correct: correct.len(),
            })
        };
        let target = match labels {
            JudgeLabels::Value => row.value(),
            JudgeLabels::Reached => f64::from(u8::from(row.right > 0)),
        };
        let base = [row.prompt_ids.as_slice(), step].concat();
        judge_examples.push(JudgeExample {
            row,
            base,
            asks: vec![ask(true)?, ask(false)?],
            target,
        });
    }
    let before = judge_examples.len();
    judge_examples.retain(|example| example.longest() < model.config.context);
    let long = before - judge_examples.len();
    Ok((judge_examples, long))
}

fn check(row: &StepLabel, model: &Model) -> Result<(), String> {
    let vocabulary = model.config.vocab_size;
    let ids = row.prompt_ids.iter().chain(&row.completion_ids);
    match ids.into_iter().find(|&&id| id as usize >= vocabulary) {
        Some(id) => Err(format!(
            "token id {id} is outside the model's vocabulary of {vocabulary}: another tokenizer?"
        )),
        None => Ok(()),
    }
}

impl JudgeExample<'_> {
    fn longest(&self) -> usize {
        self.base.len() + self.asks.iter().map(|ask| ask.question.len()).max().unwrap_or(0)
    }

    /// Returns one sequence per label token of every question. Only the label is scored, so all sequences of
    /// a question share its rows.
    pub(super) fn tails(&self) -> Vec<Vec<TokenId>> {
        let tail =
            |ask: &JudgeQuestion, label: TokenId| [ask.question.as_slice(), &[label]].concat();
        self.asks.iter().flat_map(|ask| ask.labels.iter().map(|&l| tail(ask, l))).collect()
    }

    /// Number of tails.
    pub(super) fn labels(&self) -> usize {
        self.asks.iter().map(|ask| ask.labels.len()).sum()
    }

    /// Returns the sequence of this example with one of its tails.
    pub(super) fn sequence<'a>(&'a self, tail: &'a [TokenId]) -> PackedSequence<'a> {
        let scored = self.base.len() + tail.len() - 1;
        PackedSequence { prefix: &self.base, tail, scored }
    }

    /// Mean loss over the questions; `logps` and `gradient` are in the order of [`Self::tails`]. With P the
    /// total probability of all tokens of a label, the loss is the cross entropy
    /// `-(target ln P(correct) + (1 - target) ln P(other))`. It also keeps the probability mass on the labels.
    pub(super) fn loss(&self, logps: &[f32], weight: f64, gradient: &mut [f32]) -> JudgeLoss {
        let each = 1.0 / self.asks.len() as f64;
        let (mut loss, mut said, mut start) = (0.0, 0.0, 0);
        for ask in &self.asks {
            let (middle, end) = (start + ask.correct, start + ask.labels.len());
            let mut side = |range: Range<usize>, target: f64| {
                let total = log_sum_exp(&logps[range.clone()]);
                for at in range {
                    let part = (f64::from(logps[at]) - total).exp();
                    gradient[at] = (-weight * each * target * part) as f32;
                }
                loss -= each * target * total;
                total
            };
            let (correct, other) =
                (side(start..middle, self.target), side(middle..end, 1.0 - self.target));
            said += each / (1.0 + (other - correct).exp());
            start = end;
        }
        let agrees = (said > 0.5) == (self.target > 0.5);
        JudgeLoss { loss, weighted: weight * loss, agrees }
    }
}

/// Loss of an example.
pub(super) struct JudgeLoss {
    loss: f64,
    /// The loss times its weight.
    pub(super) weighted: f64,
    /// Whether the more probable label is the right one.
    agrees: bool,
}

impl JudgeLoss {
    /// Records the metrics of the example; `share` is its share of the batch.
    pub(super) fn record(&self, metrics: &mut Metrics, share: f64) {
        metrics.record("judge/loss", self.loss, share);
        metrics.record("judge/accuracies", f64::from(u8::from(self.agrees)), share);
    }
}

fn log_sum_exp(logps: &[f32]) -> f64 {
    let most = logps.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let most = f64::from(most);
    most + logps.iter().map(|&l| (f64::from(l) - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_datasets::STEP_LABEL_VERSION;

    fn row() -> StepLabel {
        StepLabel {
            version: STEP_LABEL_VERSION,
            problem_id: "p".into(),
            round: 1,
            policy: "tiny@1".into(),
            depth: 1,
            terminal: true,
            prompt: "1 + 1?".into(),
            completion: "2".into(),
            label: true,
            prompt_ids: vec![1, 2],
            completion_ids: vec![3],
            solutions: 4,
            right: 1,
        }
    }

    fn example(row: &StepLabel) -> JudgeExample<'_> {
        let ask = |question: TokenId, labels: [TokenId; 3], correct| JudgeQuestion {
            question: vec![question],
            labels: labels.to_vec(),
            correct,
        };
        let asks = vec![ask(7, [10, 11, 20], 2), ask(8, [20, 10, 11], 1)];
        JudgeExample { row, base: vec![1, 2, 3], asks, target: row.value() }
    }

    fn loss(logps: &[f32]) -> (f64, Vec<f32>) {
        let (row, mut gradient) = (row(), vec![0.0; logps.len()]);
        let example = example(&row);
        let value = example.loss(logps, 2.0, &mut gradient);
        (value.weighted, gradient)
    }

    #[test]
    fn tails_are_questions_with_every_label() {
        let row = row();
        let example = example(&row);
        let tails = example.tails();
        assert_eq!(tails, [[7, 10], [7, 11], [7, 20], [8, 20], [8, 10], [8, 11]]);
        assert_eq!(example.sequence(&tails[0]).scored, 4);
    }

    #[test]
    fn labels_are_summed_over_their_tokens() {
        // P(correct) = 0.3 + 0.1 and 0.2, P(other) = 0.5 and 0.3 + 0.3; the target is 1/4.
        let logps = [0.3f32, 0.1, 0.5, 0.2, 0.3, 0.3].map(f32::ln);
        let expected = -(0.25 * (0.4f64.ln() + 0.2f64.ln()) + 0.75 * (0.5f64.ln() + 0.6f64.ln()));
        let (value, _) = loss(&logps);
        assert!((value - expected).abs() < 1e-6, "{value} {expected}");
    }

    #[test]
    fn slopes_are_the_derivatives() {
        let logps = [-1.2f32, -2.3, -0.7, -1.6, -1.2, -1.3];
        let (_, gradient) = loss(&logps);
        for at in 0..logps.len() {
            let moved = |by: f32| {
                let mut logps = logps;
                logps[at] += by;
                loss(&logps).0
            };
            let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((f64::from(gradient[at]) - numeric).abs() < 1e-4, "{at} {numeric}");
        }
    }
}
