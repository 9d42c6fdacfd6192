//! Where settings come from: a preset, then a TOML file, then flags; for a replay that names neither
//! preset nor file, the settings of the recorded search.
//!
//! It knows tables, and nothing of what their keys mean.

use std::path::{Path, PathBuf};

use regrowth_mcts::{Preset, overlay};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::failure::Failure;
use super::flags::Flags;
use super::note;
use super::settings::{DEFAULT_POLICY, Settings, unwritable};

/// The settings of a search in its folder.
pub(super) const CONFIG_FILE: &str = "config.toml";

/// The settings that a preset starts a search with.
fn of_preset(preset: Preset) -> Settings {
    Settings { search: preset.search(), pairs: preset.pairs(), ..Settings::default() }
}

/// The effective settings, checked.
pub(super) fn settings(flags: &Flags) -> Result<Settings, Failure> {
    let mut settings = start(flags)?;
    flags.apply(&mut settings)?;
    settings.run = laid_over(&settings.run, &flags.run)?;
    settings.engine = laid_over(&settings.engine, &flags.engine)?;
    settings.check()?;
    flags.note_idle(&settings.search);
    Ok(settings)
}

/// What the flags are applied to.
fn start(flags: &Flags) -> Result<Settings, Failure> {
    if let Some(path) = recorded(flags) {
        note(format!("a replay with the settings in {}", path.display()));
        let mut file = SettingsFile::read(&path)?;
        // Where and how the recorded search ran is not what it found.
        file.own.retain(|key, _| !["run", "engine"].contains(&key));
        return file.settings();
    }
    let file = flags.config.as_deref().map(SettingsFile::read).transpose()?;
    let named = file.as_ref().and_then(|file| file.own.get("policy")?.as_str());
    let policy = flags.policy.first().map(String::as_str).or(named).unwrap_or(DEFAULT_POLICY);
    let named = file.as_ref().and_then(|file| file.preset);
    let start = flags.preset.or(named).unwrap_or_else(|| Preset::of_policy(policy));
    file.map_or_else(|| Ok(of_preset(start)), |file| file.over(start))
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
    let base = Table::try_from(base).map_err(|e| unwritable(&e))?;
    let flags = Table::try_from(flags).map_err(|e| unwritable(&e))?;
    T::deserialize(overlay(base, flags)).map_err(|e| Failure::Internal(format!("settings: {e}")))
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
        let bad = |e: &dyn std::fmt::Display| Failure::Input(format!("{}: {e}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| bad(&e))?;
        let mut own: Table = toml::from_str(&text).map_err(|e| bad(&e))?;
        let preset = own.remove("preset").map(Value::try_into).transpose();
        Ok(Self { path, preset: preset.map_err(|e| bad(&e))?, own })
    }

    /// All that the file of a search says.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        self.over(Preset::Default)
    }

    /// The file over a preset; unknown keys are refused.
    fn over(&self, preset: Preset) -> Result<Settings, Failure> {
        let bad = |e: toml::ser::Error| Failure::Internal(format!("a preset: {e}"));
        let base = Table::try_from(of_preset(preset)).map_err(bad)?;
        Settings::deserialize(overlay(base, self.own.clone()))
            .map_err(|e| Failure::Input(format!("{}: {e}", self.path.display())))
    }

    /// The rules for pairs that the file has, or all of the preset that it names with its own over
    /// them; the whole file must be one of a search.
    pub(super) fn pairs(&self) -> Result<Table, Failure> {
        let whole = self.over(self.preset.unwrap_or(Preset::Default))?;
        if self.preset.is_some() {
            let bad = |e: toml::ser::Error| Failure::Internal(format!("rules: {e}"));
            return Table::try_from(whole.pairs).map_err(bad);
        }
        let own = self.own.get("pairs").and_then(Value::as_table);
        Ok(own.cloned().unwrap_or_default())
    }
}
