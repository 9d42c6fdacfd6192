//! `regrowth train`: preference training on a file of pairs.

use std::ops::ControlFlow;
use std::path::PathBuf;

use candle_core::Device;
use regrowth_datasets::read_pairs;
use regrowth_policy::candle::{Checkpoint, SaveOptions};
use serde_json::{Map, Value};

use super::engine::EngineArgs;
use super::say;
use crate::train::{DpoConfig, Model, Progress, Reference, ScheduleKind, loss, train_dpo};
use crate::{TrainError, inputs};

/// Arguments of `regrowth train`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is optimised.
    #[arg(long, value_enum, default_value_t = Method::Dpo)]
    method: Method,
    /// Pairs of a search, JSON lines or Parquet.
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Checkpoint to start from, and the reference: builtin or a folder.
    #[arg(long, default_value = "builtin")]
    policy: String,
    /// Another reference: builtin or a folder.
    #[arg(long, value_name = "POLICY")]
    reference: Option<String>,
    /// Folder for the checkpoint, metrics.jsonl and, while it runs, the training state.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Preference loss: sigmoid, conservative, ipo, hinge, ...; with settings as
    /// NAME:KEY=VALUE,KEY=VALUE.
    #[arg(long, default_value = "conservative", value_parser = parse_loss)]
    loss: loss::PreferenceLoss,
    /// Inverse temperature.
    #[arg(long, default_value_t = 0.1)]
    beta: f64,
    /// Weight of the chosen side's mean negative log-likelihood.
    #[arg(long, default_value_t = 0.0, value_name = "WEIGHT")]
    nll: f64,
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-6, value_name = "RATE")]
    learning_rate: f64,
    /// Form of the learning rate's decay: constant, linear or cosine.
    #[arg(long, default_value = "cosine", value_parser = super::sft::parse_schedule)]
    schedule: ScheduleKind,
    /// Passes over the pairs.
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    /// Pairs of one optimizer step.
    #[arg(long, default_value_t = 64, value_name = "N")]
    batch_pairs: usize,
    /// Seed of the order of trees.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    engine: EngineArgs,
}

/// A method of preference training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Method {
    /// Direct preference optimisation.
    Dpo,
}

/// `name` or `name:key=value,key=value` as a loss.
fn parse_loss(text: &str) -> Result<loss::PreferenceLoss, String> {
    let (name, settings) = text.split_once(':').unwrap_or((text, ""));
    let mut object = Map::new();
    object.insert("name".into(), Value::from(name.replace('-', "_")));
    for setting in settings.split(',').filter(|s| !s.is_empty()) {
        let (key, value) =
            setting.split_once('=').ok_or_else(|| format!("`{setting}`: expected KEY=VALUE"))?;
        let number: f64 = value.parse().map_err(|e| format!("`{setting}`: {e}"))?;
        object.insert(key.into(), Value::from(number));
    }
    serde_json::from_value(Value::Object(object)).map_err(|e| format!("`{text}`: {e}"))
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let Method::Dpo = args.method;
    let pairs = read_pairs(&args.pairs)?;
    let model = load(&args.policy)?;
    let other = match &args.reference {
        Some(reference) => Some(load(reference)?),
        // Recorded log-probabilities are the reference's only if this policy sampled the pairs.
        None if !sampled_by(args, &pairs)? => Some(load(&args.policy)?),
        None => None,
    };
    let reference = other.as_ref().map_or(Reference::RoundStart, Reference::Model);
    let config = DpoConfig {
        seed: args.seed,
        loss: args.loss,
        beta: args.beta,
        nll: args.nll,
        epochs: args.epochs,
        batch_pairs: args.batch_pairs,
        learning_rate: args.learning_rate,
        schedule: args.schedule,
        ..DpoConfig::default()
    };
    std::fs::create_dir_all(&args.out).map_err(TrainError::io(&args.out))?;
    let bar = super::progress::bar("dpo");
    let threads = args.engine.threads();
    let mut on_step = |p: &Progress| {
        super::progress::step(&bar, p);
        ControlFlow::Continue(())
    };
    let summary =
        train_dpo(&model, &pairs, &reference, &config, threads, Some(&args.out), &mut on_step)?;
    bar.finish_and_clear();
    let checkpoint = args.out.join("checkpoint");
    model.save(&checkpoint, SaveOptions::default())?;
    let metric = |name: &str| summary.metrics.get(name).copied().unwrap_or(f64::NAN);
    say(&format!(
        "{} steps on {} pairs, last step: accuracy {:.2}, margin {:.3}; checkpoint in {}",
        summary.steps,
        summary.pairs,
        metric("rewards/accuracies"),
        metric("rewards/margins"),
        checkpoint.display()
    ))
}

fn load(spec: &str) -> Result<Model, TrainError> {
    let source = inputs::weights(spec)?.ok_or_else(|| TrainError::Setting {
        name: "policy",
        detail: format!("`{spec}` has no weights; expected builtin or a checkpoint folder"),
    })?;
    Model::from_checkpoint(&Checkpoint::read(source, &Device::Cpu)?)
}

/// Whether all pairs were sampled by the policy that is trained.
fn sampled_by(
    args: &Args,
    pairs: &[regrowth_datasets::PreferencePair],
) -> Result<bool, TrainError> {
    let policy = inputs::policy(&args.policy, &args.engine.load_options()?)?;
    Ok(pairs.iter().all(|pair| pair.policy == policy.identity()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_parse_with_and_without_settings() {
        assert_eq!(parse_loss("sigmoid"), Ok(loss::PreferenceLoss::Sigmoid));
        assert_eq!(parse_loss("simpo:gamma=0.5"), Ok(loss::PreferenceLoss::Simpo { gamma: 0.5 }));
        for bad in ["simpo", "simpo:gamma", "simpo:gamma=x", "simpo:beta=1", "nothing"] {
            assert!(parse_loss(bad).is_err(), "{bad}");
        }
    }
}
