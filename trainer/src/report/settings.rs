//! Settings that differ from the preset, and the command that repeats the run.

use regrowth_mcts::console::quoted;
use serde::Serialize;
use serde_json::Value;

use crate::rounds::RunConfig;

/// Settings that have a flag of their own in the command.
const FLAGS: [(&str, &str); 5] = [
    ("policy", "--policy"),
    ("problems", "--problems"),
    ("test", "--test"),
    ("seed", "--seed"),
    ("rounds", "--rounds"),
];

/// A setting that differs from the preset.
#[derive(Debug, Serialize, PartialEq)]
pub(super) struct Difference {
    name: String,
    preset: String,
    run: String,
}

/// Returns the settings that differ from the run's preset.
pub(super) fn differences(config: &RunConfig) -> Vec<Difference> {
    let preset = flat(&RunConfig::of(config.preset));
    let run = flat(config);
    let value = |side: &[(String, Value)], name: &str| {
        side.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    };
    let mut names: Vec<&String> = run.iter().chain(&preset).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    let shown = |value: Option<Value>| match value {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(Value::String(text)) => text,
        Some(value) => value.to_string(),
    };
    names
        .into_iter()
        .filter(|name| value(&run, name) != value(&preset, name))
        .map(|name| Difference {
            name: name.clone(),
            preset: shown(value(&preset, name)),
            run: shown(value(&run, name)),
        })
        .collect()
}

/// Returns a command that starts a run with these settings in this folder; `identity` is the identity of its
/// base policy.
pub(super) fn command(folder: &str, config: &RunConfig, identity: &str) -> String {
    let mut base = RunConfig::of(config.preset);
    // The variant's flag sets all of its settings.
    config.variant.apply(&mut base);
    let (base, changed) = (flat(&base), flat(config));
    let preset = serde_json::to_value(config.preset).ok();
    let preset = preset.as_ref().and_then(Value::as_str).unwrap_or_default();
    let mut words = vec![format!("regrowth iterate --run {} --preset {preset}", quoted(folder))];
    for (name, value) in changed.iter().filter(|row| !base.contains(row)) {
        let text = match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        words.push(match FLAGS.iter().find(|(key, _)| key == name) {
            Some((_, flag)) => format!("{flag} {}", quoted(&text)),
            // Numbers, booleans, strings and lists of them are spelled alike in JSON and TOML.
            None => format!("--set {}", quoted(&format!("{name}={value}"))),
        });
    }
    let variant = serde_json::to_value(config.variant).ok();
    if let Some(variant) = variant.as_ref().and_then(Value::as_str).filter(|v| *v != "step") {
        words.push(format!("--variant {variant}"));
    }
    words.extend(computed_with(identity));
    words.join(" \\\n  ")
}

/// Returns the flags for device and dtype. They are not settings of a run; the policy's identity contains
/// them if they change its answers.
fn computed_with(identity: &str) -> Option<String> {
    let (_, form) = identity.rsplit_once('+')?;
    match form.strip_prefix("cuda-") {
        Some(dtype) => Some(format!("--device cuda --dtype {dtype}")),
        None => (form == "bf16").then(|| "--dtype bf16".to_owned()),
    }
}

/// Returns the settings by dotted name; lists are values.
fn flat(config: &RunConfig) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    collect("", &serde_json::to_value(config).unwrap_or_default(), &mut found);
    // The preset itself is not compared; unset settings have no value.
    found.retain(|(name, value)| name != "preset" && !value.is_null());
    found
}

fn collect(at: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let name = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                collect(&name, value, found);
            }
        }
        value => found.push((at.to_owned(), value.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Variant;
    use regrowth_mcts::Preset;

    #[test]
    fn only_what_differs_is_listed() {
        let mut config = RunConfig::of(Preset::Builtin);
        assert!(differences(&config).is_empty());
        config.search.simulations = 8;
        config.test = Some("my test.jsonl".into());
        let found = differences(&config);
        let names: Vec<&str> = found.iter().map(|d| d.name.as_str()).collect();
        assert_eq!(names, ["search.simulations", "test"]);
        assert_eq!((found[1].preset.as_str(), found[0].run.as_str()), ("not set", "8"));
    }

    #[test]
    fn the_command_names_what_differs() {
        let mut config = RunConfig::of(Preset::Chat);
        config.policy = "models/a b".into();
        config.rounds = 2;
        config.search.breadth = [8, 7];
        let command = command("mine", &config, "llama@1+bf16");
        assert_eq!(
            command,
            "regrowth iterate --run mine --preset chat \\\n  --policy 'models/a b' \\\n  --rounds 2 \\\n  \
             --set 'search.breadth=[8,7]' \\\n  --dtype bf16"
        );
    }

    #[test]
    fn a_variant_is_one_flag() {
        let mut config = RunConfig::of(Preset::Builtin);
        Variant::Star.apply(&mut config);
        let command = command("x", &config, "llama@1");
        assert_eq!(command, "regrowth iterate --run x --preset builtin \\\n  --variant star");
        assert!(differences(&config).len() > 2);
    }
}
