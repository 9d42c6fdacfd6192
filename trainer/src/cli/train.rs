//! `regrowth train`: preference training on a file of pairs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use regrowth_datasets::{
    JointPair, Notices, PreferencePair, Preferences, StepLabel, TokenId, read_joint_pairs,
    read_preferences, read_step_labels,
};
use regrowth_mcts::Preset;
use regrowth_mcts::console::{log, warn};
use regrowth_mcts::flags::EngineFlags;
use regrowth_policy::candle::{
    Checkpoint, Files, ModelConfig, PromptForm, Source, Tokenizer, dtype_suffix, identity,
};
use regrowth_policy::{ComputeDevice, Dtype, PromptOptions};
use serde_json::json;
use toml::Table;

use super::settings::lora_of_adapter;
use super::training::TrainingArgs;
use super::{held, memory, print_line};
use crate::artefact::write_json;
use crate::rounds::RunConfig;
use crate::train::loss::PreferenceLoss;
use crate::train::{
    DpoConfig, DpoSummary, DpoTrainer, EndOfText, JudgeLabels, Model, PreferenceData, Reference,
    Session, TokenisedPreferences, plan_dpo, tokenise_preferences,
};
use crate::{TrainError, inputs, pages};

/// Arguments of `regrowth train`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Training method.
    #[arg(long, value_enum, default_value_t = Method::Dpo, help_heading = "Training", hide = true)]
    method: Method,
    /// Pairs of a search, TRL's preference rows (text or messages), or Step-DPO's columns. JSON lines, JSON,
    /// CSV or Parquet.
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pairs: PathBuf,
    /// Number of bad rows of the pairs file that are skipped with a message; one more is an error.
    #[arg(long, default_value_t = 0, value_name = "N", help_heading = "Input", hide = true)]
    skip_bad: usize,
    /// Named settings that the file and the flags start from [default: builtin for the bundled
    /// model, else chat].
    #[arg(long, value_enum, help_heading = "Settings")]
    preset: Option<Preset>,
    /// Checkpoint to train, also the reference: builtin, a folder or a .gguf file.
    #[arg(long, default_value = "builtin", help_heading = "Input")]
    policy: String,
    /// Another reference: builtin, a folder or a .gguf file
    /// [default: the checkpoint itself]
    #[arg(long, value_name = "POLICY", help_heading = "Input", hide = true)]
    reference: Option<String>,
    /// Folder for the checkpoint, metrics.jsonl and, while it runs, the training state.
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    out: PathBuf,
    /// Preference loss: sigmoid, conservative, soft, robust, ipo, ipo-sum, hinge, simpo,
    /// sigmoid-norm, margin, degree or gpo; with settings as NAME:KEY=VALUE,KEY=VALUE.
    #[arg(long, help_heading = "Training")]
    loss: Option<PreferenceLoss>,
    /// Inverse temperature.
    #[arg(long, help_heading = "Training")]
    beta: Option<f64>,
    /// Weight of the chosen side's mean negative log-likelihood.
    #[arg(long, value_name = "WEIGHT", help_heading = "Training", hide = true)]
    nll: Option<f64>,
    /// Step labels of a search, which train the judge together with the policy
    /// [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Input", hide = true)]
    step_labels: Option<PathBuf>,
    /// Joint pairs of a search (solutions of two problems), trained with the loss `sigmoid` together with the
    /// pairs
    /// [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Input", hide = true)]
    joint_pairs: Option<PathBuf>,
    /// Held-out pairs, in any layout of --pairs: after training, train.json contains the ranking accuracy on
    /// them and on the trained pairs
    /// [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Input", hide = true)]
    held_out: Option<PathBuf>,
    /// Weight of the judge's loss on the step labels [default: 1].
    #[arg(
        long,
        value_name = "WEIGHT",
        requires = "step_labels",
        help_heading = "Training",
        hide = true
    )]
    judge_weight: Option<f64>,
    /// Target of the judge: the value of the state after a step, or whether any solution through the step is
    /// right [default: value].
    #[arg(long, value_enum, requires = "step_labels", help_heading = "Training", hide = true)]
    judge_labels: Option<JudgeLabels>,
    /// Pairs per optimizer step; whole trees stay together.
    #[arg(long, value_name = "N", help_heading = "Training", hide = true)]
    batch_pairs: Option<i64>,
    /// Score full completions, as TRL does, instead of only the tokens from the first difference on.
    #[arg(long, help_heading = "Training", hide = true)]
    whole_completions: bool,
    /// Compute every pair separately, without sharing prefixes: slower, for comparisons.
    #[arg(long, help_heading = "Training", hide = true)]
    naive: bool,
    /// Whether EOS is appended to completions of text rows: auto (full answers, not single steps), always or
    /// never. Pairs of a search keep the sampled ids.
    #[arg(long, value_enum, default_value_t = Eos::Auto, help_heading = "Input", hide = true)]
    eos: Eos,
    /// Print the result as one JSON object.
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    training: TrainingArgs,
    #[command(flatten)]
    engine: EngineFlags,
}

/// When EOS is appended to a completion.
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
    let run = held::Training::begin(&args.out, "dpo")?;
    log(&format!("loading {} and {}", args.policy, args.pairs.display()));
    let source = weights(&args.policy)?;
    let rows = read(args, &source)?;
    rows.check_rationales(&args.pairs, config.rationale)?;
    let (data, bad_rows) = (rows.data(), rows.bad_rows);
    let pairs = data.pairs.iter().chain(data.held_out).map(|pair| pair.policy.as_str());
    let samplers = pairs.chain(data.joint_pairs.iter().map(|pair| pair.policy.as_str())).collect();
    let (model, sampled) = pages::giving_back(|| load(source, &config, &samplers))?;
    let model = model.with_frozen_dtype(args.engine.dtype());
    model.warnings.iter().for_each(|text| log(text));
    let named = args.reference.as_deref();
    let other = named.map(|name| Model::load(weights(name)?, None, 0)).transpose()?;
    let reference = match &other {
        Some(other) => Reference::Model(other),
        None if sampled => Reference::RoundStart,
        // Recorded log-probabilities are valid as the reference's only if this policy sampled the pairs.
        // Otherwise the reference's are computed before the first step.
        None => Reference::Model(&model),
    };
    let threads = args.engine.threads();
    let plan = plan_dpo(&model, data, &config, threads)?;
    let memory = memory::announce(&plan)?;
    let started = Instant::now();
    let out = Some(args.out.as_path());
    let summary = run.watch(plan.steps, |on_step| {
        DpoTrainer {
            model: &model,
            reference: &reference,
            config: &config,
            session: Session::new(threads, out),
        }
        .train(data, on_step)
    })?;
    let (seconds, memory) = (started.elapsed().as_secs_f64(), memory.end());
    let written = args.training.save(&model, &args.out)?;
    let result =
        json!({ "dpo": summary, "bad_rows": bad_rows, "seconds": seconds, "memory": memory });
    write_json(&args.out.join("train.json"), &result)?;
    run.finished();
    if args.json {
        return print_line(&result.to_string());
    }
    if let Some(warning) = summary.low_learning_rate_warning(&config) {
        warn(&warning);
    }
    print_line(&format!("{}; {written}", described(&summary, bad_rows)))
}

/// Rows of the input files.
struct Rows {
    preferences: TokenisedPreferences,
    joint_pairs: Vec<JointPair>,
    held_out: Vec<PreferencePair>,
    step_labels: Vec<StepLabel>,
    /// Number of bad rows that were skipped.
    bad_rows: usize,
}

impl Rows {
    fn data(&self) -> PreferenceData<'_> {
        PreferenceData {
            pairs: &self.preferences.pairs,
            joint_pairs: &self.joint_pairs,
            step_labels: &self.step_labels,
            held_out: &self.held_out,
            rationales: &self.preferences.rationales,
        }
    }

    /// Returns an error if rationales have a weight but the file contains none.
    fn check_rationales(&self, path: &Path, weight: f64) -> Result<(), TrainError> {
        if weight == 0.0 || !self.preferences.rationales.is_empty() {
            return Ok(());
        }
        let detail = format!(
            "no row has text in the column `rationale`, which dpo.rationale = {weight} learns from; \
             expected rows in TRL's layout with that column, or a weight of 0"
        );
        Err(TrainError::File { path: path.to_owned(), detail })
    }
}

fn read(args: &Args, source: &Source) -> Result<Rows, TrainError> {
    let mut notices = Notices::skipping(args.skip_bad);
    let reader = PairReader { source, eos: args.eos };
    let preferences = reader.read(&args.pairs, &mut notices)?;
    let joint_pairs =
        args.joint_pairs.as_deref().map(|file| reader.read_joint(file)).transpose()?;
    let joint_pairs = joint_pairs.unwrap_or_default();
    let held_out = args.held_out.as_deref().map(|file| reader.read(file, &mut notices));
    let held_out = held_out.transpose()?.unwrap_or_default().pairs;
    notices.lines().iter().for_each(|line| log(line));
    let step_labels = args.step_labels.as_deref().map(read_step_labels).transpose()?;
    let (step_labels, bad_rows) = (step_labels.unwrap_or_default(), notices.skipped().len());
    Ok(Rows { preferences, joint_pairs, held_out, step_labels, bad_rows })
}

/// Loads the model to train; also returns whether all pairs were sampled by it, given the `samplers` of the
/// pairs.
fn load(
    source: Source,
    config: &DpoConfig,
    samplers: &BTreeSet<&str>,
) -> Result<(Model, bool), TrainError> {
    let checkpoint = Model::read(source.clone(), config.lora.as_ref())?;
    let sampled = sampled_by(&checkpoint, samplers)?;
    let model = match &config.lora {
        // Continue training the adapter, so that the result has the same base.
        Some(lora) if source.is_adapter() => {
            drop(checkpoint);
            Model::load_adapter(source, lora, config.seed)?
        }
        lora => Model::over(checkpoint, lora.as_ref(), config.seed)?,
    };
    Ok((model, sampled))
}

fn described(summary: &DpoSummary, bad_rows: usize) -> String {
    let skipped: usize = summary.skipped.values().sum();
    let metric = |name: &str| summary.metrics.get(name).copied().unwrap_or(f64::NAN);
    let some = |count: usize, what: &str| match count {
        0 => String::new(),
        some => format!("{some} {what}, "),
    };
    let joint = some(summary.joint_pairs, "joint pairs beside them");
    let rationales = some(summary.rationales, "with a rationale");
    format!(
        "{} steps on {} pairs ({rationales}{joint}{skipped} left out, {bad_rows} bad rows skipped), {} tokens and {} of the \
         reference; last step: accuracy {:.2}, margin {:.3}",
        summary.steps,
        summary.pairs,
        summary.tokens,
        summary.reference_tokens,
        metric("rewards/accuracies"),
        metric("rewards/margins"),
    )
}

/// Returns the settings: those of the file, overridden by the flags.
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
    let preset = args.preset.unwrap_or_else(|| Preset::of_policy(&args.policy));
    let mut defaults = RunConfig::of(preset).dpo;
    defaults.lora = lora_of_adapter(&args.policy).or(defaults.lora);
    let mut config: DpoConfig = args.training.settings("dpo", &defaults, own)?;
    if args.batch_pairs.is_some() {
        config.batch_trees = None;
    }
    let range = |name, detail: String| Err(TrainError::Setting { name, detail });
    if let Err(detail) = config.loss.check() {
        return range("loss", detail);
    }
    let weights = [("judge_weight", config.judge.weight), ("dpo.rationale", config.rationale)];
    if let Some((name, weight)) = weights.into_iter().find(|(_, w)| !(*w >= 0.0 && w.is_finite())) {
        return range(name, format!("{weight} is not a number of at least 0"));
    }
    if !(config.beta > 0.0 && config.beta.is_finite()) {
        return range("beta", format!("{} is not above 0", config.beta));
    }
    Ok(config)
}

/// Reads files of pairs for a policy.
struct PairReader<'a> {
    source: &'a Source,
    eos: Eos,
}

impl PairReader<'_> {
    fn tokenizer(&self) -> Result<Tokenizer, TrainError> {
        let source = self.source;
        let config = ModelConfig::parse(&source.text("config.json")?)
            .map_err(|detail| source.error("config.json", detail))?;
        Ok(Tokenizer::read(source, &config)?)
    }

    /// Reads the joint pairs of the file.
    fn read_joint(&self, file: &Path) -> Result<Vec<JointPair>, TrainError> {
        let pairs = read_joint_pairs(file)?;
        let right = pairs.iter().map(|pair| (&*pair.right.completion, &*pair.right.completion_ids));
        check_tokenizer(right, &self.tokenizer()?)?;
        Ok(pairs)
    }

    /// Reads the pairs of the file; text rows are tokenised for the policy.
    fn read(&self, file: &Path, notices: &mut Notices) -> Result<TokenisedPreferences, TrainError> {
        let (source, tokenizer) = (self.source, self.tokenizer()?);
        let rows = match read_preferences(file, notices)? {
            Preferences::Pairs(pairs) => {
                let chosen = pairs.iter().map(|pair| (&*pair.chosen, &*pair.chosen_ids));
                check_tokenizer(chosen, &tokenizer)?;
                return Ok(TokenisedPreferences { pairs, rationales: vec![] });
            }
            Preferences::Texts(rows) => rows,
        };
        let form = PromptForm::read(source, &tokenizer, &PromptOptions::default())?;
        let end = match self.eos {
            Eos::Auto => EndOfText::Auto,
            Eos::Always => EndOfText::Always,
            Eos::Never => EndOfText::Never,
        };
        tokenise_preferences(file, &rows, &tokenizer, (&form, end), notices)
    }
}

/// Number of pairs whose text is compared with their decoded ids.
const READ_BACK: usize = 16;

/// Refuses pairs that were made with another tokenizer: this policy would decode their ids to other text.
/// `chosen` yields text and ids of the preferred sides.
fn check_tokenizer<'a>(
    chosen: impl Iterator<Item = (&'a str, &'a [TokenId])>,
    tokenizer: &Tokenizer,
) -> Result<(), TrainError> {
    for (index, (text, ids)) in chosen.enumerate().take(READ_BACK) {
        let read = tokenizer.decode(ids).unwrap_or_default();
        if read.trim() != text.trim() {
            let detail = format!(
                "the ids of its chosen side say {read:?} to this policy's tokenizer, but its text is \
                 {text:?}; the pairs were made with another tokenizer"
            );
            return Err(TrainError::Example { index, detail });
        }
    }
    Ok(())
}

fn weights(spec: &str) -> Result<Source, TrainError> {
    inputs::weights(spec)?.ok_or_else(|| TrainError::Setting {
        name: "policy",
        detail: format!(
            "`{spec}` has no weights; expected builtin, a checkpoint folder or a .gguf file"
        ),
    })
}

/// Whether all pairs were sampled by the policy to train; `samplers` are the identities recorded in the
/// pairs.
fn sampled_by(checkpoint: &Checkpoint, samplers: &BTreeSet<&str>) -> Result<bool, TrainError> {
    let policy = identity(checkpoint)?;
    // Pairs sampled with the same weights in another dtype count as well: log-probabilities in bf16 are close
    // enough, and pairs sampled in int8 say that theirs are not exact.
    let own = [Dtype::F32, Dtype::Bf16, Dtype::Int8]
        .map(|dtype| format!("{policy}{}", dtype_suffix(dtype)));
    Ok(samplers.iter().all(|sampler| own.iter().any(|own| own == sampler)))
}
