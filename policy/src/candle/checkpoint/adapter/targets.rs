//! Finds the modules of a model that an adapter updates, by PEFT's rule (`check_target_module_exists` in
//! `peft/tuners/tuners_utils.py`).

use regex::Regex;
use serde_json::Value;

use crate::candle::checkpoint::adapter::config::AdapterConfig;

/// Last name parts of the projections of a layer: the meaning of `all-linear`.
const LINEAR: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/// PEFT's default targets for these families.
const DEFAULT: [&str; 2] = ["q_proj", "v_proj"];

/// The modules that an adapter updates.
pub(crate) struct Targets {
    targets: Names,
    excluded: Option<Names>,
    saved: Vec<Regex>,
    layers: Option<Layers>,
}

/// A set of module names.
enum Names {
    /// Full names or last name parts.
    List(Vec<String>),
    /// A pattern for full names; `None` if it uses syntax that only Python supports.
    Pattern(Option<Regex>),
}

/// The layers to which updates are restricted.
struct Layers {
    indices: Vec<u64>,
    /// Patterns that find the layer index in a module name.
    patterns: Vec<Regex>,
}

impl Targets {
    /// Reads the targets of a configuration.
    ///
    /// # Errors
    /// An error message that names the invalid field.
    pub(crate) fn new(config: &AdapterConfig) -> Result<Self, String> {
        let targets = match &config.target_modules {
            Value::Null => Names::List(DEFAULT.map(str::to_owned).to_vec()),
            Value::String(all) if all.to_lowercase() == "all-linear" => {
                Names::List(LINEAR.map(str::to_owned).to_vec())
            }
            other => Names::read("target_modules", other)?,
        };
        let excluded = match &config.exclude_modules {
            Value::Null => None,
            other => Some(Names::read("exclude_modules", other)?),
        };
        let saved = config
            .modules_to_save
            .iter()
            .map(|name| pattern("modules_to_save", &format!(r"^(?:.*\.)?(?:{name})(?:$|\..*)")));
        let saved = saved.collect::<Result<_, _>>()?;
        Ok(Self { targets, excluded, saved, layers: Layers::read(config)? })
    }

    /// Whether the adapter has a full trained copy of the module (`modules_to_save`).
    pub(crate) fn saves(&self, module: &str) -> bool {
        self.saved.iter().any(|saved| saved.is_match(module))
    }

    /// Whether the module is updated; `None` if that depends on a pattern that cannot be evaluated.
    pub(crate) fn holds(&self, module: &str) -> Option<bool> {
        if self.excluded.as_ref().is_some_and(|names| names.holds(module) == Some(true))
            || self.saves(module)
        {
            return Some(false);
        }
        let named = self.targets.holds(module)?;
        let whole = matches!(&self.targets, Names::List(list) if list.iter().any(|n| n == module));
        let layers = self.layers.as_ref().filter(|_| !whole);
        Some(named && layers.is_none_or(|layers| layers.hold(module)))
    }
}

impl Names {
    fn read(field: &str, value: &Value) -> Result<Self, String> {
        match value {
            // Python patterns with look-around or back references cannot be evaluated here. Then every
            // module with an update in the adapter's file counts as a target.
            Value::String(text) => Ok(Self::Pattern(Regex::new(&format!("^(?:{text})$")).ok())),
            other => match texts(other) {
                Some(list) => Ok(Self::List(list)),
                None => Err(format!("`{field}` is {other}; expected names or a pattern")),
            },
        }
    }

    fn holds(&self, module: &str) -> Option<bool> {
        match self {
            Self::Pattern(pattern) => Some(pattern.as_ref()?.is_match(module)),
            Self::List(names) => Some(names.iter().any(|name| {
                module
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })),
        }
    }
}

impl Layers {
    fn read(config: &AdapterConfig) -> Result<Option<Self>, String> {
        let indices: Vec<u64> = match &config.layers_to_transform {
            Value::Null => return Ok(None),
            Value::Array(all) => all.iter().map_while(Value::as_u64).collect(),
            one => one.as_u64().into_iter().collect(),
        };
        let given = &config.layers_to_transform;
        if given.as_array().map_or(1, Vec::len) != indices.len() {
            return Err(format!("`layers_to_transform` is {given}; expected numbers of layers"));
        }
        if indices.is_empty() {
            return Ok(None);
        }
        let names = match &config.layers_pattern {
            Value::String(one) if !one.is_empty() => vec![one.clone()],
            other => texts(other).unwrap_or_default(),
        };
        let patterns = match names.as_slice() {
            [] => vec![pattern("layers_pattern", r"^.*?\.[^.]*\.(\d+)\.")?],
            names => {
                let named = |name: &String| format!(r"^(?:.*?\.)?(?:{name})\.(\d+)\.");
                let compiled = names.iter().map(|name| pattern("layers_pattern", &named(name)));
                compiled.collect::<Result<_, _>>()?
            }
        };
        Ok(Some(Self { indices, patterns }))
    }

    fn hold(&self, module: &str) -> bool {
        let found = self.patterns.iter().find_map(|pattern| pattern.captures(module));
        let index = found.and_then(|found| found[1].parse().ok());
        index.is_some_and(|index| self.indices.contains(&index))
    }
}

/// Returns a list of strings; `None` for any other value.
fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|text| text.as_str().map(str::to_owned)).collect()
}

fn pattern(field: &str, text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|e| format!("`{field}`: not a regular expression: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const MODULE: &str = "model.layers.1.self_attn.q_proj";

    fn holds(module: &str, fields: &Value) -> Option<bool> {
        let config = AdapterConfig::lora("base".into(), 2, 4.0, 0.0, &["q_proj".into()]);
        let mut raw = serde_json::to_value(config).unwrap();
        raw.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let config = AdapterConfig::parse(&raw.to_string()).unwrap();
        Targets::new(&config).unwrap().holds(module)
    }

    #[test]
    fn modules_are_told_as_peft_tells_them() {
        for (fields, expected) in [
            (json!({}), true),
            (json!({ "target_modules": ["proj"] }), false),
            (json!({ "target_modules": [MODULE] }), true),
            (json!({ "target_modules": "all-linear" }), true),
            (json!({ "target_modules": null }), true),
            (json!({ "target_modules": [] }), false),
            (json!({ "target_modules": r".*\.[13]\..*q_proj" }), true),
            (json!({ "target_modules": r"q_proj" }), false),
            (json!({ "exclude_modules": ["self_attn.q_proj"] }), false),
            (json!({ "exclude_modules": r".*\.0\..*" }), true),
            (json!({ "modules_to_save": ["self_attn"] }), false),
            (json!({ "layers_to_transform": [0, 1] }), true),
            (json!({ "layers_to_transform": 0 }), false),
            (json!({ "layers_to_transform": [] }), true),
            (json!({ "layers_to_transform": [1], "layers_pattern": "layers" }), true),
            (json!({ "layers_to_transform": [1], "layers_pattern": ["h", "blocks"] }), false),
            (json!({ "layers_to_transform": [0], "target_modules": [MODULE] }), true),
        ] {
            assert_eq!(holds(MODULE, &fields), Some(expected), "{fields}");
        }
        assert_eq!(holds("lm_head", &json!({ "target_modules": "all-linear" })), Some(false));
        let ahead = json!({ "target_modules": r".*\.(?!0)\d\..*q_proj" });
        assert_eq!(holds(MODULE, &ahead), None);
    }
}
