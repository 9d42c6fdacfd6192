//! `regrowth corpus`: tokenizer, shape and corpus of the embedded model.

use std::path::PathBuf;

use regrowth_datasets::tasks::CorpusConfig;

use crate::{TrainError, seedling};

/// Arguments of `regrowth corpus`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for `init/` (everything but weights) and `corpus.jsonl`.
    #[arg(long)]
    out: PathBuf,
    /// Number of examples.
    #[arg(long, default_value_t = 300_000)]
    examples: usize,
    /// Seed of the corpus.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Scale of the probability that a chain merges operations into one step; 0 for none.
    #[arg(long, default_value_t = 1.0)]
    merge_scale: f64,
    /// Scale of the probability that a chain skips hops; 0 for none.
    #[arg(long, default_value_t = 1.0)]
    skip_scale: f64,
    /// Share of copied words: what a model learns to look up with, before anything else.
    #[arg(long, default_value_t = 0.0)]
    copy_share: f64,
    /// Share of drills at the start.
    #[arg(long, default_value_t = 0.5)]
    drill_share: f64,
    /// Share of chains with one wrong step that is carried through.
    #[arg(long, default_value_t = 0.1)]
    wrong_share: f64,
    /// Share of self-evaluation examples.
    #[arg(long, default_value_t = 0.35)]
    judged_share: f64,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let config = CorpusConfig {
        seed: args.seed,
        merge_scale: args.merge_scale,
        skip_scale: args.skip_scale,
        copy_share: args.copy_share,
        drill_share: args.drill_share,
        wrong_share: args.wrong_share,
        judged_share: args.judged_share,
        ..CorpusConfig::default()
    };
    seedling::write_init(&args.out.join("init"))?;
    let path = args.out.join("corpus.jsonl");
    seedling::write_corpus(&path, &config, args.examples)?;
    println!("{} examples in {}", args.examples, path.display());
    Ok(())
}
