//! All settings of `mcts search`, as one value and as `config.toml`.
//!
//! `sources.rs` reads them from their sources. The effective settings are written into the folder of the
//! results; the same file read with `--config` gives the same run.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use regrowth_datasets::{Format, ProblemSources};
use regrowth_policy::PromptName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::failure::Failure;
use crate::flags::{EngineFlags, at_least_one};
use crate::prompting::PromptFlags;
use crate::{PairConfig, SearchConfig, SearchError};

/// All settings of a search, as written to `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) policy: String,
    pub(crate) problems: String,
    /// Maximum number of bad rows of problem files to skip.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) skip_bad: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<NonZeroUsize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) prompt: Option<PromptName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shots: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shots_from: Option<PathBuf>,
    pub(crate) search: SearchConfig,
    pub(crate) pairs: PairConfig,
    pub(crate) run: RunSettings,
    pub(crate) engine: EngineFlags,
}

/// Whether the count is 0; such a setting is left out, as in files written before it existed.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: DEFAULT_POLICY.to_owned(),
            problems: "builtin:arithmetic".to_owned(),
            skip_bad: 0,
            format: None,
            limit: None,
            prompt: None,
            shots: None,
            shots_from: None,
            search: SearchConfig::default(),
            pairs: PairConfig::default(),
            run: RunSettings::default(),
            engine: EngineFlags::default(),
        }
    }
}

/// Output folder, messages and time limit of a search: flags, and the table `[run]`. Except for a search that
/// is cut off, none of these settings changes a tree.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Output")]
pub(crate) struct RunSettings {
    /// Folder for trees.jsonl, pairs.jsonl, skipped.jsonl, summary.json, config.toml and the log
    /// steps.jsonl
    /// [default: none: a search without a folder is refused]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Number of trees in flight at once; changes no result [default: enough to keep the policy busy]
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>, help_heading = "Engine", hide = true)]
    pub(crate) trees_in_flight: Option<NonZeroUsize>,
    /// Keep no log of sampled steps; a search that is cut off then starts again from the beginning [default:
    /// false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide = true)]
    pub(crate) no_log: Option<bool>,
    /// Stop after this many seconds and keep the finished trees (not reproducible) [default: no limit]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, hide = true)]
    pub(crate) max_seconds: Option<f64>,
    /// Print the summary as one JSON object
    /// [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) json: Option<bool>,
}

impl RunSettings {
    /// The output folder.
    pub(crate) fn out(&self) -> Result<&Path, Failure> {
        let missing = "expected --out DIR, or `out` under [run] in the settings file".to_owned();
        self.out.as_deref().ok_or(Failure::usage(missing))
    }

    /// The time limit of the search; `None` without a limit.
    pub(crate) fn time(&self) -> Result<Option<Duration>, SearchError> {
        let Some(seconds) = self.max_seconds else { return Ok(None) };
        let limit = Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero());
        limit.map(Some).ok_or(SearchError::Config {
            field: "max_seconds",
            expected: "a number above 0",
            got: seconds.to_string(),
        })
    }
}

/// Default policy: the bundled model if this build can run it.
pub(super) const DEFAULT_POLICY: &str =
    if cfg!(feature = "candle") { "builtin" } else { "scripted" };

impl Settings {
    /// Checks all ranges, and that the settings are compatible with each other.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.search.check()?;
        self.pairs.check()?;
        self.pairs.check_for(&self.search)?;
        self.run.time()?;
        self.format()?;
        // Refuse settings that `config.toml` cannot represent before anything is begun.
        Table::try_from(self).map(drop).map_err(|error| unwritable(&error))
    }

    /// The text of `config.toml`.
    pub(crate) fn text(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(|error| unwritable(&error))
    }

    /// Differences between the settings that determine the trees, one line per setting. Ignores pairs, run
    /// and engine.
    pub(crate) fn differences(&self, other: &Self) -> Result<Vec<String>, Failure> {
        let [there, here] = [self, other].map(Self::deciding);
        let (there, here) = (there?, here?);
        let keys: BTreeSet<_> = there.keys().chain(here.keys()).collect();
        let absent = || "not set".to_owned();
        let shown = |found: Option<&Value>| found.map_or_else(absent, Value::to_string);
        let differ = keys.into_iter().filter(|key| there.get(*key) != here.get(*key));
        let line = |key: &String| {
            format!("{key}: {} there, {} here", shown(there.get(key)), shown(here.get(key)))
        };
        Ok(differ.map(line).collect())
    }

    /// The settings that determine the trees: values by their dotted names.
    fn deciding(&self) -> Result<BTreeMap<String, Value>, Failure> {
        let mut table = Table::try_from(self).map_err(|error| unwritable(&error))?;
        table.retain(|key, _| !["pairs", "run", "engine"].contains(&key));
        let mut found = BTreeMap::new();
        flatten(String::new(), Value::Table(table), &mut found);
        Ok(found)
    }

    /// The flags of the prompt format.
    pub(crate) fn prompts(&self) -> PromptFlags {
        PromptFlags {
            prompt: self.prompt.clone(),
            shots: self.shots,
            shots_from: self.shots_from.clone(),
        }
    }

    /// Applies the flags of the prompt format.
    pub(crate) fn set_prompts(&mut self, flags: &PromptFlags) {
        let PromptFlags { prompt, shots, shots_from } = flags.over(&self.prompts());
        (self.prompt, self.shots, self.shots_from) = (prompt, shots, shots_from);
    }

    /// Format of the problem file; `None` if it is to be detected.
    pub(crate) fn format(&self) -> Result<Option<Format>, Failure> {
        let Some(name) = &self.format else { return Ok(None) };
        if ProblemSources::parse(&[&self.problems])?.are_builtin() {
            let task = &self.problems;
            return Err(Failure::usage(format!(
                "--format {name}: expected no format, {task} is a built-in task and no file"
            )));
        }
        name.parse().map(Some).map_err(|e| Failure::usage(format!("--format: {e}")))
    }
}

/// Adds a value under its name to `found`; the values of a table are added under dotted names.
fn flatten(name: String, value: Value, found: &mut BTreeMap<String, Value>) {
    let Value::Table(table) = value else {
        found.insert(name, value);
        return;
    };
    for (key, value) in table {
        let name = if name.is_empty() { key } else { format!("{name}.{key}") };
        flatten(name, value, found);
    }
}

/// Converts an error of serialising settings to a failure. Only a number that is too large can cause one.
pub(super) fn unwritable(error: &toml::ser::Error) -> Failure {
    Failure::usage(format!("settings: {error}; expected numbers up to {}", i64::MAX))
}
