//! Named settings: every number that a run starts from, in one place, with its source.

use regrowth_mcts::{PairConfig, SearchConfig, StepLabelConfig};
use serde::{Deserialize, Serialize};

use super::config::{Gate, Objective, ReferenceKind, RunConfig};
use super::variant::Variant;
use crate::train::{DpoConfig, ScheduleKind, SftConfig};

/// A named set of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// The defaults of the method, for checkpoints of billions of parameters.
    #[default]
    Paper,
    /// Tuned for the embedded model on two cores.
    Builtin,
}

impl Preset {
    /// The settings of this name.
    #[must_use]
    pub fn config(self) -> RunConfig {
        match self {
            Self::Paper => paper(),
            Self::Builtin => builtin(),
        }
    }
}

/// The method's settings (Xie et al. 2024, sections 3 and 4, appendix).
fn paper() -> RunConfig {
    RunConfig {
        policy: "builtin".into(),
        problems: "builtin:arithmetic".into(),
        format: None,
        eval: None,
        preset: Preset::Paper,
        variant: Variant::Step,
        seed: 0,
        exam_seed: 0,
        rounds: 3,                // taste
        problems_per_round: 2048, // method section 3: 32 to 64 trees a step, a few dozen steps
        validation_problems: 400, // taste: a standard error of 2.5 points at most
        eval_problems: 1000,      // taste: a standard error of 1.6 points at most
        gate: Gate::Keep,
        gate_slack: 0.0,
        on_policy: true,
        reference: ReferenceKind::RoundStart,
        objective: Objective::Preferences,
        replay: 0.0,
        patience: 0,
        probe_problems: 64, // taste: about 4000 tokens, a second for the embedded model
        calibration_problems: 100, // log 0012: mean ECE 0.031; 50 0.035, 200 0.032
        min_pairs: 32,      // a measurement on a small model: 6 to 36 pairs were memorised
        max_solutions: 4,   // taste
        search: SearchConfig::paper(),
        pairs: PairConfig::default(),
        step_labels: StepLabelConfig::default(),
        dpo: DpoConfig::default(),
        sft: SftConfig {
            learning_rate: 1e-6,  // as preference training
            batch_tokens: 32_768, // taste: about as many solutions as trees in a preference step
            ..SftConfig::default()
        },
        trainer_command: None,
    }
}

/// Settings for the embedded model; what is not named here is as in [`paper`]. Logs are those of
/// `docs/experiments`.
fn builtin() -> RunConfig {
    let base = paper();
    RunConfig {
        preset: Preset::Builtin,
        problems_per_round: 800, // log 0001: 400 gain 4.5 points less in a round
        validation_problems: 800, // a standard error of 1.8 points at most
        gate_slack: 0.03,        // taste: under two standard errors of the validation figure
        min_pairs: 64,           // twice what was seen to be memorised
        search: SearchConfig::builtin(),
        pairs: PairConfig::builtin(),
        dpo: DpoConfig {
            beta: 0.5,           // log 0006: 0.1 loses in later rounds what the first gains
            nll: 0.3,            // logs 0001 and 0006: 1.0 gained less, 3 no more
            learning_rate: 1e-4, // logs 0001 and 0006: 2e-4 loses more later, or gains no more
            schedule: ScheduleKind::Linear,
            batch_pairs: 32, // log 0001
            epochs: 2,       // logs 0001 and 0006: 4 gain no more
            ..base.dpo.clone()
        },
        sft: SftConfig {
            learning_rate: 5e-4, // log 0004: 2.5e-4 is as good on `arithmetic`
            schedule: ScheduleKind::Linear,
            batch_tokens: 4096, // about 32 solutions with their prompts
            epochs: 2,
            ..base.sft.clone()
        },
        ..base
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid_and_survives_toml() {
        for preset in [Preset::Paper, Preset::Builtin] {
            let config = preset.config();
            config.check().unwrap();
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config);
        }
    }
}
