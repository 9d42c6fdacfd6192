//! Settings of `mcts search`: defaults, then a preset, then a TOML file, then flags.
//!
//! The effective settings are written beside the results, and the same file read with `--config`
//! gives the same run; a replay of the folder starts from it by itself.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use regrowth_datasets::Format;
use regrowth_mcts::{EngineFlags, PairConfig, SearchConfig, SearchError, at_least_one, overlay};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::failure::Failure;
use super::flags::Flags;

/// Everything that a search is told, as written to `config.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) policy: String,
    pub(crate) problems: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<NonZeroUsize>,
    pub(crate) search: SearchConfig,
    pub(crate) pairs: PairConfig,
    pub(crate) run: RunSettings,
    pub(crate) engine: EngineFlags,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: DEFAULT_POLICY.to_owned(),
            problems: "builtin:arithmetic".to_owned(),
            format: None,
            limit: None,
            search: SearchConfig::default(),
            pairs: PairConfig::default(),
            run: RunSettings::default(),
            engine: EngineFlags::default(),
        }
    }
}

/// Where a search writes, what it says and how long it may take: flags, and the table `[run]`. But
/// for a search that is cut off, none of it changes a tree.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RunSettings {
    /// Folder for trees.jsonl, pairs.jsonl, skipped.jsonl, summary.json, config.toml and the log
    /// steps.jsonl
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Trees in flight at once; changes no result [default: what keeps the policy busy]
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) trees_in_flight: Option<NonZeroUsize>,
    /// Keep no log of sampled steps; a search that is cut off then starts from nothing
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) no_log: Option<bool>,
    /// Stop after this many seconds and keep the trees that are finished (not reproducible)
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) max_seconds: Option<f64>,
    /// Print the summary as one JSON object
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) json: Option<bool>,
}

impl RunSettings {
    /// The folder of the results.
    pub(crate) fn out(&self) -> Result<&Path, Failure> {
        let missing = "expected --out DIR, or `out` under [run] in the settings file".to_owned();
        self.out.as_deref().ok_or(Failure::Usage(missing))
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

/// The settings of a search in its folder.
pub(super) const CONFIG_FILE: &str = "config.toml";

/// The embedded model where this build can run it.
const DEFAULT_POLICY: &str = if cfg!(feature = "candle") { "builtin" } else { "scripted" };

/// A named set of settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// K = 16, breadth 5 then 3, depth 4.
    Default,
    /// Tuned for the embedded model; what `--policy builtin` starts from.
    Builtin,
    /// The paper's budget for mathematics: K = 5, four times as many at the first root.
    Paper,
    /// The paper's budget for multiple choice: the same with breadth 4 then 2, depth 3.
    PaperChoice,
}

impl Preset {
    fn settings(self) -> Settings {
        let (search, pairs) = match self {
            Self::Default => (SearchConfig::default(), PairConfig::default()),
            Self::Builtin => (SearchConfig::builtin(), PairConfig::builtin()),
            Self::Paper => (SearchConfig::paper(), PairConfig::default()),
            Self::PaperChoice => (SearchConfig::paper_choice(), PairConfig::default()),
        };
        Settings { search, pairs, ..Settings::default() }
    }
}

impl Settings {
    /// The effective settings, checked.
    pub(crate) fn of(flags: &Flags) -> Result<Self, Failure> {
        let mut settings = Self::start(flags)?;
        flags.apply(&mut settings)?;
        settings.run = laid_over(&settings.run, &flags.run)?;
        settings.engine = laid_over(&settings.engine, &flags.engine)?;
        settings.check()?;
        Ok(settings)
    }

    /// What the flags are applied to: a preset, and a file over it; or those of a recorded search.
    fn start(flags: &Flags) -> Result<Self, Failure> {
        if let Some(path) = recorded(flags) {
            eprintln!("mcts: a replay with the settings in {}", path.display());
            let mut own = table(&path)?;
            // Where and how the recorded search ran is not what it found.
            own.retain(|key, _| !["policy", "run", "engine"].contains(&key));
            return Preset::Default.settings().changed_by(own, &path);
        }
        let own = flags.config.as_deref().map(table).transpose()?.unwrap_or_default();
        let named = own.get("policy").and_then(|policy| policy.as_str());
        let policy = flags.policy.first().map(String::as_str).or(named).unwrap_or(DEFAULT_POLICY);
        let start = flags.preset.unwrap_or(match policy {
            "builtin" => Preset::Builtin,
            _ => Preset::Default,
        });
        let start = start.settings();
        flags.config.as_ref().map_or(Ok(start.clone()), |path| start.changed_by(own, path))
    }

    /// These settings with those of a file over them.
    fn changed_by(&self, own: Table, path: &Path) -> Result<Self, Failure> {
        let bad = |e: &dyn std::fmt::Display| Failure::Input(format!("{}: {e}", path.display()));
        let base = Table::try_from(self).map_err(|e| bad(&e))?;
        Self::deserialize(overlay(base, own)).map_err(|e| bad(&e))
    }

    fn check(&self) -> Result<(), Failure> {
        self.search.check()?;
        self.pairs.check()?;
        self.run.time()?;
        self.format()?;
        Ok(())
    }

    /// The format of the problem file; `None` where it is to be recognised.
    pub(crate) fn format(&self) -> Result<Option<Format>, Failure> {
        let Some(name) = &self.format else { return Ok(None) };
        if self.problems.starts_with("builtin:") {
            let task = &self.problems;
            return Err(Failure::Usage(format!(
                "--format {name}: expected no format, {task} is a built-in task and no file"
            )));
        }
        name.parse().map(Some).map_err(|e| Failure::Usage(format!("--format: {e}")))
    }
}

/// The settings file beside the log that is played, where nothing else says what to start from: other
/// settings would ask for steps that the log does not hold.
fn recorded(flags: &Flags) -> Option<PathBuf> {
    if flags.config.is_some() || flags.preset.is_some() {
        return None;
    }
    let [policy] = flags.policy.as_slice() else { return None };
    let path = Path::new(policy.strip_prefix("replay:")?).join(CONFIG_FILE);
    path.is_file().then_some(path)
}

/// `base` with the values that flags give in place of its own.
fn laid_over<T: Serialize + DeserializeOwned>(base: &T, flags: &T) -> Result<T, Failure> {
    let failed = |e: &dyn std::fmt::Display| Failure::Internal(format!("settings: {e}"));
    let base = Table::try_from(base).map_err(|e| failed(&e))?;
    let flags = Table::try_from(flags).map_err(|e| failed(&e))?;
    T::deserialize(overlay(base, flags)).map_err(|e| failed(&e))
}

/// The rules in a settings file, as it has them; the whole file must be one of a search.
pub(super) fn pair_table(path: &Path) -> Result<Table, Failure> {
    let mut own = table(path)?;
    Settings::default().changed_by(own.clone(), path)?;
    Ok(match own.remove("pairs") {
        Some(toml::Value::Table(pairs)) => pairs,
        _ => Table::new(),
    })
}

/// A settings file as it is.
fn table(path: &Path) -> Result<Table, Failure> {
    let bad = |detail: String| Failure::Input(format!("{}: {detail}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
    toml::from_str(&text).map_err(|e| bad(e.to_string()))
}
