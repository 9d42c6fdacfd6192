//! Reads settings from their sources: a preset, overridden by a TOML file, overridden by flags. A replay
//! without preset and file starts from the settings of the recorded search.
//!
//! Works on tables without knowing what their keys mean.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use toml::{Table, Value};

use super::failure::Failure;
use super::log;
use super::settings::{DEFAULT_POLICY, Settings};
use crate::Preset;
use crate::frontend::{SetFlags, SettingsTree};
use crate::settings::{is_training_key, overlay};
use crate::spelling::expanded;

/// Settings file in the folder of a search.
pub(super) const CONFIG_FILE: &str = "config.toml";

/// Flags that determine the initial settings.
#[derive(Debug, Args)]
pub(super) struct StartFlags {
    /// Settings file (TOML), as printed by `config`; flags override it, unknown keys are refused [default:
    /// none]
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub(super) config: Option<PathBuf>,
    /// Named settings that the file and the flags override [default: the file's `preset`, or builtin for the
    /// policy of that name, chat for a checkpoint or server, default for any other]
    #[arg(long, value_enum, help_heading = "Settings")]
    pub(super) preset: Option<Preset>,
    #[command(flatten)]
    pub(super) set: SetFlags,
    /// Policy: builtin, a checkpoint folder or .gguf file, http://host:port/v1#model (may be given several
    /// times), scripted, scripted:FILE or replay:FILE (the log of a search, or its folder, whose settings are
    /// then used) [default: builtin]
    #[arg(long, value_name = "POLICY", help_heading = "Policy and problems")]
    pub(super) policy: Vec<String>,
}

/// The settings of a preset.
pub(super) fn of_preset(preset: Preset) -> Settings {
    Settings { search: preset.search(), pairs: preset.pairs(), ..Settings::default() }
}

/// All keys of a settings file that a search reads.
pub(super) fn known() -> SettingsTree {
    SettingsTree::of::<Settings>().with::<Preset>("preset", "Settings that the others start from.")
}

/// The settings before flags are applied, and their preset.
pub(super) fn start(flags: &StartFlags) -> Result<(Settings, Preset), Failure> {
    let recorded = recorded(flags);
    let mut file = match (&recorded, flags.config.as_deref()) {
        (Some(path), _) => {
            log(format!("a replay with the settings in {}", path.display()));
            let mut file = SettingsFile::read(path)?;
            // Folder, time limit and engine of the recorded search do not affect its results.
            file.own.retain(|key, _| !["run", "engine"].contains(&key));
            file
        }
        (None, Some(path)) => SettingsFile::read(path)?,
        (None, None) => SettingsFile { path: Path::new("--set"), preset: None, own: Table::new() },
    };
    file.set(&flags.set)?;
    let named = file.own.get("policy").and_then(Value::as_str);
    let policy = flags.policy.first().map(String::as_str).or(named).unwrap_or(DEFAULT_POLICY);
    let of_policy = || match recorded {
        // A recorded search contains every setting.
        Some(_) => Preset::Default,
        None => Preset::of_policy(policy),
    };
    let preset = flags.preset.or(file.preset).unwrap_or_else(of_policy);
    Ok((file.over(preset)?, preset))
}

/// The settings file in the folder of the replayed log, if no flag sets a preset or a file: other settings
/// would request steps that are not in the log.
fn recorded(flags: &StartFlags) -> Option<PathBuf> {
    if flags.config.is_some() || flags.preset.is_some() {
        return None;
    }
    let [policy] = flags.policy.as_slice() else { return None };
    let path = Path::new(policy.strip_prefix("replay:")?).join(CONFIG_FILE);
    path.is_file().then_some(path)
}

/// A settings file, read but not yet checked.
pub(super) struct SettingsFile<'a> {
    path: &'a Path,
    /// The preset in the file; `None` if there is none.
    preset: Option<Preset>,
    /// The settings in the file.
    own: Table,
}

impl<'a> SettingsFile<'a> {
    pub(super) fn read(path: &'a Path) -> Result<Self, Failure> {
        let bad = |e: &dyn std::fmt::Display| Failure::file(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| bad(&e))?;
        let mut own: Table = toml::from_str(&text).map_err(|e| bad(&e))?;
        // A settings file may be shared by both programs.
        let others: Vec<String> = own.keys().filter(|key| is_training_key(key)).cloned().collect();
        if !others.is_empty() {
            let path = path.display();
            log(format!("{path}: a search does not use {}", others.join(", ")));
        }
        own.retain(|key, _| !is_training_key(key));
        let preset = preset(&mut own).map_err(|e| bad(&e))?;
        known().check(&own).map_err(|e| bad(&e))?;
        Ok(Self { path, preset, own: expanded(known().spelled(own)).map_err(|e| bad(&e))? })
    }

    /// Overrides the file's settings with those set by flags.
    pub(super) fn set(&mut self, flags: &SetFlags) -> Result<(), Failure> {
        let own = flags.over(std::mem::take(&mut self.own), &known());
        self.own = own.and_then(expanded).map_err(Failure::usage)?;
        let preset = preset(&mut self.own).map_err(|e| Failure::usage(format!("--set: {e}")))?;
        self.preset = preset.or(self.preset);
        Ok(())
    }

    /// The settings of the file of a search, which contains all of them.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        self.over(Preset::Default)
    }

    /// The file's settings over a preset; unknown keys are refused.
    fn over(&self, preset: Preset) -> Result<Settings, Failure> {
        let bad = |e: toml::ser::Error| Failure::internal(format!("a preset: {e}"));
        let base = Table::try_from(of_preset(preset)).map_err(bad)?;
        Settings::deserialize(overlay(base, self.own.clone()))
            .map_err(|e| Failure::file(format!("{}: {e}", self.path.display())))
    }

    /// The rules for pairs in the file; if the file has a preset, all rules of this preset, overridden by
    /// those in the file. The whole file must be valid for a search.
    pub(super) fn pairs(&self) -> Result<Table, Failure> {
        let whole = self.over(self.preset.unwrap_or(Preset::Default))?;
        if self.preset.is_some() {
            let bad = |e: toml::ser::Error| Failure::internal(format!("rules: {e}"));
            return Table::try_from(whole.pairs).map_err(bad);
        }
        let own = self.own.get("pairs").and_then(Value::as_table);
        Ok(own.cloned().unwrap_or_default())
    }
}

/// Removes the key `preset` from a table and returns its value.
fn preset(table: &mut Table) -> Result<Option<Preset>, toml::de::Error> {
    table.remove("preset").map(Value::try_into).transpose()
}
