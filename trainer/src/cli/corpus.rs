//! `regrowth corpus`: writes tokenizer, configuration and corpus of the bundled model.

use std::path::PathBuf;

use regrowth_datasets::tasks::{CorpusConfig, TaskSpec};

use super::print_line;
use crate::{TrainError, bundled};

/// Arguments of `regrowth corpus`.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Corpus")]
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
    /// Tasks with their weights, as `builtin:arithmetic:2-4=0.7,builtin:choice=0.3`; the weight is 1 if
    /// omitted [default: arithmetic 0.55, choice 0.3, countdown 0.15].
    #[arg(long, value_name = "TASK=WEIGHT,...", value_delimiter = ',', value_parser = weighted)]
    tasks: Vec<(TaskSpec, f64)>,
    /// Scale of the probability that a chain merges operations into one step; 0 for none.
    #[arg(long, default_value_t = 1.0)]
    merge_scale: f64,
    /// Scale of the probability that a chain skips hops; 0 for none.
    #[arg(long, default_value_t = 1.0)]
    skip_scale: f64,
    /// Share of word-copying examples, which teach a model to look things up before anything else.
    #[arg(long, default_value_t = 0.0)]
    copy_share: f64,
    /// Share of skill tasks at the beginning of the corpus.
    #[arg(long, default_value_t = 0.5)]
    drill_share: f64,
    /// Share of solutions with one wrong step that the later steps build on.
    #[arg(long, default_value_t = 0.1)]
    wrong_share: f64,
    /// Share of self-evaluation examples.
    #[arg(long, default_value_t = 0.35)]
    judged_share: f64,
}

/// Parses a task with its weight.
fn weighted(text: &str) -> Result<(TaskSpec, f64), String> {
    let (task, weight) = text.split_once('=').unwrap_or((text, "1"));
    let task = task.parse::<TaskSpec>().map_err(|error| error.to_string())?;
    match weight.parse::<f64>() {
        Ok(weight) if weight > 0.0 && weight.is_finite() => Ok((task, weight)),
        _ => Err(format!("the weight `{weight}` is no number above 0")),
    }
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let defaults = CorpusConfig::default();
    let config = CorpusConfig {
        tasks: if args.tasks.is_empty() { defaults.tasks } else { args.tasks.clone() },
        seed: args.seed,
        merge_scale: args.merge_scale,
        skip_scale: args.skip_scale,
        copy_share: args.copy_share,
        drill_share: args.drill_share,
        wrong_share: args.wrong_share,
        judged_share: args.judged_share,
        ..defaults
    };
    bundled::write_init(&args.out.join("init"))?;
    let path = args.out.join("corpus.jsonl");
    bundled::write_corpus(&path, &config, args.examples)?;
    print_line(&format!("{} examples in {}", args.examples, path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_have_weights_above_0() {
        let spec = "builtin:arithmetic:2-4".parse::<TaskSpec>().unwrap();
        assert_eq!(weighted("builtin:arithmetic:2-4=0.7"), Ok((spec, 0.7)));
        assert_eq!(weighted("builtin:arithmetic:2-4"), Ok((spec, 1.0)));
        for wrong in
            ["builtin:geometry=1", "builtin:choice=0", "builtin:choice=inf", "builtin:choice="]
        {
            assert!(weighted(wrong).is_err(), "{wrong}");
        }
    }
}
