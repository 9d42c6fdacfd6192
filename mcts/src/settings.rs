//! Merges the settings of two sources, such as a file over the preset of the policy.
//!
//! Works on tables without knowing their keys; readers refuse unknown keys afterwards. Both binaries read
//! their settings through it.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Kinds of policies. Each kind has its own default preset, in both binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// The bundled model.
    Bundled,
    /// A checkpoint or a server: assumed to be an instruction-tuned model.
    Model,
    /// A scripted or recorded policy.
    Double,
}

impl PolicyKind {
    /// Kind of the policy with this specification.
    #[must_use]
    pub fn of(policy: &str) -> Self {
        match policy.split(':').next() {
            Some("builtin") => Self::Bundled,
            Some("scripted" | "replay") => Self::Double,
            _ => Self::Model,
        }
    }
}

/// Keys of a settings file that only `regrowth` reads: rounds and training.
pub const TRAINING_KEYS: [&str; 27] = [
    "calibration_problems",
    "carry_optimizer",
    "dpo",
    "gate",
    "gate_slack",
    "keep_solutions",
    "kl_problems",
    "max_solutions",
    "min_pairs",
    "objective",
    "on_policy",
    "patience",
    "problems_per_round",
    "reference",
    "replay",
    "rounds",
    "seed",
    "sft",
    "step_labels",
    "test",
    "test_problems",
    "test_seed",
    "trainer_command",
    "validate_every",
    "validation_problems",
    "variant",
    "weights",
];

/// Keys among [`TRAINING_KEYS`] that had other names: the old name and the current one.
pub const RENAMED_KEYS: [(&str, &str); 4] = [
    ("eval", "test"),
    ("eval_problems", "test_problems"),
    ("eval_seed", "test_seed"),
    ("probe_problems", "kl_problems"),
];

/// Whether only `regrowth` reads a key of a settings file; the key may be a current name or an old one.
#[must_use]
pub fn is_training_key(key: &str) -> bool {
    TRAINING_KEYS.contains(&key) || RENAMED_KEYS.iter().any(|(old, _)| *old == key)
}

/// Keys of a settings file that only `mcts` reads.
pub const SEARCH_KEYS: [&str; 2] = ["limit", "run"];

/// Returns `base`, with its values overridden by those that `flags` sets.
///
/// # Errors
/// If a value cannot be represented in a table.
pub fn laid_over<T: Serialize + DeserializeOwned>(
    base: &T,
    flags: &T,
) -> Result<T, toml::ser::Error> {
    let (base, flags) = (Table::try_from(base)?, Table::try_from(flags)?);
    T::deserialize(overlay(base, flags)).map_err(serde::ser::Error::custom)
}

/// Merges `own` over `base`, table by table.
#[must_use]
pub fn overlay(mut base: Table, own: Table) -> Table {
    for (key, value) in own {
        let merged = match (base.remove(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => Value::Table(overlay(below, above)),
            (_, value) => value,
        };
        base.insert(key, merged);
    }
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_and_servers_are_models() {
        for (policy, kind) in [
            ("builtin", PolicyKind::Bundled),
            ("scripted", PolicyKind::Double),
            ("scripted:play.json", PolicyKind::Double),
            ("replay:out", PolicyKind::Double),
            ("model.gguf", PolicyKind::Model),
            ("http://host:8000/v1#m", PolicyKind::Model),
        ] {
            assert_eq!(PolicyKind::of(policy), kind, "{policy}");
        }
    }

    #[test]
    fn inner_tables_are_joined_and_other_values_replaced() {
        let base = "a = 1\nb = [1, 2]\n[c]\nd = 1\ne = 2\n".parse().unwrap();
        let own = "b = [3]\n[c]\ne = 5\n[f]\ng = 1\n".parse().unwrap();
        let wanted: Table = "a = 1\nb = [3]\n[c]\nd = 1\ne = 5\n[f]\ng = 1\n".parse().unwrap();
        assert_eq!(overlay(base, own), wanted);
    }
}
