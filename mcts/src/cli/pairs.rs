//! `mcts pairs`: extracts pairs (and step labels) again from written trees, with other rules and without a
//! model.

use std::path::PathBuf;

use clap::Args;
use regrowth_datasets::write_jsonl;

use super::failure::Failure;
use super::paths::check_output;
use super::rules::RuleFlags;
use super::summary::PairCounts;
use super::trees;
use super::{log, print_line};
use crate::labels::extract_step_labels;
use crate::pairs::{JointPairs, extract_rows};
use crate::{PairConfig, extract_pairs};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcts pairs --trees search --out pairs.jsonl --min-margin 0.3
  mcts pairs --trees runs/default --out pairs.jsonl --set pairs.rejected=second";

/// Arguments of `mcts pairs`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Input and output")]
pub(crate) struct Arguments {
    /// Trees: a file, or the folder of a search, of a round or of a run (all of its rounds)
    #[arg(long, value_name = "PATH")]
    trees: PathBuf,
    /// Output file of the pairs
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Output file of step labels, made from the outcomes below the steps: training data for a judge of
    /// steps, or a process reward model [default: none are written]
    #[arg(long, value_name = "FILE")]
    step_labels: Option<PathBuf>,
    /// Output file of joint pairs of trees without contrast, at most `pairs.joint` per round
    /// [default: none are written]
    #[arg(long, value_name = "FILE")]
    joint_pairs: Option<PathBuf>,
    /// Print the counts as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    rules: RuleFlags,
}

impl Arguments {
    /// Checks that no output would overwrite the trees or the other output.
    fn check_outputs(&self, trees: &[PathBuf]) -> Result<(), Failure> {
        let mut taken: Vec<_> = trees.iter().map(|file| ("--trees", file.as_path())).collect();
        check_output("--out", &self.out, &taken)?;
        taken.push(("--out", &self.out));
        for (flag, file) in
            [("--step-labels", &self.step_labels), ("--joint-pairs", &self.joint_pairs)]
        {
            if let Some(file) = file {
                check_output(flag, file, &taken)?;
                taken.push((flag, file));
            }
        }
        Ok(())
    }

    /// Checks that `--joint-pairs` and the setting `pairs.joint` agree. An output file for 0 pairs is an
    /// error; without an output file, a message says that the joint pairs are not written.
    fn check_joint(&self, config: &PairConfig) -> Result<(), Failure> {
        match (&self.joint_pairs, config.joint) {
            (Some(_), 0) => Err(Failure::usage(
                "--joint-pairs: `pairs.joint` is 0; set how many of a round at most, as in \
                 --set pairs.joint=100"
                    .to_owned(),
            )),
            (None, 1..) => {
                log("no joint pairs are written: name a file for them with --joint-pairs");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Runs the command.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let files = trees::files(&arguments.trees)?;
    arguments.check_outputs(&files)?;
    let config = arguments.rules.rules(&files[0])?;
    arguments.check_joint(&config)?;
    let mut counts = PairCounts::default();
    let (mut grown, mut solutions) = (0u64, JointPairs::default());
    extract_rows(&files, &arguments.out, |tree| {
        let extracted = extract_pairs(tree, &config);
        grown += 1;
        counts.add(&extracted);
        if arguments.joint_pairs.is_some() {
            solutions.add(tree);
        }
        extracted.pairs
    })?;
    if let Some(path) = &arguments.joint_pairs {
        let (joint, found) = solutions.pairs(config.joint);
        write_jsonl(path, &joint)?;
        counts.joint = Some(found);
    }
    let mut labels = 0u64;
    if let Some(path) = &arguments.step_labels {
        let rules = trees::step_labels(&files[0])?;
        extract_rows(&files, path, |tree| {
            let rows = extract_step_labels(tree, &rules);
            labels += rows.len() as u64;
            rows
        })?;
    }
    let PairCounts { pairs, dropped, flipped, joint, .. } = counts;
    if arguments.json {
        return print_line(
            &serde_json::json!({
                "trees": grown, "pairs": pairs, "pairs_dropped": dropped, "step_labels": labels,
                "pairs_flipped": flipped, "joint": joint,
            })
            .to_string(),
        );
    }
    let mut text = format!("{pairs} pairs from {grown} trees");
    if arguments.step_labels.is_some() {
        text.push_str(&format!("\n{labels} steps labelled"));
    }
    if let Some(joint) = joint {
        text.push_str(&format!("\n{}", joint.in_words()));
    }
    if flipped > 0 {
        text.push_str(&format!("\n{flipped} flipped by the ensemble"));
    }
    for (reason, count) in dropped {
        text.push_str(&format!("\n{count} dropped: {}", reason.name()));
    }
    print_line(&text)
}
