//! `regrowth train`: preference training on a file of pairs.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use candle_core::Device;
use regrowth_datasets::{PreferencePair, Preferences, read_preferences, read_step_labels};
use regrowth_mcts::EngineFlags;
use regrowth_policy::ComputeDevice;
use regrowth_policy::candle::{
    Checkpoint, Files, ModelConfig, PromptForm, Source, Tokenizer, identity,
};
use serde_json::json;
use toml::Table;

use super::training::TrainingArgs;
use super::{memory, say};
use crate::artefact::write_json;
use crate::train::loss::PreferenceLoss;
use crate::train::{
    DpoConfig, EndOfText, JudgeLabels, Model, PreferenceData, Progress, Reference, plan_dpo,
    tokenise_preferences, train_dpo,
};
use crate::{TrainError, inputs};

/// Arguments of `regrowth train`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What is optimised.
    #[arg(long, value_enum, default_value_t = Method::Dpo)]
    method: Method,
    /// Pairs of a search; or TRL's preference rows (text or messages), or Step-DPO's columns. JSON
    /// lines, JSON, CSV or Parquet.
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
    /// Preference loss: sigmoid, conservative, soft, robust, ipo, ipo_sum, hinge, simpo,
    /// sigmoid_norm, margin or degree; with settings as NAME:KEY=VALUE,KEY=VALUE [default:
    /// conservative].
    #[arg(long)]
    loss: Option<PreferenceLoss>,
    /// Inverse temperature [default: 0.1].
    #[arg(long)]
    beta: Option<f64>,
    /// Weight of the chosen side's mean negative log-likelihood [default: 0].
    #[arg(long, value_name = "WEIGHT")]
    nll: Option<f64>,
    /// Judged steps of a search, which teach the judge beside the policy.
    #[arg(long, value_name = "FILE")]
    step_labels: Option<PathBuf>,
    /// Weight of the judge's loss on them [default: 1].
    #[arg(long, value_name = "WEIGHT", requires = "step_labels")]
    judge_weight: Option<f64>,
    /// What the judge is taught: the value of the state behind a step, or whether it is right
    /// [default: value].
    #[arg(long, value_enum, requires = "step_labels")]
    judge_labels: Option<JudgeLabels>,
    /// Pairs of one optimizer step; whole trees stay together [default: 64].
    #[arg(long, value_name = "N")]
    batch_pairs: Option<i64>,
    /// Score whole completions, as TRL does, in place of what follows the first difference.
    #[arg(long)]
    whole_completions: bool,
    /// Compute every pair alone, without sharing prefixes: slower, for comparisons.
    #[arg(long)]
    naive: bool,
    /// Whether EOS ends completions of text rows: auto (whole answers, not single steps), always or
    /// never. Our own pairs keep the ids that were sampled.
    #[arg(long, value_enum, default_value_t = Eos::Auto)]
    eos: Eos,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    engine: EngineFlags,
}

/// When EOS is put after a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Eos {
    Auto,
    Always,
    Never,
}

/// A method of preference training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Method {
    /// Direct preference optimisation.
    Dpo,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let Method::Dpo = args.method;
    if args.engine.device() != ComputeDevice::Cpu {
        let detail = "training computes on the processor alone; expected cpu".into();
        return Err(TrainError::Setting { name: "device", detail });
    }
    let config = config(args)?;
    let source = weights(&args.policy)?;
    let pairs = pairs(args, &source)?;
    let step_labels = args.step_labels.as_deref().map(read_step_labels).transpose()?;
    let step_labels = step_labels.unwrap_or_default();
    let data = PreferenceData { pairs: &pairs, step_labels: &step_labels };
    let model = Model::load(source.clone(), config.lora.as_ref(), config.seed)?;
    let other = match &args.reference {
        Some(reference) => Some(Model::load(weights(reference)?, None, 0)?),
        // Recorded log-probabilities are the reference's only if this policy sampled the pairs.
        None if !sampled_by(&source, &pairs)? => Some(Model::load(source, None, 0)?),
        None => None,
    };
    let reference = other.as_ref().map_or(Reference::RoundStart, Reference::Model);
    std::fs::create_dir_all(&args.out).map_err(TrainError::io(&args.out))?;
    let threads = args.engine.threads();
    let memory = memory::announce(&plan_dpo(&model, data, &config, threads)?)?;
    let started = Instant::now();
    let bar = super::progress::bar("dpo");
    let mut on_step = |p: &Progress| {
        super::progress::step(&bar, p);
        ControlFlow::Continue(())
    };
    let summary =
        train_dpo(&model, data, &reference, &config, threads, Some(&args.out), &mut on_step)?;
    bar.finish_and_clear();
    let (seconds, memory) = (started.elapsed().as_secs_f64(), memory.end());
    let written = args.training.save(&model, &args.out)?;
    let result = json!({ "dpo": summary, "seconds": seconds, "memory": memory });
    write_json(&args.out.join("train.json"), &result)?;
    if args.json {
        return say(&result.to_string());
    }
    let skipped: usize = summary.skipped.values().sum();
    let metric = |name: &str| summary.metrics.get(name).copied().unwrap_or(f64::NAN);
    say(&format!(
        "{} steps on {} pairs ({skipped} left out), {} tokens and {} of the reference; last step: \
         accuracy {:.2}, margin {:.3}; {written}",
        summary.steps,
        summary.pairs,
        summary.tokens,
        summary.reference_tokens,
        metric("rewards/accuracies"),
        metric("rewards/margins"),
    ))
}

/// The settings of the flags over those of the file.
fn config(args: &Args) -> Result<DpoConfig, TrainError> {
    let mut own = Table::new();
    let bad = |e: toml::ser::Error| TrainError::Setting { name: "loss", detail: e.to_string() };
    if let Some(loss) = &args.loss {
        own.insert("loss".into(), toml::Value::try_from(loss).map_err(bad)?);
    }
    for (key, value) in [("beta", args.beta), ("nll", args.nll)] {
        own.extend(value.map(|v| (key.to_owned(), v.into())));
    }
    own.extend(args.batch_pairs.map(|n| ("batch_pairs".to_owned(), n.into())));
    if args.step_labels.is_some() {
        let mut judge = Table::new();
        judge.insert("weight".into(), args.judge_weight.unwrap_or(1.0).into());
        if let Some(labels) = args.judge_labels {
            judge.insert("labels".into(), toml::Value::try_from(labels).map_err(bad)?);
        }
        own.insert("judge".into(), judge.into());
    }
    if args.whole_completions {
        own.insert("scope".into(), "completion".into());
    }
    if args.naive {
        own.insert("share_prefixes".into(), false.into());
    }
    let config = args.training.settings(&DpoConfig::default(), own)?;
    let range = |name, detail: String| Err(TrainError::Setting { name, detail });
    if let Err(detail) = config.loss.check() {
        return range("loss", detail);
    }
    let weight = config.judge.weight;
    if !(weight >= 0.0 && weight.is_finite()) {
        return range("judge_weight", format!("{weight} is not a number of at least 0"));
    }
    if !(config.beta > 0.0 && config.beta.is_finite()) {
        return range("beta", format!("{} is not above 0", config.beta));
    }
    Ok(config)
}

/// The pairs of the file, text rows tokenised for the policy.
fn pairs(args: &Args, source: &Source) -> Result<Vec<PreferencePair>, TrainError> {
    let config = ModelConfig::parse(&source.text("config.json")?)
        .map_err(|detail| source.error("config.json", detail))?;
    let tokenizer = Tokenizer::read(source, &config)?;
    let rows = match read_preferences(&args.pairs)? {
        Preferences::Pairs(pairs) => {
            check_tokenizer(&pairs, &tokenizer)?;
            return Ok(pairs);
        }
        Preferences::Texts(rows) => rows,
    };
    let form = PromptForm::read(source, &tokenizer)?;
    let end = match args.eos {
        Eos::Auto => EndOfText::Auto,
        Eos::Always => EndOfText::Always,
        Eos::Never => EndOfText::Never,
    };
    tokenise_preferences(&args.pairs, &rows, &tokenizer, &form, end)
}

/// Pairs whose text is compared with what their ids say under the policy's tokenizer.
const READ_BACK: usize = 16;

/// Refuses pairs that were made with another tokenizer: their ids would train on other words.
fn check_tokenizer(pairs: &[PreferencePair], tokenizer: &Tokenizer) -> Result<(), TrainError> {
    for (index, pair) in pairs.iter().enumerate().take(READ_BACK) {
        let read = tokenizer.decode(&pair.chosen_ids).unwrap_or_default();
        if read.trim() != pair.chosen.trim() {
            let detail = format!(
                "`chosen_ids` say {read:?} to this policy's tokenizer, but `chosen` is {:?}; the \
                 pairs were made with another tokenizer",
                pair.chosen
            );
            return Err(TrainError::Example { index, detail });
        }
    }
    Ok(())
}

fn weights(spec: &str) -> Result<Source, TrainError> {
    inputs::weights(spec)?.ok_or_else(|| TrainError::Setting {
        name: "policy",
        detail: format!("`{spec}` has no weights; expected builtin or a checkpoint folder"),
    })
}

/// Whether all pairs were sampled by the policy that is trained.
fn sampled_by(source: &Source, pairs: &[PreferencePair]) -> Result<bool, TrainError> {
    let policy = identity(&Checkpoint::read(source.clone(), &Device::Cpu)?)?;
    Ok(pairs.iter().all(|pair| pair.policy == policy))
}
