//! Named settings: every number that a run starts from, in one place, with its source.

use regrowth_mcts::Preset;
use regrowth_mcts::labels::StepLabelConfig;

use super::config::{Gate, Objective, ReferenceKind, RunConfig};
use super::variant::Variant;
use crate::train::{Average, DpoConfig, LoraConfig, ScheduleKind, SftConfig};

impl RunConfig {
    /// Returns the settings of a preset: its search and pairs, and the settings of the run.
    #[must_use]
    pub fn of(preset: Preset) -> Self {
        let base = Self { preset, search: preset.search(), pairs: preset.pairs(), ..defaults() };
        match preset {
            Preset::Default => base,
            Preset::Paper => paper(base, 1e-6, 0.03),
            Preset::PaperChoice => paper(base, 2e-6, 0.2),
            Preset::Builtin => builtin(base),
            Preset::Chat => chat(base),
        }
    }
}

/// Settings that the presets are based on. Numbers without another source are those of Xie et al. 2024,
/// sections 3 and 4 and appendix; "our choice" marks a number that was not measured.
fn defaults() -> RunConfig {
    RunConfig {
        policy: "builtin".into(),
        weights: None,
        problems: "builtin:arithmetic".into(),
        skip_bad: 0,
        format: None,
        test: None,
        prompt: None,
        shots: None,
        shots_from: None,
        preset: Preset::Default,
        variant: Variant::Step,
        seed: 0,
        test_seed: 0,
        rounds: 3,                // our choice
        problems_per_round: 2048, // paper, section 3: 32 to 64 trees per step, a few dozen steps
        validation_problems: 400, // our choice: a standard error of 2.5 points at most
        test_problems: 1000,      // our choice: a standard error of 1.6 points at most
        gate: Gate::Reject,
        gate_slack: 0.0,
        on_policy: true,
        reference: ReferenceKind::RoundStart,
        carry_optimizer: false,
        validate_every: 1,
        objective: Objective::Preferences,
        replay: 0.0,
        patience: 0,
        kl_problems: 64, // our choice: about 4000 tokens, a second for the bundled model
        calibration_problems: 100, // experiment 0012: mean ECE 0.031; 50 0.035, 200 0.032
        min_pairs: 32, // a measurement on a small model: with 6 to 36 pairs, the model memorised them
        max_solutions: 4, // our choice
        keep_solutions: false,
        search: Preset::Default.search(),
        pairs: Preset::Default.pairs(),
        step_labels: StepLabelConfig::default(),
        dpo: DpoConfig::default(),
        sft: SftConfig {
            learning_rate: 1e-6,  // as in preference training
            batch_tokens: 32_768, // our choice: about as many solutions as trees in a preference step
            ..SftConfig::default()
        },
        trainer_command: None,
    }
}

/// Settings of the authors' scripts for models with 7 billion parameters. Numbers without another source are
/// those of the scripts.
fn paper(base: RunConfig, learning_rate: f64, warmup: f64) -> RunConfig {
    RunConfig {
        rounds: 96,             // about 6,000 trees; accuracy peaked after 2,000 to 3,000
        problems_per_round: 64, // trees per update; theirs are 64 that pass the filter
        validate_every: 16,     // our choice: every thousand trees
        gate: Gate::Off,
        reference: ReferenceKind::Initial,
        carry_optimizer: true,
        min_pairs: 1, // an update on few pairs is one small step
        dpo: DpoConfig {
            average: Average::Trees,
            batch_trees: Some(64),
            learning_rate,
            warmup,
            ..base.dpo.clone()
        },
        sft: SftConfig { learning_rate, ..base.sft.clone() },
        ..base
    }
}

/// Settings for the bundled model; the experiments are those in `docs/experiments`.
fn builtin(base: RunConfig) -> RunConfig {
    RunConfig {
        problems_per_round: 800, // experiment 0001: 400 gain 4.5 points less in a round
        validation_problems: 800, // a standard error of 1.8 points at most
        gate_slack: 0.03,        // our choice: under two standard errors of the validation figure
        min_pairs: 64,           // twice the number that was memorised
        dpo: DpoConfig {
            beta: 0.5, // experiment 0006: 0.1 loses in later rounds what it gains in the first
            nll: 0.3,  // experiments 0001 and 0006: 1.0 gained less, 3 gained no more
            learning_rate: 1e-4, // experiments 0001 and 0006: 2e-4 loses more later, or gains no more
            schedule: ScheduleKind::Linear,
            batch_pairs: 32, // experiment 0001
            epochs: 2,       // experiments 0001 and 0006: 4 gain no more
            ..base.dpo.clone()
        },
        sft: SftConfig {
            learning_rate: 5e-4, // experiment 0004: 2.5e-4 gives the same accuracy on `arithmetic`
            schedule: ScheduleKind::Linear,
            batch_tokens: 4096, // about 32 solutions with their prompts
            epochs: 2,
            ..base.sft.clone()
        },
        ..base
    }
}

/// Settings for instruction-tuned checkpoints of up to a few billion parameters, on few cores.
fn chat(base: RunConfig) -> RunConfig {
    RunConfig {
        problems_per_round: 256,  // our choice: searching takes most of the time
        validation_problems: 200, // our choice: a standard error of 3.5 points at most
        test_problems: 300,       // our choice: a standard error of 2.9 points at most
        dpo: DpoConfig {
            learning_rate: 1e-4,
            batch_pairs: 16,
            lora: Some(LoraConfig::default()),
            ..base.dpo.clone()
        },
        sft: SftConfig {
            learning_rate: 1e-4,
            batch_tokens: 4096,
            lora: Some(LoraConfig::default()),
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
        for preset in Preset::ALL {
            let config = RunConfig::of(preset);
            config.check().unwrap();
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), config);
        }
    }
}
