//! `regrowth sft`: supervised fine-tuning from a checkpoint or from nothing.

use std::ops::ControlFlow;
use std::path::PathBuf;

use candle_core::Device;
use regrowth_datasets::read_jsonl;
use regrowth_policy::candle::{Checkpoint, SaveOptions, Source, Tokenizer};

use crate::TrainError;
use crate::train::{
    Model, OptimizerKind, Progress, Row, ScheduleKind, SftConfig, read_examples, train_sft,
};

/// Arguments of `regrowth sft`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Checkpoint to start from: a folder in Hugging Face layout, or `builtin`.
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
    /// Highest learning rate.
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    /// Passes over the data.
    #[arg(long, default_value_t = 1)]
    epochs: usize,
    /// Tokens of one optimizer step.
    #[arg(long, default_value_t = 8192)]
    batch_tokens: usize,
    /// Tokens of one micro-batch.
    #[arg(long, default_value_t = 2048)]
    micro_tokens: usize,
    /// Use Muon for the matrices inside the layers.
    #[arg(long)]
    muon: bool,
    /// Keep the order of the file (a curriculum).
    #[arg(long)]
    in_order: bool,
    /// Form of the learning rate's decay: constant, linear or cosine.
    #[arg(long, default_value = "cosine", value_parser = parse_schedule)]
    schedule: ScheduleKind,
    /// Seed of initialisation and order.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Micro-batches worked on at once [default: number of cores].
    #[arg(long)]
    threads: Option<usize>,
}

pub(super) fn parse_schedule(text: &str) -> Result<ScheduleKind, String> {
    serde_json::from_value(text.into())
        .map_err(|_| format!("`{text}` is not one of constant, linear, cosine"))
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let model = match &args.init {
        Some(dir) => Model::fresh(Source::folder(dir)?, args.seed)?,
        None => {
            let source = Source::named(&args.policy)?;
            Model::from_checkpoint(&Checkpoint::read(source, &Device::Cpu)?)?
        }
    };
    let mut config = SftConfig {
        seed: args.seed,
        epochs: args.epochs,
        shuffle: !args.in_order,
        batch_tokens: args.batch_tokens,
        micro_tokens: args.micro_tokens,
        learning_rate: args.learning_rate,
        schedule: args.schedule,
        ..SftConfig::default()
    };
    if args.muon {
        config.optimizer.kind = OptimizerKind::Muon;
    }
    let tokenizer = Tokenizer::read(&model.origin, &model.config)?;
    let rows: Vec<Row> = read_jsonl(&args.data)?;
    let examples = read_examples(rows, &tokenizer, model.config.context)?;
    std::fs::create_dir_all(&args.out).map_err(TrainError::io(&args.out))?;
    let threads = args.threads.unwrap_or_else(crate::cli::cores);
    let state = args.out.join("state");
    std::fs::create_dir_all(&state).map_err(TrainError::io(&state))?;
    let bar = super::progress::bar("sft");
    let summary =
        train_sft(&model, &examples, &config, threads, Some(&state), &mut |p: &Progress| {
            super::progress::step(&bar, p);
            ControlFlow::Continue(())
        })?;
    bar.finish_and_clear();
    model.save(&args.out.join("checkpoint"), SaveOptions::default())?;
    println!(
        "{} steps, {} tokens, loss {:.4}; checkpoint in {}",
        summary.steps,
        summary.tokens,
        summary.loss,
        args.out.join("checkpoint").display()
    );
    Ok(())
}
