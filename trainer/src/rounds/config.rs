//! Settings of a run (`regrowth iterate`), with the source of each default.
//!
//! Settings that only change speed (threads, batch sizes, devices) are not here, so two runs with equal
//! settings have equal results. "Paper" is Xie et al. 2024, arXiv:2405.00451; "code" is its
//! authors' program (docs/paper.md).

use std::path::PathBuf;

use regrowth_mcts::labels::StepLabelConfig;
use regrowth_mcts::prompting::PromptFlags;
use regrowth_mcts::{PairConfig, Preset, SearchConfig};
use regrowth_policy::PromptName;
use regrowth_policy::candle::Source;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::variant::Variant;
use crate::TrainError;
use crate::inputs::{self, is_served};
use crate::train::{DpoConfig, SftConfig};

/// Settings of a run. Unknown keys are an error; a missing key gets the value of the preset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Policy of round 0: `builtin`, a checkpoint folder or GGUF file, a server (`http://host:port/v1#model`),
    /// `scripted`, `replay:FILE`.
    pub policy: String,
    /// If `policy` is a server: the checkpoint with its weights. Rounds train it and load the result into
    /// the server (docs/servers.md#rounds). Without it, a served policy is searched but not trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Problems: `builtin:NAME`, a file, or several with weights, separated by commas; split by content
    /// into training, validation and test problems.
    pub problems: String,
    /// Maximum number of bad rows of problem files to skip (default 0: the first one is an error).
    #[serde(skip_serializing_if = "is_zero")]
    pub skip_bad: usize,
    /// Format of the problem file; set it if detection is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Source of the test problems, written like `problems`, which is then split into training and
    /// validation only. Without it, a part of `problems` is the test set.
    #[serde(alias = "eval", skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// Prompt format: `boxed`, `gsm8k`, `choice`, `plain` or a template file. Without it, the format
    /// stored with the checkpoint, else the default for chat models or base models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptName>,
    /// Few-shot examples before each question. Without it, 4 for a model without a chat template if
    /// examples are available, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shots: Option<usize>,
    /// File with the few-shot examples (its training part). Without it, they are training problems of the
    /// run, which are then excluded from training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shots_from: Option<PathBuf>,
    /// Preset that the other settings started from.
    pub preset: Preset,
    /// The method, or a baseline or ablation to compare it with.
    pub variant: Variant,
    /// Seed of training problems, search and training order.
    pub seed: u64,
    /// Seed of the validation and test problems of a built-in task, which are the same for every `seed`.
    #[serde(alias = "eval_seed", alias = "exam_seed")]
    pub test_seed: u64,
    /// Number of rounds, at least 1 (default 3).
    pub rounds: u32,
    /// Number of training problems searched per round, at least 1.
    pub problems_per_round: usize,
    /// Number of validation problems. They choose the best round and decide the gate.
    pub validation_problems: usize,
    /// Number of test problems. They are used once, after the last round, and never for selection.
    #[serde(alias = "eval_problems")]
    pub test_problems: usize,
    /// What to do when a round lowers the accuracy on validation problems.
    pub gate: Gate,
    /// Loss in validation accuracy at which a round is still accepted, in [0, 1].
    pub gate_slack: f64,
    /// If true, each round searches with the latest policy (paper: online); if false, always with the
    /// policy of round 0 (paper: offline).
    pub on_policy: bool,
    /// Reference policy of the DPO loss.
    pub reference: ReferenceKind,
    /// If true, one optimizer state and one learning rate schedule span the whole run (code); if false,
    /// each round starts new ones (default). Needs `dpo.batch_trees`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub carry_optimizer: bool,
    /// Validate every N rounds, N at least 1 (default 1), and after the last one. Rounds in between are
    /// accepted without validation, and their checkpoints are removed when no longer needed.
    #[serde(skip_serializing_if = "is_one")]
    pub validate_every: u32,
    /// Training objective.
    pub objective: Objective,
    /// Share of the training pairs that is drawn from earlier rounds, in [0, 1) (default 0: paper).
    pub replay: f64,
    /// End the run after this many rounds in a row without a new best validation accuracy; 0 never ends
    /// it early (default 0: paper).
    pub patience: u32,
    /// Number of validation problems for the estimate of the KL divergence from the base policy, with one
    /// sampled solution each; 0 turns it off (default 64).
    #[serde(alias = "probe_problems")]
    pub kl_problems: usize,
    /// For `--judge likelihood`, `answers` and `probe`: the first N problems of a round use the previous
    /// round's calibration; the others use one fitted to the outcomes of these N. If N is 0 or at least
    /// `problems_per_round`, all problems use the previous round's (default 100: experiment 0012).
    pub calibration_problems: usize,
    /// A round with fewer pairs (or solutions) skips its training: a handful would be memorised.
    pub min_pairs: usize,
    /// Maximum number of distinct right solutions per problem, for `objective = "correct-solutions"`.
    pub max_solutions: usize,
    /// If true, problems with fewer than `max_solutions` right solutions in this round are filled up with
    /// those of earlier rounds, the latest first, for `objective = "correct-solutions"` (default false:
    /// STaR).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_solutions: bool,
    /// Search settings.
    pub search: SearchConfig,
    /// Rules for extracting pairs from the trees.
    pub pairs: PairConfig,
    /// Rules for the judge's training examples (step labels), used if `dpo.judge` trains the judge.
    pub step_labels: StepLabelConfig,
    /// Preference training.
    pub dpo: DpoConfig,
    /// Supervised training, for objectives without rejected sides.
    pub sft: SftConfig,
    /// External trainer command (docs/rounds.md#external-trainer).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trainer_command: Option<String>,
}

/// Omits a setting at its default value, so that files written before it existed stay equal.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What to do when a round lowers the validation accuracy.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// The new policy is rejected; the next round starts from the same policy as this one.
    #[default]
    #[serde(alias = "keep")]
    #[value(alias = "keep")]
    Reject,
    /// The run ends.
    Stop,
    /// Every new policy is accepted.
    Off,
}

/// Reference policy of the DPO loss (docs/paper.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReferenceKind {
    /// The policy at the start of the round (paper).
    #[default]
    RoundStart,
    /// The policy of round 0 (code).
    Initial,
}

/// Training objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Preference pairs (paper).
    #[default]
    Preferences,
    /// Supervised training on the chosen sides of the same pairs.
    ChosenSteps,
    /// Supervised training on whole right solutions (STaR, arXiv:2203.14465).
    CorrectSolutions,
}

fn is_one(rounds: &u32) -> bool {
    *rounds == 1
}

impl Default for RunConfig {
    fn default() -> Self {
        Self::of(Preset::Default)
    }
}

impl RunConfig {
    /// Weights of the policy `spec`; `None` if it has none to train.
    ///
    /// # Errors
    /// If `spec` is neither a known name nor a checkpoint.
    pub fn weights_of(&self, spec: &str) -> Result<Option<Source>, TrainError> {
        match &self.weights {
            Some(weights) if spec == self.policy => Ok(Some(Source::named(weights)?)),
            _ => inputs::weights(spec),
        }
    }

    /// Whether this round is validated.
    #[must_use]
    pub fn validates(&self, round: u32) -> bool {
        round.is_multiple_of(self.validate_every) || round == self.rounds
    }

    /// Number of optimizer steps of the whole run if every problem's tree gives pairs.
    #[must_use]
    pub fn planned_steps(&self) -> usize {
        let batch = self.dpo.batch_trees.unwrap_or(self.problems_per_round).max(1);
        self.rounds as usize * self.problems_per_round.div_ceil(batch) * self.dpo.epochs
    }

    /// Prompt settings.
    #[must_use]
    pub fn prompts(&self) -> PromptFlags {
        PromptFlags {
            prompt: self.prompt.clone(),
            shots: self.shots,
            shots_from: self.shots_from.clone(),
        }
    }

    /// Applies the command line's prompt flags.
    pub fn set_prompts(&mut self, flags: &PromptFlags) {
        let PromptFlags { prompt, shots, shots_from } = flags.over(&self.prompts());
        (self.prompt, self.shots, self.shots_from) = (prompt, shots, shots_from);
    }

    /// Checks all ranges and that settings fit each other.
    ///
    /// # Errors
    /// [`TrainError::Setting`] or [`TrainError::Search`] naming the first setting that is wrong.
    pub fn check(&self) -> Result<(), TrainError> {
        self.search.check()?;
        self.pairs.check()?;
        self.pairs.check_for(&self.search)?;
        self.step_labels.check()?;
        let weight = self.dpo.judge.weight;
        check("dpo.judge.weight", weight.is_finite() && weight >= 0.0, || {
            format!("is {weight}; expected a number of at least 0")
        })?;
        check("dpo.rationale", self.dpo.rationale == 0.0, || {
            let weight = self.dpo.rationale;
            format!("is {weight}; expected 0: pairs of a search have no rationale (regrowth train)")
        })?;
        check("weights", self.weights.is_none() || is_served(&self.policy), || {
            let policy = &self.policy;
            format!("are those of a served policy, but the policy is `{policy}`, which has its own")
        })?;
        self.check_counts()?;
        self.check_gate()?;
        self.check_data()?;
        for lora in self.dpo.lora.iter().chain(&self.sft.lora) {
            lora.check()?;
        }
        let rates = [
            ("dpo.learning_rate", self.dpo.learning_rate),
            ("dpo.beta", self.dpo.beta),
            ("sft.learning_rate", self.sft.learning_rate),
        ];
        for (name, value) in rates {
            let ok = value.is_finite() && value > 0.0;
            check(name, ok, || format!("is {value}; expected a number above 0"))?;
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), TrainError> {
        let at_least_one = [
            ("rounds", self.rounds as usize),
            ("validate_every", self.validate_every as usize),
            ("problems_per_round", self.problems_per_round),
            ("test_problems", self.test_problems),
            ("max_solutions", self.max_solutions),
            ("dpo.epochs", self.dpo.epochs),
            ("dpo.batch_pairs", self.dpo.batch_pairs),
            ("dpo.batch_trees", self.dpo.batch_trees.unwrap_or(1)),
            ("sft.epochs", self.sft.epochs),
            ("sft.batch_tokens", self.sft.batch_tokens),
        ];
        for (name, value) in at_least_one {
            check(name, value >= 1, || format!("is {value}; expected at least 1"))?;
        }
        Ok(())
    }

    fn check_gate(&self) -> Result<(), TrainError> {
        let validated = self.gate == Gate::Off || self.validation_problems >= 1;
        check("validation_problems", validated, || {
            "is 0, but the gate needs some; set it, or --gate off".into()
        })?;
        let slack = self.gate_slack;
        check("gate_slack", (0.0..=1.0).contains(&slack), || {
            format!("is {slack}; expected a number in [0, 1]")
        })
    }

    /// Checks that the training data settings fit the objective and the trainer.
    fn check_data(&self) -> Result<(), TrainError> {
        check("replay", (0.0..1.0).contains(&self.replay), || {
            format!("is {}; expected a number of at least 0 and below 1", self.replay)
        })?;
        let solutions = self.objective == Objective::CorrectSolutions;
        check("replay", !solutions || self.replay == 0.0, || {
            "draws pairs of earlier rounds, but whole solutions are trained on; set it to 0 (`keep_solutions` keeps solutions)".into()
        })?;
        check("keep_solutions", solutions || !self.keep_solutions, || {
            "is on, but only `objective = \"correct-solutions\"` trains on solutions".into()
        })?;
        let external = self.trainer_command.is_some();
        check("trainer_command", !external || self.objective == Objective::Preferences, || {
            "gets preference pairs, but this variant trains on chosen sides or solutions".into()
        })?;
        let pairs = self.objective == Objective::Preferences && !external;
        check("pairs.joint", pairs || self.pairs.joint == 0, || {
            format!(
                "is {}; expected 0: joint pairs have two prompts, which only this program's trainer of \
                 preference pairs takes",
                self.pairs.joint
            )
        })?;
        let counted = pairs && self.dpo.batch_trees.is_some();
        check("carry_optimizer", counted || !self.carry_optimizer, || {
            "is on, which plans the steps of all rounds ahead; it needs `dpo.batch_trees`, preference \
             pairs and this program's trainer"
                .into()
        })
    }
}

fn check(name: &'static str, ok: bool, detail: impl FnOnce() -> String) -> Result<(), TrainError> {
    if ok { Ok(()) } else { Err(TrainError::Setting { name, detail: detail() }) }
}
