//! Flags of `mcts search` that affect the result.
//!
//! `sources.rs` reads the settings that these flags override.

use std::num::NonZeroUsize;

use clap::Args;
use regrowth_datasets::{ProblemSources, TokenId};
use regrowth_policy::{Boundary, joined};

use super::failure::Failure;
use super::log;
use super::pair_flags::PairFlags;
use super::parse::{self, set};
use super::search_plan::SearchPlan;
use super::settings::{RunSettings, Settings, unwritable};
use super::shard::Shard;
use super::sources::{StartFlags, start};
use crate::SearchConfig;
use crate::config::{CommitRule, JudgeForm, Selection, Strategy};
use crate::flags::{EngineFlags, at_least_one};
use crate::pairs::PairValues;
use crate::prompting::PromptFlags;
use crate::settings::laid_over;
use crate::spelling::breadth;
use crate::stop::StopRule;

/// Flags that change settings.
#[derive(Debug, Args)]
#[command(next_help_heading = "Search")]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(super) start: StartFlags,
    /// Problems: builtin:arithmetic, builtin:choice, builtin:countdown, or a file of a known format; may be
    /// given several times, as FILE:WEIGHT for a mixture [default: builtin:arithmetic]
    #[arg(long, value_name = "FILE[:WEIGHT]", help_heading = "Policy and problems")]
    problems: Vec<String>,
    /// Number of bad rows of the problem files to skip, each with a message; one more is an error [default:
    /// 0]
    #[arg(long, value_name = "N", help_heading = "Policy and problems", hide = true)]
    skip_bad: Option<usize>,
    /// Format of the problem file, if detection is wrong [default: detected]
    #[arg(long, value_name = "NAME", help_heading = "Policy and problems", hide = true)]
    format: Option<String>,
    /// Search only the first N problems [default: 200 of a built-in task, all of a file]
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>, help_heading = "Policy and problems")]
    limit: Option<NonZeroUsize>,
    #[command(flatten)]
    prompts: PromptFlags,
    /// Simulations per search root
    #[arg(long, value_name = "K")]
    simulations: Option<u64>,
    /// Factor of the simulations at the first root
    #[arg(long, value_name = "F", hide = true)]
    first_root_factor: Option<u64>,
    /// Number of candidates at the root and at deeper nodes
    #[arg(long, value_name = "B1,B2", value_parser = breadth, hide = true)]
    breadth: Option<[usize; 2]>,
    /// Maximum number of steps of a solution
    #[arg(long, value_name = "D", hide = true)]
    depth: Option<u32>,
    /// Where a step ends; docs/steps.md has an example of each
    #[arg(
        long,
        value_name = "paragraph|lines|newline|sentence|tokens@N|marker@TEXT|end",
        hide = true
    )]
    boundary: Option<Boundary>,
    /// Sampling temperature; 0 is greedy
    #[arg(long, value_name = "T", hide = true)]
    temperature: Option<f32>,
    /// Weight of the exploration term
    #[arg(long, value_name = "C", hide = true)]
    c_puct: Option<f64>,
    /// Strategy that selects the node to expand next; the last three are baselines
    #[arg(long, value_name = "mcts|beam@W|best-of@N|greedy", value_parser = SearchPlan::parse)]
    strategy: Option<SearchPlan>,
    /// Form of the selection score
    #[arg(long, value_name = "puct|uct", value_parser = parse::selection, hide = true)]
    selection: Option<Selection>,
    /// Rule that selects the child of a search root that becomes the next root
    #[arg(
        long,
        value_name = "spread-visits|spread-value|visits|value|sampled|tempered@T[,DECAY]",
        hide = true
    )]
    commit: Option<CommitRule>,
    /// Rules that end the simulations of a root early, or a beam (nodes, tokens, millis, same-outcome) after
    /// a level; may be given several times [default: none]
    #[arg(
        long,
        value_name = "simulations@N|nodes@N|tokens@N|millis@N|decided|same-outcome@N",
        hide = true
    )]
    stop: Vec<StopRule>,
    /// A text that ends a solution besides EOS; may be given several times
    /// [default: none]
    #[arg(long, value_name = "TEXT", hide = true)]
    stop_string: Vec<String>,
    /// A token that ends a solution besides EOS; may be given several times
    /// [default: none]
    #[arg(long, value_name = "ID", hide = true)]
    stop_id: Vec<TokenId>,
    /// Number of simulations of one tree in flight at once (affects the result)
    #[arg(long, value_name = "W", hide = true)]
    leaves_in_flight: Option<usize>,
    /// Seed of every random number
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Whether the outcome reward sees the reference answers
    #[arg(long, value_name = "BOOL")]
    oracle: Option<bool>,
    /// Whether the policy judges every step
    #[arg(long, value_name = "BOOL", hide = true)]
    self_evaluation: Option<bool>,
    /// How steps are judged
    #[arg(long, hide = true)]
    judge: Option<JudgeForm>,
    /// Another policy that judges the steps, in its own prompt format (docs/judges.md) [default: none: the
    /// searched policy judges]
    #[arg(long, value_name = "POLICY", hide = true)]
    judge_policy: Option<String>,
    /// Command of a process that checks finished solutions over JSON lines (docs/judges.md) [default: none:
    /// answers are compared with the reference]
    #[arg(long, value_name = "CMD", hide = true)]
    verifier_command: Option<String>,
    /// Replace the results of another search in the output folder
    #[arg(long, help_heading = "Output", hide = true)]
    pub(super) force: bool,
    /// Search part I of N of the problems, in a separate folder in --out; `mcts merge` merges the parts
    /// (docs/cluster.md) [default: all problems]
    #[arg(
        long,
        value_name = "I/N",
        help_heading = "Output",
        hide = true,
        conflicts_with = "force"
    )]
    pub(super) shard: Option<Shard>,
    #[command(flatten)]
    pairs: PairFlags,
    #[command(flatten)]
    pub(super) run: RunSettings,
    #[command(flatten)]
    pub(super) engine: EngineFlags,
}

impl Flags {
    /// The effective settings, after range checks.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let (mut settings, _) = start(&self.start)?;
        self.apply(&mut settings)?;
        settings.run = laid_over(&settings.run, &self.run).map_err(|e| unwritable(&e))?;
        settings.engine = laid_over(&settings.engine, &self.engine).map_err(|e| unwritable(&e))?;
        settings.check()?;
        self.note_idle(&settings.search);
        Ok(settings)
    }

    /// Logs which of the given flags have no effect with the selected strategy.
    fn note_idle(&self, search: &SearchConfig) {
        if search.strategy == Strategy::Mcts {
            return;
        }
        let given = [
            ("--simulations", self.simulations.is_some()),
            ("--first-root-factor", self.first_root_factor.is_some()),
            ("--c-puct", self.c_puct.is_some()),
            ("--selection", self.selection.is_some()),
            ("--commit", self.commit.is_some()),
            ("--leaves-in-flight", self.leaves_in_flight.is_some()),
        ];
        for (flag, _) in given.iter().filter(|(_, given)| *given) {
            log(format!("{flag} does nothing: this strategy simulates nothing"));
        }
    }

    /// Applies the flags that affect the result.
    fn apply(&self, settings: &mut Settings) -> Result<(), Failure> {
        set(&mut settings.policy, joined(&self.start.policy)?);
        set(&mut settings.problems, ProblemSources::joined(&self.problems)?);
        set(&mut settings.skip_bad, self.skip_bad);
        settings.format = self.format.clone().or(settings.format.take());
        settings.limit = self.limit.or(settings.limit);
        settings.set_prompts(&self.prompts);
        let search = &mut settings.search;
        if let Some(plan) = self.strategy {
            plan.apply(search);
            if plan != SearchPlan::Mcts {
                // These strategies do not commit step by step.
                settings.pairs.values = PairValues::End;
            }
        }
        set(&mut search.simulations, self.simulations);
        set(&mut search.first_root_factor, self.first_root_factor);
        set(&mut search.breadth, self.breadth);
        set(&mut search.max_depth, self.depth);
        set(&mut search.boundary, self.boundary.clone());
        set(&mut search.sampling.temperature, self.temperature);
        set(&mut search.selection, self.selection);
        set(&mut search.c_puct, self.c_puct);
        set(&mut search.commit, self.commit);
        set(&mut search.leaves_in_flight, self.leaves_in_flight);
        set(&mut search.seed, self.seed);
        set(&mut search.value.oracle, self.oracle);
        set(&mut search.value.self_evaluation, self.self_evaluation);
        set(&mut search.value.judge, self.judge);
        let judge = &mut search.value.judge_policy;
        *judge = self.judge_policy.clone().or(judge.take());
        let command = &mut search.verifier.command;
        *command = self.verifier_command.clone().or(command.take());
        if !self.stop.is_empty() {
            search.stop.clone_from(&self.stop);
        }
        if !self.stop_string.is_empty() {
            search.stop_at.strings.clone_from(&self.stop_string);
        }
        if !self.stop_id.is_empty() {
            search.stop_at.ids.clone_from(&self.stop_id);
        }
        self.pairs.apply(&mut settings.pairs);
        Ok(())
    }
}
