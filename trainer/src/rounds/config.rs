//! Everything that decides what a run does, with the source of each default.
//!
//! What only decides how fast it is done (threads, batch sizes, devices) is not here, so two runs
//! with equal settings have equal results. "Paper" is Xie et al. 2024, arXiv:2405.00451; "code" is its
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

/// Settings of a run. Unknown keys are refused; a missing key takes the default of the preset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunConfig {
    /// Policy of round 0: `builtin`, a checkpoint folder or GGUF file, a server (`http://host:port/v1#model`),
    /// `scripted`, `replay:FILE`.
    pub policy: String,
    /// Where `policy` is served: the checkpoint with its weights, which is trained; what is trained is
    /// served in its place (docs/servers.md#rounds). Absent, a served policy is searched and not trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Problems: `builtin:NAME`, a file, or several with weights, parted by commas; split by content
    /// into train, validation and test.
    pub problems: String,
    /// Bad rows of problem files that are passed over at most (default 0: the first is an error).
    #[serde(skip_serializing_if = "is_zero")]
    pub skip_bad: usize,
    /// Format of the problem file, where detection is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Source of the test problems, in the form of `problems`; then `problems` is split into training and
    /// validation only. Absent, the test problems are a part of `problems`.
    #[serde(alias = "eval", skip_serializing_if = "Option::is_none")]
    pub test: Option<String>,
    /// How problems are put to the policy: `boxed`, `gsm8k`, `choice`, `plain` or a file with a template;
    /// absent, the checkpoint's own form or that of its kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptName>,
    /// Worked examples before each question; absent, 4 for a model without a chat template where there
    /// are some, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shots: Option<usize>,
    /// File from whose training part the examples come; absent, they are training problems of the run,
    /// which are then not trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shots_from: Option<PathBuf>,
    /// Settings that the others started from.
    pub preset: Preset,
    /// What is compared: the method or one of its baselines.
    pub variant: Variant,
    /// Seed of training problems, search and training order.
    pub seed: u64,
    /// Seed of validation and test problems of a built-in task: the same ones for every `seed`.
    #[serde(alias = "eval_seed", alias = "exam_seed")]
    pub test_seed: u64,
    /// Rounds, at least 1 (default 3).
    pub rounds: u32,
    /// Training problems searched in each round, at least 1.
    pub problems_per_round: usize,
    /// Validation problems; they choose the best round and feed the gate.
    pub validation_problems: usize,
    /// Test problems; used once, when all rounds are done, and never for selection.
    #[serde(alias = "eval_problems")]
    pub test_problems: usize,
    /// What happens when a round makes the policy worse on the validation problems.
    pub gate: Gate,
    /// How much worse in accuracy a round may be and still be accepted, in [0, 1].
    pub gate_slack: f64,
    /// Whether each round searches with the policy that the rounds before it made (paper: online)
    /// or always with the policy of round 0 (paper: offline).
    pub on_policy: bool,
    /// Reference policy of the DPO loss.
    pub reference: ReferenceKind,
    /// Whether optimizer state and learning rate schedule go on from round to round, one for the whole
    /// run (code), or begin anew in each round (default); needs `dpo.batch_trees`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub carry_optimizer: bool,
    /// Rounds from one validation to the next, at least 1 (default 1: every round). Of the rounds
    /// between, which the gate accepts unseen, checkpoints are removed when they are no longer needed;
    /// the last round is always validated.
    #[serde(skip_serializing_if = "is_one")]
    pub validate_every: u32,
    /// What is trained on.
    pub objective: Objective,
    /// Share of the trained pairs that are drawn from earlier rounds, in [0, 1); the rest are the
    /// round's own (default 0: paper).
    pub replay: f64,
    /// Rounds in a row without a new best on validation problems after which the run ends; 0 goes
    /// on to the last round (default 0: paper).
    pub patience: u32,
    /// Validation problems on which the KL divergence from the base policy is estimated, from one sampled
    /// solution each; 0 leaves it out (default 64).
    #[serde(alias = "probe_problems")]
    pub kl_problems: usize,
    /// With `--judge likelihood`, `answers` or `probe`: the first N problems of a round use the previous
    /// round's calibration, the rest one that is fitted to the outcomes of those N. 0, or N of at least
    /// the round's size: always the previous round's (default 100: log 0012).
    pub calibration_problems: usize,
    /// A round with fewer pairs (or solutions) is not trained on: a handful is memorised.
    pub min_pairs: usize,
    /// Distinct right solutions of one problem at most, for [`Objective::CorrectSolutions`].
    pub max_solutions: usize,
    /// How trees are grown.
    pub search: SearchConfig,
    /// Which pairs are extracted from them.
    pub pairs: PairConfig,
    /// Which judged steps are cut from them, where `dpo.judge` teaches the judge.
    pub step_labels: StepLabelConfig,
    /// Preference training.
    pub dpo: DpoConfig,
    /// Supervised training, for the objectives without rejected sides.
    pub sft: SftConfig,
    /// A command that trains in place of this program (docs/rounds.md#external-trainer).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trainer_command: Option<String>,
}

/// Leaves a setting out of files that were written before it existed.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What happens when a round makes the policy worse.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// The new policy is rejected: the next round starts from the policy that this one started from.
    #[default]
    #[serde(alias = "keep")]
    #[value(alias = "keep")]
    Reject,
    /// The run ends.
    Stop,
    /// The next round starts from the new policy all the same.
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

/// What is trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Preference pairs (paper).
    #[default]
    Preferences,
    /// Supervised, on the chosen sides of the same pairs.
    ChosenSteps,
    /// Supervised, on whole right solutions (STaR, arXiv:2203.14465).
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
    /// The weights of a policy of the run; `None` where there are none to train.
    ///
    /// # Errors
    /// When `spec` is neither a known name nor a checkpoint.
    pub fn weights_of(&self, spec: &str) -> Result<Option<Source>, TrainError> {
        match &self.weights {
            Some(weights) if spec == self.policy => Ok(Some(Source::named(weights)?)),
            _ => inputs::weights(spec),
        }
    }

    /// Whether the policy after this round is asked the validation problems.
    #[must_use]
    pub fn validates(&self, round: u32) -> bool {
        round.is_multiple_of(self.validate_every) || round == self.rounds
    }

    /// Optimizer steps of the whole run, if every round has as many trees with pairs as problems.
    #[must_use]
    pub fn planned_steps(&self) -> usize {
        let batch = self.dpo.batch_trees.unwrap_or(self.problems_per_round).max(1);
        self.rounds as usize * self.problems_per_round.div_ceil(batch) * self.dpo.epochs
    }

    /// How problems are put to the policy.
    #[must_use]
    pub fn prompts(&self) -> PromptFlags {
        PromptFlags {
            prompt: self.prompt.clone(),
            shots: self.shots,
            shots_from: self.shots_from.clone(),
        }
    }

    /// Takes over what flags say of prompts.
    pub fn set_prompts(&mut self, flags: &PromptFlags) {
        let PromptFlags { prompt, shots, shots_from } = flags.over(&self.prompts());
        (self.prompt, self.shots, self.shots_from) = (prompt, shots, shots_from);
    }

    /// Checks every range, and that the parts fit each other.
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

    /// Checks that what is trained on fits the objective and the trainer.
    fn check_data(&self) -> Result<(), TrainError> {
        check("replay", (0.0..1.0).contains(&self.replay), || {
            format!("is {}; expected a number of at least 0 and below 1", self.replay)
        })?;
        let solutions = self.objective == Objective::CorrectSolutions;
        check("replay", !solutions || self.replay == 0.0, || {
            "draws pairs of earlier rounds, but whole solutions are trained on; set it to 0".into()
        })?;
        let external = self.trainer_command.is_some();
        check("trainer_command", !external || self.objective == Objective::Preferences, || {
            "gets preference pairs, but this variant trains on chosen sides or solutions".into()
        })?;
        let pairs = self.objective == Objective::Preferences && !external;
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
