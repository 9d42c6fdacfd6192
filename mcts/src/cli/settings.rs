//! Everything that `mcts search` is told, as one value and as `config.toml`.
//!
//! `sources.rs` decides where they come from. The effective settings are written beside the
//! results, and the same file read with `--config` gives the same run.

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

/// Everything that a search is told, as written to `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) policy: String,
    pub(crate) problems: String,
    /// Bad rows of problem files that are passed over at most.
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

/// Leaves a setting out of files that were written before it existed.
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

/// Where a search writes, what it says and how long it may take: flags, and the table `[run]`. But
/// for a search that is cut off, none of it changes a tree.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Output")]
pub(crate) struct RunSettings {
    /// Folder for trees.jsonl, pairs.jsonl, skipped.jsonl, summary.json, config.toml and the log
    /// steps.jsonl
    /// [default: none: a search without a folder is refused]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Trees in flight at once; changes no result [default: what keeps the policy busy]
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>, help_heading = "Engine", hide = true)]
    pub(crate) trees_in_flight: Option<NonZeroUsize>,
    /// Keep no log of sampled steps; a search that is cut off then starts from nothing
    /// [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", hide = true)]
    pub(crate) no_log: Option<bool>,
    /// Stop after this many seconds and keep the trees that are finished (not reproducible)
    /// [default: no limit]
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, hide = true)]
    pub(crate) max_seconds: Option<f64>,
    /// Print the summary as one JSON object
    /// [default: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) json: Option<bool>,
}

impl RunSettings {
    /// The folder of the results.
    pub(crate) fn out(&self) -> Result<&Path, Failure> {
        let missing = "expected --out DIR, or `out` under [run] in the settings file".to_owned();
        self.out.as_deref().ok_or(Failure::usage(missing))
    }

    /// The time that the search may take.
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

/// The bundled model where this build can run it.
pub(super) const DEFAULT_POLICY: &str =
    if cfg!(feature = "candle") { "builtin" } else { "scripted" };

impl Settings {
    /// Checks every range, and that what was asked for goes together.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.search.check()?;
        self.pairs.check()?;
        self.pairs.check_for(&self.search)?;
        self.run.time()?;
        self.format()?;
        // What `config.toml` could not give back is refused before anything is begun.
        Table::try_from(self).map(drop).map_err(|error| unwritable(&error))
    }

    /// The text of `config.toml`.
    pub(crate) fn text(&self) -> Result<String, Failure> {
        toml::to_string(self).map_err(|error| unwritable(&error))
    }

    /// How what decides the trees differs, a line for each setting; pairs, run and engine do not.
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

    /// What decides the trees: values by their dotted names.
    fn deciding(&self) -> Result<BTreeMap<String, Value>, Failure> {
        let mut table = Table::try_from(self).map_err(|error| unwritable(&error))?;
        table.retain(|key, _| !["pairs", "run", "engine"].contains(&key));
        let mut found = BTreeMap::new();
        flatten(String::new(), Value::Table(table), &mut found);
        Ok(found)
    }

    /// How problems are put to the policy.
    pub(crate) fn prompts(&self) -> PromptFlags {
        PromptFlags {
            prompt: self.prompt.clone(),
            shots: self.shots,
            shots_from: self.shots_from.clone(),
        }
    }

    /// Takes over what flags say of prompts.
    pub(crate) fn set_prompts(&mut self, flags: &PromptFlags) {
        let PromptFlags { prompt, shots, shots_from } = flags.over(&self.prompts());
        (self.prompt, self.shots, self.shots_from) = (prompt, shots, shots_from);
    }

    /// The format of the problem file; `None` where it is to be recognised.
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

/// Files a value by its name, and those of a table by theirs behind it.
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

/// Nothing but a number that is too large can keep settings from being a table.
pub(super) fn unwritable(error: &toml::ser::Error) -> Failure {
    Failure::usage(format!("settings: {error}; expected numbers up to {}", i64::MAX))
}
