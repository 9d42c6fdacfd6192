//! The method and its baselines, as changes of settings.
//!
//! A variant only sets fields of [`RunConfig`]; no other code depends on the variant's name. All variants
//! spend about the same: variants without trees sample as many full solutions per problem as a search has
//! simulations per root. Measured with the bundled model, tokens per problem sampled or judged: 855 for the
//! method, 926 for `instance`, 850 for `star`. `regrowth compare` prints the tokens spent.

use regrowth_mcts::config::Strategy;
use regrowth_mcts::pairs::PairValues;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::config::{Objective, ReferenceKind, RunConfig};

/// The method or one of its baselines.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// Pairs of sibling steps from search trees: the method.
    #[default]
    Step,
    /// Pairs of whole solutions, the best against the worst.
    Instance,
    /// As step, but all searches use the policy of round 0.
    Offline,
    /// Supervised training on right solutions among samples (STaR).
    Star,
    /// Supervised training on the chosen sides of the step pairs.
    #[value(alias = "chosen_sft")]
    ChosenSft,
    /// Steps are valued by the outcome alone.
    #[value(alias = "no_self_evaluation")]
    NoSelfEvaluation,
    /// Steps are valued by self-evaluation alone.
    #[value(alias = "no_outcome")]
    NoOutcome,
    /// Labels are not smoothed by visits.
    #[value(alias = "no_smoothing")]
    NoSmoothing,
    /// The policy of round 0 is the reference in every round.
    #[value(alias = "initial_reference")]
    InitialReference,
}

impl Variant {
    /// Changes `config` into this variant.
    pub fn apply(self, config: &mut RunConfig) {
        config.variant = self;
        match self {
            Self::Step => {}
            Self::Instance => whole_solutions(config),
            Self::Offline => {
                config.on_policy = false;
                // In offline preference training the reference is the policy that made the pairs.
                config.reference = ReferenceKind::Initial;
            }
            Self::Star => {
                whole_solutions(config);
                config.search.value.self_evaluation = false;
                config.objective = Objective::CorrectSolutions;
            }
            Self::ChosenSft => config.objective = Objective::ChosenSteps,
            Self::NoSelfEvaluation => config.search.value.self_evaluation = false,
            Self::NoOutcome => {
                config.search.value.oracle = false;
                // Without outcomes, margins rarely reach a preset's `min_margin`, and no pair would be left.
                config.pairs.min_margin = 0.0;
            }
            Self::NoSmoothing => config.pairs.smoothing = false,
            Self::InitialReference => config.reference = ReferenceKind::Initial,
        }
    }
}

/// Samples as many full solutions as a search has simulations (paper: breadth times 1).
fn whole_solutions(config: &mut RunConfig) {
    // No step is committed, so a pair's values are those of the finished solutions.
    config.pairs.values = PairValues::End;
    let search = &mut config.search;
    let count = search.simulations.saturating_mul(search.first_root_factor);
    search.strategy = Strategy::Beam { width: 1 };
    search.breadth = [usize::try_from(count).unwrap_or(usize::MAX), 1];
    search.max_depth = 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
    use regrowth_mcts::Preset;

    #[test]
    fn every_variant_is_valid_and_differs_from_the_method() {
        for variant in Variant::value_variants() {
            let mut config = RunConfig::of(Preset::Builtin);
            let method = config.clone();
            variant.apply(&mut config);
            config.check().unwrap();
            config.variant = Variant::Step;
            assert_eq!(config == method, *variant == Variant::Step, "{variant:?}");
        }
    }
}
