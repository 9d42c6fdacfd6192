//! Settings of a run: a preset, overridden by a TOML file, overridden by flags.

use std::path::{Path, PathBuf};

use regrowth_datasets::ProblemSources;
use regrowth_mcts::Preset;
use regrowth_mcts::config::JudgeForm;
use regrowth_mcts::console::log;
use regrowth_mcts::flags::EngineFlags;
use regrowth_mcts::frontend::{SetFlags, SettingsTree};
use regrowth_mcts::prompting::PromptFlags;
use regrowth_mcts::settings::{RENAMED_KEYS, SEARCH_KEYS, laid_over, overlay};
use regrowth_mcts::spelling::{breadth, expanded};
use regrowth_policy::{Boundary, joined};
use serde::Deserialize;
use toml::{Table, Value};

use crate::rounds::{Gate, ProblemSets, RunConfig, Variant};
use crate::train::loss::PreferenceLoss;
use crate::train::{JudgeLabels, LoraConfig};
use crate::{TrainError, inputs};

/// Flags of the initial settings.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Settings")]
pub(super) struct StartFlags {
    /// Settings file (TOML), as printed by `config`; flags override it, unknown keys are refused
    /// [default: none]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Named settings to start from, overridden by the file and the flags [default: the file's `preset`, or
    /// builtin with the policy of that name, chat with a checkpoint or server, default with any other]
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    #[command(flatten)]
    set: SetFlags,
}

/// Flags that determine the results of a run.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SettingArgs {
    #[command(flatten)]
    start: StartFlags,
    /// builtin, a checkpoint folder or .gguf file, http://host:port/v1#model (may be given several times),
    /// scripted[:FILE] or replay:FILE [default: builtin].
    #[arg(long, help_heading = "Policy and problems")]
    policy: Vec<String>,
    /// If --policy is a server: the checkpoint with its model's weights, which is trained and whose trained
    /// weights are served in the next round (docs/servers.md#rounds)
    /// [default: a served policy is not trained]
    #[arg(long, value_name = "DIR", help_heading = "Policy and problems", hide = true)]
    weights: Option<String>,
    /// builtin:arithmetic, builtin:choice, builtin:countdown, or a file of a known format; may be given
    /// several times, as FILE:WEIGHT for a mixture [default: builtin:arithmetic].
    #[arg(long, value_name = "FILE[:WEIGHT]", help_heading = "Policy and problems")]
    problems: Vec<String>,
    /// Number of bad rows of the problem files that are skipped with a message; one more is an error
    /// [default: 0].
    #[arg(long, value_name = "N", help_heading = "Policy and problems", hide = true)]
    skip_bad: Option<usize>,
    /// Format of the problem file, if it is not detected correctly
    /// [default: detected]
    #[arg(long, value_name = "NAME", help_heading = "Policy and problems", hide = true)]
    format: Option<String>,
    /// Test problems, never used for selection; validation problems come from --problems. Files or built-in
    /// tasks; may be given several times, as FILE:WEIGHT for a mixture
    /// [default: a part of --problems]
    #[arg(
        long,
        alias = "eval",
        value_name = "FILE[:WEIGHT]",
        help_heading = "Policy and problems"
    )]
    test: Vec<String>,
    #[command(flatten)]
    prompts: PromptFlags,
    /// The method or one of its baselines.
    #[arg(long, value_enum, help_heading = "Rounds", hide = true)]
    variant: Option<Variant>,
    /// Seed of training problems, search and training order.
    #[arg(long, help_heading = "Rounds", hide = true)]
    seed: Option<u64>,
    /// Number of rounds.
    #[arg(long, value_name = "N", help_heading = "Rounds")]
    rounds: Option<u32>,
    /// Training problems per round.
    #[arg(long, value_name = "N", help_heading = "Rounds")]
    problems_per_round: Option<usize>,
    /// Number of validation problems, which choose the best round.
    #[arg(long, value_name = "N", help_heading = "Rounds")]
    validation_problems: Option<usize>,
    /// Number of test problems, used once, at the end.
    #[arg(long, alias = "eval-problems", value_name = "N", help_heading = "Rounds", hide = true)]
    test_problems: Option<usize>,
    /// Action when a round makes the policy worse on validation problems.
    #[arg(long, value_enum, help_heading = "Rounds", hide = true)]
    gate: Option<Gate>,
    /// Share of the trained pairs that is drawn from earlier rounds, below 1.
    #[arg(long, value_name = "SHARE", help_heading = "Rounds", hide = true)]
    replay: Option<f64>,
    /// Number of rounds without a new best on validation problems after which the run ends; 0: never.
    #[arg(long, value_name = "N", help_heading = "Rounds", hide = true)]
    patience: Option<u32>,
    /// Minimum number of pairs of a round; with fewer, nothing is trained.
    #[arg(long, value_name = "N", help_heading = "Rounds", hide = true)]
    min_pairs: Option<usize>,
    /// Simulations per search root.
    #[arg(long, value_name = "K", help_heading = "Search")]
    simulations: Option<u64>,
    /// Factor on the simulations at the first root.
    #[arg(long, value_name = "F", help_heading = "Search", hide = true)]
    first_root_factor: Option<u64>,
    /// Number of candidates at the root and at deeper nodes.
    #[arg(long, value_name = "B1,B2", value_parser = breadth, help_heading = "Search", hide = true)]
    breadth: Option<[usize; 2]>,
    /// Maximum number of steps of a solution.
    #[arg(long, value_name = "D", help_heading = "Search", hide = true)]
    depth: Option<u32>,
    /// Step boundary; docs/steps.md has an example of each.
    #[arg(
        long,
        value_name = "paragraph|lines|newline|sentence|tokens@N|marker@TEXT|end",
        help_heading = "Search",
        hide = true
    )]
    boundary: Option<Boundary>,
    /// Weight of the prior term in PUCT.
    #[arg(long, value_name = "C", help_heading = "Search", hide = true)]
    c_puct: Option<f64>,
    /// Sampling temperature of the search.
    #[arg(long, value_name = "T", help_heading = "Search", hide = true)]
    temperature: Option<f32>,
    /// Peak learning rate.
    #[arg(long, value_name = "RATE", help_heading = "Training")]
    learning_rate: Option<f64>,
    /// Train an adapter of this rank instead of all weights, the same adapter over all rounds; 0 trains all
    /// weights.
    #[arg(long, value_name = "RANK", help_heading = "Training")]
    lora: Option<usize>,
    /// Preference loss, as `regrowth train --help` lists them.
    #[arg(long, help_heading = "Training", hide = true)]
    loss: Option<PreferenceLoss>,
    /// Inverse temperature of the preference loss.
    #[arg(long, help_heading = "Training", hide = true)]
    beta: Option<f64>,
    /// Weight of the chosen side's mean negative log-likelihood (TRL: rpo_alpha).
    #[arg(long, value_name = "WEIGHT", help_heading = "Training", hide = true)]
    nll: Option<f64>,
    /// Judge: how steps are self-evaluated.
    #[arg(long, help_heading = "Search", hide = true)]
    judge: Option<JudgeForm>,
    /// Another policy that judges the steps, in its own prompt form (docs/judges.md)
    /// [default: none: the searched policy judges]
    #[arg(long, value_name = "POLICY", help_heading = "Search", hide = true)]
    judge_policy: Option<String>,
    /// Command of a verifier that checks finished solutions, by JSON lines (docs/judges.md)
    /// [default: none: answers are compared with the reference]
    #[arg(long, value_name = "CMD", help_heading = "Search", hide = true)]
    verifier_command: Option<String>,
    /// Weight of the judge's loss on steps with known outcomes, relative to the loss of the pairs; 0 disables
    /// judge training.
    #[arg(long, value_name = "WEIGHT", help_heading = "Training", hide = true)]
    judge_weight: Option<f64>,
    /// Target of the judge: the share of right solutions through a step (value), or whether there is any
    /// (reached).
    #[arg(long, value_enum, help_heading = "Training", hide = true)]
    judge_labels: Option<JudgeLabels>,
    /// Number of passes over the pairs of a round.
    #[arg(long, value_name = "N", help_heading = "Training", hide = true)]
    epochs: Option<usize>,
    /// Command that trains instead of this program; it receives REGROWTH_PAIRS, REGROWTH_POLICY,
    /// REGROWTH_REFERENCE, REGROWTH_OUT, REGROWTH_ROUND, REGROWTH_SEED and REGROWTH_RUN
    /// [default: none]
    #[arg(long, value_name = "CMD", help_heading = "Training", hide = true)]
    trainer_command: Option<String>,
}

impl SettingArgs {
    /// Returns the effective, validated settings, and the engine flags: those of the file, overridden by
    /// `engine`.
    pub(super) fn load(
        &self,
        engine: &EngineFlags,
    ) -> Result<(RunConfig, EngineFlags), TrainError> {
        let (mut config, engine) =
            self.start.base(&self.policy, self.weights.as_deref(), engine)?;
        self.apply(&mut config)?;
        let variant = self.variant.unwrap_or(config.variant);
        variant.apply(&mut config);
        config.check()?;
        decide_shots(&mut config)?;
        Ok((config, engine))
    }

    fn apply(&self, config: &mut RunConfig) -> Result<(), TrainError> {
        set(&mut config.problems, &ProblemSources::joined(&self.problems)?);
        set(&mut config.skip_bad, &self.skip_bad);
        config.weights = self.weights.clone().or(config.weights.take());
        config.format = self.format.clone().or(config.format.take());
        config.test = ProblemSources::joined(&self.test)?.or(config.test.take());
        config.trainer_command = self.trainer_command.clone().or(config.trainer_command.take());
        config.set_prompts(&self.prompts);
        set(&mut config.rounds, &self.rounds);
        set(&mut config.problems_per_round, &self.problems_per_round);
        set(&mut config.validation_problems, &self.validation_problems);
        set(&mut config.test_problems, &self.test_problems);
        set(&mut config.gate, &self.gate);
        set(&mut config.replay, &self.replay);
        set(&mut config.patience, &self.patience);
        set(&mut config.min_pairs, &self.min_pairs);
        if let Some(seed) = self.seed {
            config.seed = seed;
            config.search.seed = seed;
            config.dpo.seed = seed;
            config.sft.seed = seed;
        }
        let search = &mut config.search;
        set(&mut search.simulations, &self.simulations);
        set(&mut search.first_root_factor, &self.first_root_factor);
        set(&mut search.breadth, &self.breadth);
        set(&mut search.max_depth, &self.depth);
        set(&mut search.boundary, &self.boundary);
        set(&mut search.c_puct, &self.c_puct);
        set(&mut search.value.judge, &self.judge);
        let judge = &mut search.value.judge_policy;
        *judge = self.judge_policy.clone().or(judge.take());
        let command = &mut search.verifier.command;
        *command = self.verifier_command.clone().or(command.take());
        set(&mut search.sampling.temperature, &self.temperature);
        set(&mut config.dpo.learning_rate, &self.learning_rate);
        set(&mut config.sft.learning_rate, &self.learning_rate);
        if let Some(rank) = self.lora {
            // Targets, dropout and scale of a settings file are kept.
            let at_rank = |lora: &LoraConfig| lora.at_rank(rank);
            let of_rank = |before: &Option<LoraConfig>| {
                let lora = before.as_ref().map_or_else(|| LoraConfig::of_rank(rank), at_rank);
                (rank > 0).then_some(lora)
            };
            config.dpo.lora = of_rank(&config.dpo.lora);
            config.sft.lora = of_rank(&config.sft.lora);
        }
        set(&mut config.dpo.loss, &self.loss);
        set(&mut config.dpo.beta, &self.beta);
        set(&mut config.dpo.nll, &self.nll);
        set(&mut config.dpo.judge.weight, &self.judge_weight);
        set(&mut config.dpo.judge.labels, &self.judge_labels);
        set(&mut config.dpo.epochs, &self.epochs);
        set(&mut config.sft.epochs, &self.epochs);
        Ok(())
    }
}

/// Writes the default number of few-shot examples into the settings if there is one, so that the run records
/// how many it uses.
fn decide_shots(config: &mut RunConfig) -> Result<(), TrainError> {
    let wanted = match config.shots {
        Some(_) => 0,
        None => config.prompts().default_shots(&config.policy)?,
    };
    if wanted > 0 {
        let shots = ProblemSets::read(&RunConfig { shots: None, ..config.clone() })?
            .examples(config, 0..=wanted)?;
        config.shots = Some(shots.len());
    }
    Ok(())
}

impl StartFlags {
    /// Returns the settings (a preset, overridden by a settings file and by `--set`) and the engine flags
    /// (those of the file, overridden by `engine`). The policy is that of the flags, else that of the file,
    /// else the bundled model. If no preset is named, it is that of the policy's kind. `weights` are those of
    /// a served policy.
    pub(super) fn base(
        &self,
        policy: &[String],
        weights: Option<&str>,
        engine: &EngineFlags,
    ) -> Result<(RunConfig, EngineFlags), TrainError> {
        let file = match &self.config {
            Some(path) => {
                let table = read(path)?;
                let bad = |detail| TrainError::File { path: path.clone(), detail };
                known().check(&table).map_err(bad)?;
                let table = in_full(known().spelled(table)).map_err(bad)?;
                // The file is also read alone, so that an error in it is not attributed to a flag.
                self.read(table.clone(), policy, weights).map_err(|e| bad(e.to_string()))?;
                table
            }
            None => Table::new(),
        };
        let bad = |detail| TrainError::Setting { name: "set", detail };
        let table = self.set.over(file, &known()).and_then(in_full).map_err(bad)?;
        let (config, below) = self.read(table, policy, weights).map_err(|e| bad(e.to_string()))?;
        let engine = laid_over(&below, engine).map_err(|e| bad(e.to_string()))?;
        Ok((RunConfig { policy: joined(policy)?.unwrap_or(config.policy), ..config }, engine))
    }

    /// Reads the settings in a table, over those of its preset.
    fn read(
        &self,
        mut table: Table,
        policy: &[String],
        weights: Option<&str>,
    ) -> Result<(RunConfig, EngineFlags), toml::de::Error> {
        let engine = table.remove("engine").unwrap_or_else(|| Table::new().into()).try_into()?;
        let named = table.get("policy").and_then(Value::as_str);
        let policy = policy.first().map(String::as_str).or(named).unwrap_or("builtin");
        let preset = match (self.preset, table.get("preset")) {
            (Some(preset), _) => preset,
            (None, Some(value)) => value.clone().try_into()?,
            (None, None) => Preset::of_policy(policy),
        };
        let mut defaults = RunConfig::of(preset);
        let weights = weights.or(table.get("weights").and_then(Value::as_str));
        if let Some(lora) = lora_of_adapter(weights.unwrap_or(policy)) {
            defaults.dpo.lora = Some(lora.clone());
            defaults.sft.lora = Some(lora);
        }
        let base = Table::try_from(defaults).map_err(serde::de::Error::custom)?;
        let config = RunConfig::deserialize(overlay(base, table))?;
        Ok((RunConfig { preset, ..config }, engine))
    }
}

/// Returns the LoRA settings under which an adapter is trained further; `None` if `policy` is no adapter.
/// Unknown names are reported when the policy is loaded.
pub(super) fn lora_of_adapter(policy: &str) -> Option<LoraConfig> {
    inputs::weights(policy).ok().flatten().as_ref().and_then(LoraConfig::of_adapter)
}

/// Every key of a settings file that `regrowth` reads.
pub(super) fn known() -> SettingsTree {
    SettingsTree::of::<RunConfig>()
        .with::<EngineFlags>("engine", "How a policy is run.")
        .with_old_names(&RENAMED_KEYS)
}

/// Expands values written as one word, such as `tokens@40` or `simpo:gamma=1`, into tables.
fn in_full(table: Table) -> Result<Table, String> {
    let mut table = expanded(table)?;
    if let Some(Value::Table(dpo)) = table.get_mut("dpo") {
        named_loss(dpo)?;
    }
    Ok(table)
}

/// Expands the loss in the table of preference training.
pub(super) fn named_loss(dpo: &mut Table) -> Result<(), String> {
    if let Some(Value::String(text)) = dpo.get("loss") {
        let loss: PreferenceLoss = text.parse().map_err(|e| format!("`dpo.loss`: {e}"))?;
        dpo.insert("loss".to_owned(), Value::try_from(loss).map_err(|e| e.to_string())?);
    }
    Ok(())
}

fn set<T: Clone>(place: &mut T, value: &Option<T>) {
    if let Some(value) = value {
        *place = value.clone();
    }
}

/// Reads a settings file without the keys that only the `mcts` program uses: one file serves both programs.
pub(super) fn read(path: &Path) -> Result<Table, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    let mut table = text
        .parse::<Table>()
        .map_err(|e| TrainError::File { path: path.to_owned(), detail: e.to_string() })?;
    for key in SEARCH_KEYS {
        if table.remove(key).is_some() {
            log(&format!("{}: only `mcts` uses {key}", path.display()));
        }
    }
    Ok(table)
}
