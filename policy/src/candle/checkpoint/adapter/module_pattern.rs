//! `alpha_pattern` and `rank_pattern` of a LoRA adapter: modules with their own alpha or rank.
//!
//! If several patterns match, PEFT's rule decides (`get_pattern_key` in `peft/utils/other.py`).

use regex::Regex;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Patterns of module names, each with a number, in the order of the file.
///
/// A pattern is a regular expression for a full name or its last parts; the first pattern that matches is
/// used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModulePattern(pub Vec<(String, f64)>);

impl ModulePattern {
    /// Whether there are no patterns.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compiles the patterns. Modules that match no pattern get `common`.
    ///
    /// # Errors
    /// An error message that names the first pattern that is not a regular expression or whose number is
    /// not above 0.
    pub(crate) fn by_module(&self, common: f64) -> Result<ByModule, String> {
        let own = self.0.iter().map(|(pattern, number)| {
            if !is_above_zero(*number) {
                return Err(format!("`{pattern}` is {number}; expected a number above 0"));
            }
            match Regex::new(&format!(r"^(.*\.)?({pattern})$")) {
                Ok(whole) => Ok((whole, *number)),
                Err(e) => Err(format!("`{pattern}` is no regular expression: {e}")),
            }
        });
        Ok(ByModule { own: own.collect::<Result<_, String>>()?, common })
    }
}

/// Whether a number is a valid alpha or rank.
pub(crate) fn is_above_zero(number: f64) -> bool {
    number > 0.0 && number.is_finite()
}

/// The number of each module.
pub(crate) struct ByModule {
    own: Vec<(Regex, f64)>,
    common: f64,
}

impl ByModule {
    /// Returns the number of a module, by its name in the model.
    pub(crate) fn of(&self, module: &str) -> f64 {
        let own = self.own.iter().find(|(pattern, _)| pattern.is_match(module));
        own.map_or(self.common, |(_, number)| *number)
    }
}

impl Serialize for ModulePattern {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(pattern, number)| (pattern, number)))
    }
}

impl<'de> Deserialize<'de> for ModulePattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(InOrder)
    }
}

/// Reads the entries of a map in the order of the file.
struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = ModulePattern;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a map of patterns of module names to numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ModulePattern, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(ModulePattern(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ByModule, String> {
        let pattern: ModulePattern = serde_json::from_str(text).map_err(|e| e.to_string())?;
        assert_eq!(serde_json::to_string(&pattern).unwrap(), text);
        pattern.by_module(16.0)
    }

    #[test]
    fn the_first_pattern_that_matches_the_end_of_the_name_counts() {
        // Not in alphabetical order: the order of the file decides.
        let alphas = read(r#"{"layers.1.*q_proj":2.0,"k_proj|v_proj":4.0,"[qo]_proj":8.0}"#);
        let alphas = alphas.unwrap();
        for (module, alpha) in [
            ("model.layers.1.self_attn.q_proj", 2.0),
            ("model.layers.0.self_attn.q_proj", 8.0),
            ("model.layers.1.self_attn.o_proj", 8.0),
            ("model.layers.0.self_attn.v_proj", 4.0),
            ("k_proj", 4.0),
            ("model.layers.0.self_attn.big_k_proj", 16.0),
            ("model.layers.0.self_attn.k_proj.more", 16.0),
        ] {
            assert_eq!(alphas.of(module), alpha, "{module}");
        }
    }

    #[test]
    fn patterns_that_make_no_sense_are_named() {
        for text in [r#"{"(q_proj":2.0}"#, r#"{"(q_proj":0.0}"#, r#"{"(q_proj":-1.0}"#] {
            let error = read(text).err().expect("is refused");
            assert!(error.starts_with("`(q_proj` is "), "{error}");
        }
    }
}
