//! Where settings come from: a preset, then a TOML file, then flags; for a replay that names neither
//! preset nor file, the settings of the recorded search.
//!
//! It knows tables, and nothing of what their keys mean.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use toml::{Table, Value};

use super::failure::Failure;
use super::flags::Flags;
use super::log;
use super::settings::{DEFAULT_POLICY, Settings, unwritable};
use crate::Preset;
use crate::frontend::{SetFlags, SettingsTree};
use crate::settings::{is_training_key, laid_over, overlay};
use crate::spelling::expanded;

/// The settings of a search in its folder.
pub(super) const CONFIG_FILE: &str = "config.toml";

/// Flags that say what settings start from.
#[derive(Debug, Args)]
pub(super) struct StartFlags {
    /// Settings file (TOML), as `config` prints it; flags win over it, unknown keys are refused
    /// [default: none]
    #[arg(long, value_name = "FILE", help_heading = "Settings")]
    pub(super) config: Option<PathBuf>,
    /// Named settings that the file and the flags start from [default: the file's `preset`, or builtin
    /// with the policy of that name, chat with a checkpoint or server, default with any other]
    #[arg(long, value_enum, help_heading = "Settings")]
    pub(super) preset: Option<Preset>,
    #[command(flatten)]
    pub(super) set: SetFlags,
    /// builtin, a checkpoint folder or .gguf file, http://host:port/v1#model (may be given several times),
    /// scripted, scripted:FILE or replay:FILE (the log of a search, or its folder: then its settings
    /// are the start) [default: builtin]
    #[arg(long, value_name = "POLICY", help_heading = "Policy and problems")]
    pub(super) policy: Vec<String>,
}

/// The settings that a preset starts a search with.
pub(super) fn of_preset(preset: Preset) -> Settings {
    Settings { search: preset.search(), pairs: preset.pairs(), ..Settings::default() }
}

/// Every key of a settings file that a search reads.
pub(super) fn known() -> SettingsTree {
    SettingsTree::of::<Settings>().with::<Preset>("preset", "Settings that the others start from.")
}

/// The effective settings, checked.
pub(super) fn settings(flags: &Flags) -> Result<Settings, Failure> {
    let (mut settings, _) = start(&flags.start)?;
    flags.apply(&mut settings)?;
    settings.run = laid_over(&settings.run, &flags.run).map_err(|e| unwritable(&e))?;
    settings.engine = laid_over(&settings.engine, &flags.engine).map_err(|e| unwritable(&e))?;
    settings.check()?;
    flags.note_idle(&settings.search);
    Ok(settings)
}

/// What the flags are applied to, and the preset that it started from.
pub(super) fn start(flags: &StartFlags) -> Result<(Settings, Preset), Failure> {
    let recorded = recorded(flags);
    let mut file = match (&recorded, flags.config.as_deref()) {
        (Some(path), _) => {
            log(format!("a replay with the settings in {}", path.display()));
            let mut file = SettingsFile::read(path)?;
            // Where and how the recorded search ran is not what it found.
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
        // A recorded search names every setting.
        Some(_) => Preset::Default,
        None => Preset::of_policy(policy),
    };
    let preset = flags.preset.or(file.preset).unwrap_or_else(of_policy);
    Ok((file.over(preset)?, preset))
}

/// The settings file beside the log that is played, where nothing else says what to start from: other
/// settings would ask for steps that the log does not hold.
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
    /// The preset that it names to start from.
    preset: Option<Preset>,
    /// What it has of settings.
    own: Table,
}

impl<'a> SettingsFile<'a> {
    pub(super) fn read(path: &'a Path) -> Result<Self, Failure> {
        let bad = |e: &dyn std::fmt::Display| Failure::file(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| bad(&e))?;
        let mut own: Table = toml::from_str(&text).map_err(|e| bad(&e))?;
        // One file serves both programs.
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

    /// Lays over the file what flags set.
    pub(super) fn set(&mut self, flags: &SetFlags) -> Result<(), Failure> {
        let own = flags.over(std::mem::take(&mut self.own), &known());
        self.own = own.and_then(expanded).map_err(Failure::usage)?;
        let preset = preset(&mut self.own).map_err(|e| Failure::usage(format!("--set: {e}")))?;
        self.preset = preset.or(self.preset);
        Ok(())
    }

    /// All that the file of a search says.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        self.over(Preset::Default)
    }

    /// The file over a preset; unknown keys are refused.
    fn over(&self, preset: Preset) -> Result<Settings, Failure> {
        let bad = |e: toml::ser::Error| Failure::internal(format!("a preset: {e}"));
        let base = Table::try_from(of_preset(preset)).map_err(bad)?;
        Settings::deserialize(overlay(base, self.own.clone()))
            .map_err(|e| Failure::file(format!("{}: {e}", self.path.display())))
    }

    /// The rules for pairs that the file has, or all of the preset that it names with its own over
    /// them; the whole file must be one of a search.
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

/// Takes out the preset that a table names.
fn preset(table: &mut Table) -> Result<Option<Preset>, toml::de::Error> {
    table.remove("preset").map(Value::try_into).transpose()
}
