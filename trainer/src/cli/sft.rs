//! `regrowth sft`: supervised fine-tuning of a checkpoint, or training from scratch.

use std::path::{Path, PathBuf};
use std::time::Instant;

use regrowth_datasets::{Demonstrations, Notices, read_demonstrations};
use regrowth_mcts::Preset;
use regrowth_mcts::console::{log, warn};
use regrowth_policy::candle::{Files, ModelConfig, PromptForm, Source, Tokenizer};
use regrowth_policy::{Dtype, PromptName, PromptOptions};

use serde_json::json;
use toml::Table;

use super::settings::lora_of_adapter;
use super::training::TrainingArgs;
use super::{held, memory, print_line};
use crate::TrainError;
use crate::artefact::write_json;
use crate::rounds::RunConfig;
use crate::train::{
    Example, Model, Session, SftConfig, SftTrainer, plan_sft, tokenise_demonstrations,
};

/// Arguments of `regrowth sft`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Named settings that the file and the flags start from [default: builtin for the bundled
    /// model, else chat; --init: none].
    #[arg(long, value_enum, conflicts_with = "init", help_heading = "Settings", hide = true)]
    preset: Option<Preset>,
    /// Checkpoint to start from: a folder in Hugging Face layout, a .gguf file, or `builtin`.
    #[arg(long, default_value = "builtin", conflicts_with = "init", help_heading = "Input")]
    policy: String,
    /// Folder with config.json and tokenizer files but no weights: train from scratch
    /// [default: none]
    #[arg(long, help_heading = "Input")]
    init: Option<PathBuf>,
    /// Training data: rows {prompt, completion, weight?, eos?} of text or messages, rows {messages}, of which
    /// the last turn is trained on, or problems with worked solutions.
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    data: PathBuf,
    /// Prompt form of problems: boxed, gsm8k, choice, plain, or a FILE with a template (docs/prompts.md)
    /// [default: that of `evaluate` and of searches].
    #[arg(long, value_name = "FORM|FILE", help_heading = "Input", hide = true)]
    prompt: Option<PromptName>,
    /// Folder for the checkpoint, metrics.jsonl and, while it runs, the training state.
    #[arg(long, help_heading = "Output")]
    out: PathBuf,
    /// Validation data, in the formats of --data: its loss is reported as validation/nll
    /// [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    validation: Option<PathBuf>,
    /// Tokens per optimizer step.
    #[arg(long, value_name = "N", help_heading = "Training", hide = true)]
    batch_tokens: Option<i64>,
    /// Print the result as one JSON object.
    #[arg(long, help_heading = "Output")]
    json: bool,
    #[command(flatten)]
    training: TrainingArgs,
    /// Data type of frozen weights (--lora) and of their products; sums are f32.
    #[arg(long, value_name = "f32|bf16", default_value = "f32", help_heading = "Engine")]
    dtype: Dtype,
    /// Micro-batches computed at once [default: number of cores].
    #[arg(long, help_heading = "Engine")]
    threads: Option<usize>,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let mut own = Table::new();
    if let Some(tokens) = args.batch_tokens {
        own.insert("batch_tokens".into(), tokens.into());
    }
    let config = args.training.settings("sft", &defaults(args), own)?;
    let run = held::Training::begin(&args.out, "sft")?;
    let from = args.init.as_deref().map_or(args.policy.clone(), |dir| dir.display().to_string());
    log(&format!("loading {from} and {}", args.data.display()));
    let source = match &args.init {
        Some(dir) => Source::folder(dir)?,
        None => Source::named(&args.policy)?,
    };
    let Examples { train, validation } = read(args, &source)?;
    let model = load(args, source, &config)?.with_frozen_dtype(args.dtype);
    model.warnings.iter().for_each(|text| log(text));
    let threads = args.threads.unwrap_or_else(super::cores).max(1);
    let plan = plan_sft(&model, &train, &config, threads)?;
    let memory = memory::announce(&plan)?;
    let started = Instant::now();
    let out = Some(args.out.as_path());
    let summary =
        run.watch(plan.steps, |on_step| {
            SftTrainer { model: &model, config: &config, session: Session::new(threads, out) }
                .train(&train, &validation, on_step)
        })?;
    let (seconds, memory) = (started.elapsed().as_secs_f64(), memory.end());
    let written = args.training.save(&model, &args.out)?;
    let result = json!({ "sft": summary, "seconds": seconds, "memory": memory });
    write_json(&args.out.join("train.json"), &result)?;
    run.finished();
    if args.json {
        return print_line(&result.to_string());
    }
    let best = summary.best.map_or(String::new(), |best| {
        format!(", best validation loss {:.4} after step {}", best.nll, best.step)
    });
    print_line(&format!(
        "{} steps, {} tokens, loss {:.4}{best}; {written}",
        summary.steps, summary.tokens, summary.loss
    ))
}

/// The settings before file and flags.
fn defaults(args: &Args) -> SftConfig {
    if args.init.is_some() {
        return SftConfig::default();
    }
    let preset = args.preset.unwrap_or_else(|| Preset::of_policy(&args.policy));
    let mut defaults = RunConfig::of(preset).sft;
    defaults.lora = lora_of_adapter(&args.policy).or(defaults.lora);
    defaults
}

/// Training and validation examples.
struct Examples {
    train: Vec<Example>,
    validation: Vec<Example>,
}

/// Reads the files that the flags name. Notices for the user are logged.
fn read(args: &Args, source: &Source) -> Result<Examples, TrainError> {
    let mut notices = Notices::default();
    let data = Data::new(source, args.prompt.clone())?;
    let (train, are_problems) = data.read(&args.data, &mut notices)?;
    if are_problems {
        log(&format!(
            "trains on all {} problems of {}: give `iterate` and `evaluate` other ones, or what they \
             measure has been seen",
            train.len(),
            args.data.display()
        ));
    }
    let validation = match args.validation.as_deref() {
        Some(path) => data.read(path, &mut notices)?.0,
        None => vec![],
    };
    notices.lines().iter().for_each(|line| warn(line));
    Ok(Examples { train, validation })
}

/// Loads the model to train: initialised weights, an adapter on a checkpoint, or the checkpoint.
fn load(args: &Args, source: Source, config: &SftConfig) -> Result<Model, TrainError> {
    match (&args.init, &config.lora) {
        (Some(_), Some(_)) => {
            let detail = "fresh weights are trained as a whole; --init takes no --lora".into();
            Err(TrainError::Setting { name: "lora", detail })
        }
        (Some(_), None) => Model::fresh(source, config.seed),
        (None, Some(lora)) => Model::load_adapter(source, lora, config.seed),
        (None, None) => Model::load(source, None, config.seed),
    }
}

/// Converts a file to examples. This needs no weights, so errors in a file are reported before the weights
/// are loaded.
struct Data {
    tokenizer: Tokenizer,
    form: PromptForm,
    context: usize,
}

impl Data {
    fn new(source: &Source, form: Option<PromptName>) -> Result<Self, TrainError> {
        let config = ModelConfig::parse(&source.text("config.json")?)
            .map_err(|detail| source.error("config.json", detail))?;
        let tokenizer = Tokenizer::read(source, &config)?;
        let options = PromptOptions { form, ..PromptOptions::default() };
        let form = PromptForm::read(source, &tokenizer, &options)?;
        Ok(Self { tokenizer, form, context: config.context })
    }

    /// Returns the examples of a file, and whether it contains problems with worked solutions.
    fn read(&self, path: &Path, notices: &mut Notices) -> Result<(Vec<Example>, bool), TrainError> {
        let demonstrations = read_demonstrations(path, notices)?;
        let with = (&self.tokenizer, &self.form);
        let examples = tokenise_demonstrations(path, &demonstrations, with, self.context, notices)?;
        Ok((examples, matches!(demonstrations, Demonstrations::Problems(_))))
    }
}
