//! Supervised fine-tuning: negative log-likelihood of completions, packed without padding; shared prompts are
//! computed once.
//!
//! Used by `regrowth sft`, by the STaR and chosen-step baselines, and by rounds that train on right
//! solutions. Only completion tokens count.

use std::collections::HashMap;
use std::time::Duration;

use rand::seq::SliceRandom;
use regrowth_datasets::{TokenId, keyed_rng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::collate::{PackedBatch, PackedSequence, common_prefix, pack};
use super::gradients::{Evaluation, TrainingObjective};
use super::lora::LoraConfig;
use super::memory::{PeakBatch, TrainingMemory};
use super::metrics::Metrics;
use super::model::Model;
use super::optim::OptimizerConfig;
use super::run::{OnStep, TrainLoop};
use super::schedule::{Schedule, ScheduleKind};
use super::session::Session;
use super::state;
use super::validation::{Best, Validation};
use crate::TrainError;

/// A demonstration as token ids.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Token ids of the prompt.
    pub prompt: Vec<TokenId>,
    /// Token ids of the completion, including EOS if it has one.
    pub completion: Vec<TokenId>,
    /// Weight of each completion token.
    pub weight: f32,
}

impl Example {
    pub(super) fn len(&self) -> usize {
        self.prompt.len() + self.completion.len()
    }

    /// Returns the example's tokens; the completion is scored.
    pub(super) fn sequence(&self) -> PackedSequence<'_> {
        PackedSequence { prefix: &self.prompt, tail: &self.completion, scored: self.prompt.len() }
    }
}

/// Settings of SFT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SftConfig {
    /// Seed of initialisation and data order.
    pub seed: u64,
    /// Number of passes over the data.
    pub epochs: usize,
    /// If true, each pass is shuffled; if false, the file's order is kept (a curriculum).
    pub shuffle: bool,
    /// Number of tokens per optimizer step, approximately.
    pub batch_tokens: usize,
    /// Maximum number of tokens per micro-batch; a longer example has a micro-batch of its own.
    pub micro_tokens: usize,
    /// If true, activations are recomputed in the backward pass instead of stored.
    pub gradient_checkpointing: bool,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Share of warm-up steps.
    pub warmup: f64,
    /// Shape of the learning-rate decay.
    pub schedule: ScheduleKind,
    /// Optimizer.
    pub optimizer: OptimizerConfig,
    /// LoRA settings; if not set, all weights are trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraConfig>,
    /// Whether TensorBoard event files are written in addition to the metrics.
    pub tensorboard: bool,
    /// Optimizer steps between evaluations on the validation examples (TRL: `eval_steps`); the last
    /// step is always evaluated.
    pub validate_every: usize,
    /// Early stopping: evaluations in a row without improvement before training stops and the best weights
    /// are restored; 0 never stops (transformers: `early_stopping_patience`).
    pub patience: usize,
    /// Seconds between saved states.
    pub save_seconds: u64,
}

impl Default for SftConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            epochs: 1,
            shuffle: true,
            batch_tokens: 8192,
            micro_tokens: 2048,
            gradient_checkpointing: false,
            learning_rate: 1e-3,
            warmup: 0.03,
            schedule: ScheduleKind::Cosine,
            optimizer: OptimizerConfig::default(),
            lora: None,
            tensorboard: false,
            validate_every: 100,
            patience: 0,
            save_seconds: 120,
        }
    }
}

/// Result of an SFT run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SftSummary {
    /// Number of optimizer steps.
    pub steps: usize,
    /// Number of tokens of forward and backward passes.
    pub tokens: u64,
    /// Mean loss of the last step, in nats per completion token.
    pub loss: f64,
    /// The best evaluation on the validation examples; `None` if there are none.
    pub best: Option<Best>,
}

/// Trains a model on prompts with completions (supervised fine-tuning), in place.
#[derive(Clone, Copy)]
pub struct SftTrainer<'a> {
    /// The model to train.
    pub model: &'a Model,
    /// Settings of the training.
    pub config: &'a SftConfig,
    /// Threads, folder, and the state shared with the trainings of other rounds.
    pub session: Session<'a>,
}

impl SftTrainer<'_> {
    /// Trains on `examples`, with evaluations on `validation` between steps. `on_step` is called after every
    /// optimizer step and can stop the training.
    ///
    /// # Errors
    /// If an example does not fit, a gradient is missing or not finite, or a file cannot be written.
    pub fn train(
        &self,
        examples: &[Example],
        validation: &[Example],
        on_step: &mut OnStep,
    ) -> Result<SftSummary, TrainError> {
        let &Self { model, config, session: Session { threads, dir, across_rounds } } = self;
        let plan = step_examples(examples, config)?;
        for examples in [examples, validation] {
            within(model.config.vocab_size, examples)?;
        }
        let steps = plan.len();
        let run = TrainLoop {
            model,
            schedule: Schedule::new(
                config.schedule,
                config.learning_rate,
                config.warmup,
                across_rounds.map_or(steps, |across_rounds| across_rounds.steps),
            ),
            steps,
            across_rounds,
            optimizer: config.optimizer,
            epochs: config.epochs,
            seed: config.seed,
            recompute: config.gradient_checkpointing,
            threads,
            dir,
            tensorboard: config.tensorboard,
            save_every: Duration::from_secs(config.save_seconds),
        };
        let batches =
            |step: usize| Ok(micro_batches(examples, &plan[step - 1], config.micro_tokens));
        let mut validation = Validation::new(model, validation, config, dir)?;
        let done = run.run(&Nll, batches, |step| validation.evaluate(step, steps), on_step)?;
        let best = validation.finish()?;
        if let Some(dir) = dir {
            state::clear(dir)?;
        }
        let loss = done.last.mean("nll").unwrap_or(f64::NAN);
        Ok(SftSummary { steps: done.steps, tokens: done.tokens, loss, best })
    }
}

/// Refuses token ids outside the model's vocabulary, such as those that were added to the tokenizer only.
fn within(vocabulary: usize, examples: &[Example]) -> Result<(), TrainError> {
    let outside = |id: &&TokenId| **id as usize >= vocabulary;
    for (index, Example { prompt, completion, .. }) in examples.iter().enumerate() {
        if let Some(id) = prompt.iter().chain(completion).find(outside) {
            let detail = format!("token id {id} is outside the model's vocabulary of {vocabulary}");
            return Err(TrainError::Example { index, detail });
        }
    }
    Ok(())
}

/// Estimates the memory of training on `examples`.
///
/// # Errors
/// If there is no example.
pub fn plan_sft(
    model: &Model,
    examples: &[Example],
    config: &SftConfig,
    threads: usize,
) -> Result<TrainingMemory, TrainError> {
    let mut busiest = PeakBatch::new(model, config.gradient_checkpointing, threads);
    for step in step_examples(examples, config)? {
        let batches = micro_batches(examples, &step, config.micro_tokens);
        busiest.see(batches.iter().map(|b| &b.packed));
    }
    Ok(TrainingMemory::new(model, config.optimizer.kind, &busiest))
}

/// Returns the example indices of every step. In shuffled passes, examples with the same prompt stay
/// together, so that the prompt is computed once for all of them.
fn step_examples(examples: &[Example], config: &SftConfig) -> Result<Vec<Vec<usize>>, TrainError> {
    if examples.is_empty() || config.epochs == 0 {
        let detail = "nothing to train on; expected at least one example and one epoch".into();
        return Err(TrainError::Setting { name: "epochs", detail });
    }
    let mut steps: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    let mut groups = match config.shuffle {
        true => by_prompt(examples),
        false => (0..examples.len()).map(|index| vec![index]).collect(),
    };
    for epoch in 0..config.epochs as u64 {
        if config.shuffle {
            groups.sort_unstable_by_key(|group| group[0]);
            groups.shuffle(&mut keyed_rng(config.seed, &[b"sft-order", &epoch.to_le_bytes()]));
        }
        for &index in groups.iter().flatten() {
            if room == 0 {
                steps.push(Vec::new());
                room = config.batch_tokens;
            }
            if let Some(step) = steps.last_mut() {
                step.push(index);
            }
            room = room.saturating_sub(examples[index].len());
        }
    }
    Ok(steps)
}

/// Returns the example indices by prompt, in the order in which the prompts appear.
fn by_prompt(examples: &[Example]) -> Vec<Vec<usize>> {
    let mut place: HashMap<&[TokenId], usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, example) in examples.iter().enumerate() {
        let group = *place.entry(&example.prompt).or_insert(groups.len());
        match groups.get_mut(group) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// A micro-batch: packed tokens and the weight of each target.
struct Batch {
    packed: PackedBatch,
    /// Weight of each target divided by the step's total weight.
    weights: Vec<f32>,
}

/// Forms the micro-batches of one step. A prompt shared with the previous example is computed once and counts
/// once towards `micro_tokens`; the loss still covers all completion tokens of every example.
fn micro_batches(examples: &[Example], indices: &[usize], micro_tokens: usize) -> Vec<Batch> {
    let weight = |i: &usize| examples[*i].weight * examples[*i].completion.len() as f32;
    let total: f32 = indices.iter().map(weight).sum();
    let mut groups: Vec<Vec<&Example>> = Vec::new();
    let mut room = 0usize;
    for example in indices.iter().map(|&i| &examples[i]) {
        let before = groups.last().and_then(|group| group.last());
        let shared = before.map_or(0, |before| common_prefix(&before.prompt, &example.prompt));
        let mut rows = example.len() - shared;
        if rows > room || groups.is_empty() {
            groups.push(Vec::new());
            (room, rows) = (micro_tokens, example.len());
        }
        if let Some(group) = groups.last_mut() {
            group.push(example);
        }
        room = room.saturating_sub(rows);
    }
    groups.iter().map(|group| batch(group, total)).collect()
}

fn batch(group: &[&Example], total: f32) -> Batch {
    let sequences: Vec<PackedSequence> = group.iter().map(|e| e.sequence()).collect();
    let (packed, _) = pack(&sequences, true);
    let weights = group
        .iter()
        .flat_map(|e| std::iter::repeat_n(e.weight / total, e.completion.len()))
        .collect();
    Batch { packed, weights }
}

/// Weighted mean negative log-likelihood over the completion tokens of a step.
struct Nll;

impl TrainingObjective for Nll {
    type Batch = Batch;

    fn packed<'a>(&self, batch: &'a Batch) -> &'a PackedBatch {
        &batch.packed
    }

    fn evaluate(&self, batch: &Batch, logps: &[f32]) -> Evaluation {
        let mut metrics = Metrics::default();
        let mut loss = 0.0;
        for (logp, weight) in logps.iter().zip(&batch.weights) {
            loss -= f64::from(logp * weight);
            metrics.record("nll", f64::from(-logp), f64::from(*weight));
        }
        let gradient = batch.weights.iter().map(|w| -w).collect();
        Evaluation { loss, gradient, metrics }
    }

    fn rows(&self, batch: &Batch) -> Vec<Value> {
        vec![json!({ "ids": batch.packed.ids, "targets": batch.packed.targets })]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example(prompt: &[TokenId], completion: &[TokenId]) -> Example {
        Example { prompt: prompt.to_vec(), completion: completion.to_vec(), weight: 1.0 }
    }

    #[test]
    fn solutions_of_one_prompt_share_its_rows() {
        let examples =
            [example(&[1, 2, 3], &[4, 9]), example(&[5, 6], &[9]), example(&[1, 2, 3], &[7, 9])];
        let config = SftConfig { epochs: 2, batch_tokens: 100, ..SftConfig::default() };
        let steps = step_examples(&examples, &config).unwrap();
        for order in steps.concat().chunks(3) {
            let at = |index| order.iter().position(|&i| i == index).unwrap();
            assert_eq!(at(2), at(0) + 1, "{order:?}");
        }
        let batches = micro_batches(&examples, &[0, 2, 1], 10);
        assert_eq!(batches.len(), 1);
        // The last token of a sequence is only a target: rows are 1 2 3 | 4 | 7 and 5 6.
        assert_eq!(batches[0].packed.ids, [1, 2, 3, 4, 7, 5, 6]);
        assert_eq!(batches[0].packed.targets, [4, 9, 7, 9, 9]);
    }

    #[test]
    fn a_pass_that_is_not_shuffled_keeps_the_order_of_the_file() {
        let examples = [example(&[1], &[9]), example(&[2], &[9]), example(&[1], &[8])];
        let config = SftConfig { shuffle: false, ..SftConfig::default() };
        assert_eq!(step_examples(&examples, &config).unwrap().concat(), [0, 1, 2]);
    }
}
