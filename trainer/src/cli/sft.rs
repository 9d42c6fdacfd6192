//! `regrowth sft`: supervised fine-tuning from a checkpoint or from nothing.

use std::path::{Path, PathBuf};
use std::time::Instant;

use regrowth_datasets::read_jsonl;
use regrowth_mcts::console::note;
use regrowth_policy::candle::{Source, Tokenizer};

use serde_json::json;
use toml::Table;

use super::training::TrainingArgs;
use super::{held, memory, say};
use crate::TrainError;
use crate::artefact::write_json;
use crate::train::{Model, Row, SftConfig, plan_sft, read_examples, train_sft};

/// Arguments of `regrowth sft`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Checkpoint to start from: a folder in Hugging Face layout, a .gguf file, or `builtin`.
    #[arg(long, default_value = "builtin", conflicts_with = "init")]
    policy: String,
    /// Folder with config.json and tokenizer files but no weights: train from nothing.
    #[arg(long)]
    init: Option<PathBuf>,
    /// Rows {prompt, completion, weight?, eos?}, one JSON object a line.
    #[arg(long)]
    data: PathBuf,
    /// Folder for the checkpoint, metrics.jsonl and, while it runs, the training state.
    #[arg(long)]
    out: PathBuf,
    /// Rows that are never trained on: their loss is reported as validation/nll.
    #[arg(long, value_name = "FILE")]
    validation: Option<PathBuf>,
    /// Tokens of one optimizer step.
    #[arg(long, value_name = "N")]
    batch_tokens: Option<i64>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    training: TrainingArgs,
    /// Micro-batches worked on at once [default: number of cores].
    #[arg(long)]
    threads: Option<usize>,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let mut own = Table::new();
    if let Some(tokens) = args.batch_tokens {
        own.insert("batch_tokens".into(), tokens.into());
    }
    let config = args.training.settings(&SftConfig::default(), own)?;
    let run = held::Training::begin(&args.out, "sft")?;
    let from = args.init.as_deref().map_or(args.policy.clone(), |dir| dir.display().to_string());
    note(&format!("loading {from} and {}", args.data.display()));
    let model = match &args.init {
        Some(_) if config.lora.is_some() => {
            let detail = "fresh weights are trained as a whole; --init takes no --lora".into();
            return Err(TrainError::Setting { name: "lora", detail });
        }
        Some(dir) => Model::fresh(Source::folder(dir)?, config.seed)?,
        None => Model::load(Source::named(&args.policy)?, config.lora.as_ref(), config.seed)?,
    };
    model.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    let tokenizer = Tokenizer::read(&model.origin, &model.config)?;
    let read = |path: &Path| {
        let rows: Vec<Row> = read_jsonl(path)?;
        read_examples(rows, &tokenizer, model.config.context)
    };
    let examples = read(&args.data)?;
    let validation = args.validation.as_deref().map_or(Ok(vec![]), read)?;
    let threads = args.threads.unwrap_or_else(super::cores).max(1);
    let memory = memory::announce(&plan_sft(&model, &examples, &config, threads)?)?;
    let started = Instant::now();
    let out = Some(args.out.as_path());
    let summary = run.watch(|on_step| {
        train_sft(&model, &examples, &validation, &config, threads, out, on_step)
    })?;
    let (seconds, memory) = (started.elapsed().as_secs_f64(), memory.end());
    let written = args.training.save(&model, &args.out)?;
    let result = json!({ "sft": summary, "seconds": seconds, "memory": memory });
    write_json(&args.out.join("train.json"), &result)?;
    run.finished();
    if args.json {
        return say(&result.to_string());
    }
    let best = summary.best.map_or(String::new(), |best| {
        format!(", best validation loss {:.4} after step {}", best.nll, best.step)
    });
    say(&format!(
        "{} steps, {} tokens, loss {:.4}{best}; {written}",
        summary.steps, summary.tokens, summary.loss
    ))
}
