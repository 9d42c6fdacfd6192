//! Arguments of `regrowth evaluate`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use regrowth_datasets::Split;
use regrowth_mcts::config::JudgeForm;
use regrowth_mcts::flags::{EngineFlags, at_least_one};
use regrowth_mcts::prompting::PromptFlags;

use crate::cli::settings::StartFlags;
use crate::evaluate::Decoding;

/// Arguments of `regrowth evaluate`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// builtin, a checkpoint folder or .gguf file, http://host:port/v1#model (may be given several times),
    /// scripted[:FILE] or replay:FILE.
    #[arg(long, default_value = "builtin", help_heading = "Policy and problems")]
    pub(super) policy: Vec<String>,
    /// builtin:arithmetic, builtin:choice, builtin:countdown, or a file of a known format; may be given
    /// several times, as FILE:WEIGHT for a mixture.
    #[arg(
        long,
        default_value = "builtin:arithmetic",
        value_name = "FILE[:WEIGHT]",
        help_heading = "Policy and problems"
    )]
    pub(super) problems: Vec<String>,
    /// Number of bad rows of the problem files that are skipped with a message; one more is an error.
    #[arg(
        long,
        default_value_t = 0,
        value_name = "N",
        help_heading = "Policy and problems",
        hide = true
    )]
    pub(super) skip_bad: usize,
    /// Name of the task in the results [default: the source of the problems]; with `--protocol lm-eval`
    /// the task of lm-eval: arc_easy, arc_challenge, openbookqa, commonsense_qa, sciq, gsm8k, gsm8k_cot,
    /// minerva_math or hendrycks_math.
    #[arg(long, help_heading = "Policy and problems", hide = true)]
    pub(super) task: Option<String>,
    /// Source of prompts, few-shot examples and answer extraction: this program, or the lm-evaluation-harness
    /// 0.4.13 for `--task`. Figures of the two are not comparable.
    #[arg(
        long,
        value_enum,
        default_value_t = Protocol::Generative,
        help_heading = "Policy and problems",
        hide = true
    )]
    pub(super) protocol: Protocol,
    /// Format of the problem file, if it is not detected correctly
    /// [default: detected]
    #[arg(long, value_name = "NAME", help_heading = "Policy and problems", hide = true)]
    pub(super) format: Option<String>,
    /// Part of the problems: train, validation or test [default: test of a built-in task, all of
    /// a file].
    #[arg(long, help_heading = "Policy and problems", hide = true)]
    pub(super) split: Option<Split>,
    /// Maximum number of problems [default: 1000 of a built-in task, all of a file].
    #[arg(long, value_name = "N", help_heading = "Policy and problems")]
    pub(super) limit: Option<usize>,
    /// greedy, majority@K, best-of@K, mcts@K (the committed solution of a search with K simulations per root)
    /// or mcts-vote@K (majority vote over all solutions of a search with K simulations). No strategy sees the
    /// reference.
    #[arg(long, default_value = "greedy", help_heading = "Sampling")]
    pub(super) strategy: Decoding,
    /// Compare greedy, pass@k, majority, best-of and search at equal tokens, with 1, 2, 4, ... K samples per
    /// problem; --out also gets a page and curve.json (docs/evaluation.md)
    /// [default: one strategy is evaluated]
    #[arg(
        long,
        value_name = "K",
        value_parser = at_least_one::<NonZeroUsize>,
        conflicts_with_all = ["strategy", "samples", "log_likelihood"],
        help_heading = "Sampling"
    )]
    pub(super) curve: Option<NonZeroUsize>,
    /// Solutions sampled per problem for pass@k, in addition to those of the strategy
    /// [default: 0]
    #[arg(long, value_name = "N", help_heading = "Sampling", hide = true)]
    pub(super) samples: Option<usize>,
    /// Sampling temperature
    #[arg(long, value_name = "T", help_heading = "Sampling", hide = true)]
    pub(super) temperature: Option<f32>,
    /// Maximum number of tokens of a solution
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    pub(super) max_tokens: Option<usize>,
    #[command(flatten)]
    pub(super) start: StartFlags,
    /// Judge of the strategies that search
    #[arg(long, help_heading = "Sampling", hide = true)]
    pub(super) judge: Option<JudgeForm>,
    /// Another policy that judges the steps, for strategies that search (docs/judges.md)
    /// [default: none: the evaluated policy judges]
    #[arg(long, value_name = "POLICY", help_heading = "Sampling", hide = true)]
    pub(super) judge_policy: Option<String>,
    /// Command of a verifier that checks solutions, by JSON lines (docs/judges.md)
    /// [default: none: answers are compared with the reference]
    #[arg(long, value_name = "CMD", help_heading = "Sampling", hide = true)]
    pub(super) verifier_command: Option<String>,
    /// Stop string: a solution ends before this text; may be given several times
    /// [default: none]
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new(), help_heading = "Sampling", hide = true)]
    pub(super) stop: Vec<String>,
    #[command(flatten)]
    pub(super) prompts: PromptFlags,
    /// Print the prompt of the first problem, and stop.
    #[arg(long, help_heading = "Output", hide = true)]
    pub(super) show_prompt: bool,
    /// Score the options of multiple-choice problems by log-likelihood instead of generating.
    #[arg(long, help_heading = "Sampling", hide = true)]
    pub(super) log_likelihood: bool,
    /// Seed of all random numbers, and of the problems of a built-in task.
    #[arg(long, default_value_t = 0, help_heading = "Sampling")]
    pub(super) seed: u64,
    /// Folder for results_*.json and samples_*.jsonl
    /// [default: none are written]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub(super) out: Option<PathBuf>,
    /// Print the result as one JSON object.
    #[arg(long, help_heading = "Output")]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) engine: EngineFlags,
}

/// Evaluation protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Protocol {
    /// Solutions are generated in the policy's own prompt form; answers are read in any wording.
    Generative,
    /// Prompts and scoring of lm-eval's task.
    LmEval,
}
