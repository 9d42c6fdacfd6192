//! `--set KEY=VALUE`: any key of the settings file on the command line.

use std::str::FromStr;

use toml::{Table, Value};

use super::SettingsTree;
use crate::settings::overlay;

/// The flag of every command that has settings.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SetFlags {
    /// Set a key of the settings file, such as search.c_puct=2; may be given several times; overrides the
    /// file, and is overridden by the setting's own flag [default: none]
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Settings")]
    set: Vec<Assignment>,
}

/// A setting and its new value.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    key: String,
    value: Value,
}

/// Parses `KEY=VALUE`: a dotted key of the settings file and a TOML value; a text needs no quotes.
impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or("expected KEY=VALUE, as search.c_puct=2")?;
        let table = format!("value = {value}").parse::<Table>();
        // If there is more than one key, the value is a text that contains a line break.
        let parsed =
            table.ok().filter(|table| table.len() == 1).and_then(|mut t| t.remove("value"));
        let value = parsed.unwrap_or_else(|| Value::String(value.to_owned()));
        Ok(Self { key: key.trim().to_owned(), value })
    }
}

impl SetFlags {
    /// Returns `table` with the values set by the flags.
    ///
    /// # Errors
    /// If a key is not one of `known`; the message gives the nearest known key.
    pub fn over(&self, table: Table, known: &SettingsTree) -> Result<Table, String> {
        let mut table = table;
        for Assignment { key, value } in &self.set {
            let nested = key.rsplit('.').fold(value.clone(), |inner, part| {
                Value::Table(Table::from_iter([(part.to_owned(), inner)]))
            });
            let Value::Table(nested) = nested else { continue };
            known.check(&nested).map_err(|e| format!("--set {key}: {e}"))?;
            table = overlay(table, known.spelled(nested));
        }
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SearchConfig;

    fn set(texts: &[&str]) -> Result<Table, String> {
        let set = texts.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        SetFlags { set }.over(Table::new(), &SettingsTree::of::<SearchConfig>())
    }

    #[test]
    fn values_are_toml_and_texts_need_no_quotes() {
        let table = set(&[
            "c_puct=2",
            "selection=uct",
            "prior = \"length-root\"",
            "breadth=[4, 2]",
            "commit={ tempered = { temperature = 0.5 } }",
            "value.oracle=false",
            "value.judge=likelihood",
            "stop_at.strings=['Q:']",
        ])
        .unwrap();
        let config: SearchConfig = table.try_into().unwrap();
        assert_eq!((config.c_puct, config.breadth), (2.0, [4, 2]));
        assert!(!config.value.oracle && config.stop_at.strings == ["Q:"]);
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        let error = set(&["c_put=2"]).unwrap_err();
        assert!(error.contains("`c_put`") && error.contains("`c_puct`"), "{error}");
        let error = set(&["value.jugde=question"]).unwrap_err();
        assert!(error.contains("`value.judge`"), "{error}");
        assert!(set(&["c_puct"]).is_err() && set(&["=1"]).is_err());
    }
}
