//! Named settings, and the default preset of each kind of policy: the same in every binary.
//!
//! A preset here contains search settings and rules for pairs. A training tool adds its own settings under
//! the same name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::PolicyKind;
use crate::{PairConfig, SearchConfig};

/// A named set of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// 16 simulations per search root, breadth 5 then 3, depth 4; the other presets change some of these.
    #[default]
    Default,
    /// Tuned for the bundled model; the default preset of `--policy builtin`.
    Builtin,
    /// For instruction-tuned checkpoints of up to a few billion parameters; the default preset of checkpoints
    /// and servers.
    Chat,
    /// The settings of the authors' scripts, for mathematics.
    Paper,
    /// The settings of the authors' scripts, for multiple choice.
    #[cfg_attr(feature = "cli", value(alias = "paper_choice"))]
    PaperChoice,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Self; 5] =
        [Self::Default, Self::Builtin, Self::Chat, Self::Paper, Self::PaperChoice];

    /// Default preset of a policy. `policy` is its specification; test doubles and replays use the preset
    /// `default`.
    #[must_use]
    pub fn of_policy(policy: &str) -> Self {
        match PolicyKind::of(policy) {
            PolicyKind::Bundled => Self::Builtin,
            PolicyKind::Model => Self::Chat,
            PolicyKind::Double => Self::Default,
        }
    }

    /// Search settings.
    #[must_use]
    pub fn search(self) -> SearchConfig {
        match self {
            Self::Default => SearchConfig::default(),
            Self::Builtin => SearchConfig::builtin(),
            Self::Chat => SearchConfig::chat(),
            Self::Paper => SearchConfig::paper(),
            Self::PaperChoice => SearchConfig::paper_choice(),
        }
    }

    /// Rules for extracting pairs.
    #[must_use]
    pub fn pairs(self) -> PairConfig {
        match self {
            Self::Builtin => PairConfig::builtin(),
            Self::Paper | Self::PaperChoice => PairConfig::paper(),
            Self::Default | Self::Chat => PairConfig::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_starts_from_the_preset_of_its_kind() {
        for (policy, preset) in [
            ("builtin", Preset::Builtin),
            ("scripted", Preset::Default),
            ("scripted:answers.json", Preset::Default),
            ("replay:out", Preset::Default),
            ("models/SmolLM2-135M-Instruct", Preset::Chat),
            ("scripted-model", Preset::Chat),
            ("model.gguf", Preset::Chat),
            ("http://localhost:8000/v1#m", Preset::Chat),
        ] {
            assert_eq!(Preset::of_policy(policy), preset, "{policy}");
        }
    }

    #[test]
    fn every_preset_is_valid() {
        for preset in Preset::ALL {
            preset.search().check().expect("valid search");
            preset.pairs().check().expect("valid pairs");
        }
    }
}
