//! The folder of a run: its lock, `run.json` and the paths of its files.
//!
//! The lock refuses a second process. `run.json` records the settings, so the same command resumes the run,
//! and other settings are refused with a list of the differences.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regrowth_datasets::FolderLock;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::RunConfig;
use super::left_behind::end_left_behind;
use super::report::RunReport;
use crate::TrainError;
use crate::artefact::{hold, read_checksummed, read_json, write_json};

/// Version of `run.json`.
const RUN_VERSION: u32 = 1;

/// `run.json`: the settings, policy and problems that a run was started with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// Version of the file.
    pub version: u32,
    /// Seed of the run, as in `config`.
    pub seed: u64,
    /// Version of the program that started the run.
    pub program: String,
    /// Identity of the policy of round 0.
    pub policy: String,
    /// Hash of the problems of each part (train, validation, test).
    pub problems: BTreeMap<String, String>,
    /// If the run is a fork: how many rounds were copied from the other run, and which settings differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<Fork>,
    /// An example prompt: a problem as it is given to the base policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_example: Option<String>,
    /// Numbers of rounds at which the run had been finished, including the test evaluation, before rounds
    /// were added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<u32>,
    /// Settings with defaults filled in.
    pub config: RunConfig,
}

/// Origin of a forked run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    /// Number of the last round that was copied.
    pub rounds: u32,
    /// Settings that differ from the other run, with both values.
    pub changed: Vec<String>,
}

impl RunFile {
    /// Returns the `run.json` of a new run.
    #[must_use]
    pub fn new(config: RunConfig, policy: &str, problems: BTreeMap<String, String>) -> Self {
        Self {
            version: RUN_VERSION,
            seed: config.seed,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            policy: policy.to_owned(),
            problems,
            fork: None,
            prompt_example: None,
            extended: Vec::new(),
            config,
        }
    }

    /// Returns this run with the larger number of rounds of `other`. `None` if anything else differs or
    /// `other` has no more rounds. `finished` is whether this run is finished.
    #[must_use]
    pub fn with_rounds_of(&self, other: &Self, finished: bool) -> Option<Self> {
        let mut longer = self.clone();
        longer.config.rounds = other.config.rounds;
        let only_more =
            self.config.rounds < other.config.rounds && longer.differences(other).is_empty();
        if finished {
            longer.extended.push(self.config.rounds);
        }
        only_more.then_some(longer)
    }

    /// Returns the differences from `other`, one line each. Program versions, forks, `extended` and the
    /// example prompt are not compared: everything that determines the prompt is in the settings or in the
    /// policy's identity.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let strip = |file: &Self| Self {
            fork: None,
            prompt_example: None,
            extended: Vec::new(),
            program: String::new(),
            ..file.clone()
        };
        match (serde_json::to_value(strip(self)), serde_json::to_value(strip(other))) {
            (Ok(a), Ok(b)) => differences(&a, &b),
            // Settings are plain numbers and text. If they cannot be serialised, report a difference to be
            // safe.
            _ => vec!["settings cannot be compared".to_owned()],
        }
    }
}

/// The locked folder of a run: only this process may write it.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: FolderLock,
}

impl RunDir {
    /// Creates the folder if needed and locks it. Ends the commands that a killed process on the run left
    /// behind, and removes its partial files.
    ///
    /// # Errors
    /// [`TrainError::Run`] if another process holds the lock, [`TrainError::Data`] if the folder cannot be
    /// written.
    pub fn lock(path: &Path) -> Result<Self, TrainError> {
        let lock = hold(path, "run")?;
        end_left_behind(path)?;
        sweep(path)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the folder of round `round`; rounds are counted from 0.
    #[must_use]
    pub fn round(&self, round: u32) -> PathBuf {
        round_dir(&self.path, round)
    }

    /// Returns `run.json`; `None` if the folder is new.
    ///
    /// # Errors
    /// If the file cannot be read or has a newer version.
    pub fn run_file(&self) -> Result<Option<RunFile>, TrainError> {
        read_run_file(&self.path)
    }

    /// Writes `run.json`, which makes the folder a run.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_run_file(&self, file: &RunFile) -> Result<(), TrainError> {
        write_json(&self.path.join("run.json"), file)
    }
}

/// Removes partial files of killed processes: files and folders whose names end in `.tmp` or `.old`, in the
/// folder of the run and in those of its rounds.
fn sweep(path: &Path) -> Result<(), TrainError> {
    for entry in std::fs::read_dir(path).map_err(TrainError::io(path))? {
        let path = entry.map_err(TrainError::io(path))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let half = name.ends_with(".tmp") || name.ends_with(".old");
        match (half, path.is_dir()) {
            (true, true) => std::fs::remove_dir_all(&path).map_err(TrainError::io(&path))?,
            (true, false) => std::fs::remove_file(&path).map_err(TrainError::io(&path))?,
            (false, true) if name.starts_with("round-") => sweep(&path)?,
            (false, _) => {}
        }
    }
    Ok(())
}

/// Path of the folder of a round in the run `run`.
pub(crate) fn round_dir(run: &Path, round: u32) -> PathBuf {
    run.join(format!("round-{round:04}"))
}

/// Reads `run.json` of a run without locking the run.
pub(crate) fn read_run_file(run: &Path) -> Result<Option<RunFile>, TrainError> {
    let path = run.join("run.json");
    let Some(value) = read_json::<Value>(&path)? else { return Ok(None) };
    let fail = |detail: String| TrainError::File { path: path.clone(), detail };
    let version = value.get("version").and_then(Value::as_u64).unwrap_or(0);
    if version > u64::from(RUN_VERSION) {
        return Err(fail(format!(
            "version {version} is newer than {RUN_VERSION}, the newest this build reads"
        )));
    }
    serde_json::from_value(value).map(Some).map_err(|e| {
        fail(format!("{e}; the run was started by another version, start a new one with --run"))
    })
}

/// Reads the final report of a run; `None` if the run is not finished.
///
/// # Errors
/// If there is no such run or the report cannot be read.
pub fn read_report(run: &Path) -> Result<Option<RunReport>, TrainError> {
    if read_run_file(run)?.is_none() {
        return Err(TrainError::File {
            path: run.join("run.json"),
            detail: "no such file; expected the folder of a run, as `regrowth iterate` makes it"
                .into(),
        });
    }
    read_checksummed(&run.join("report.json"))
}

/// Returns the leaves that differ between two JSON values, as `a.b: 1 in the run, 2 now`.
#[must_use]
pub fn differences(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect("", old, new, &mut found);
    found
}

fn collect(at: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    if let (Value::Object(a), Value::Object(b)) = (old, new) {
        let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        for key in keys {
            let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            let side =
                |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
            collect(&path, &side(a), &side(b), found);
        }
    } else if old != new {
        let at = at.strip_prefix("config.").unwrap_or(at);
        found.push(format!("{at}: {old} in the run, {new} now"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regrowth_mcts::Preset;

    fn file() -> RunFile {
        RunFile::new(RunConfig::of(Preset::Builtin), "scripted", BTreeMap::new())
    }

    #[test]
    fn a_second_lock_is_refused_and_a_dropped_one_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("a/b");
        let held = RunDir::lock(&run).unwrap();
        let error = RunDir::lock(&run).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        drop(held);
        RunDir::lock(&run).unwrap();
    }

    #[test]
    fn what_a_killed_process_left_half_written_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let round = dir.path().join("round-0001");
        std::fs::create_dir_all(round.join("checkpoint.tmp")).unwrap();
        for name in [".pairs.jsonl.1-2.tmp", "trees.jsonl.part"] {
            std::fs::write(round.join(name), "x").unwrap();
        }
        RunDir::lock(dir.path()).unwrap();
        let left: Vec<_> =
            std::fs::read_dir(&round).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["trees.jsonl.part"]);
    }

    #[test]
    fn differences_name_the_setting_and_both_values() {
        let old = file();
        let mut new = file();
        new.config.search.simulations = 8;
        new.config.test = Some("x.jsonl".into());
        new.program = "9.9.9".into();
        assert_eq!(
            old.differences(&new),
            ["search.simulations: 16 in the run, 8 now", "test: null in the run, \"x.jsonl\" now"]
        );
        assert!(old.differences(&old.clone()).is_empty());
    }

    #[test]
    fn the_run_file_survives_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::lock(dir.path()).unwrap();
        assert_eq!(run.run_file().unwrap(), None);
        run.write_run_file(&file()).unwrap();
        assert_eq!(run.run_file().unwrap(), Some(file()));
        let text = std::fs::read_to_string(dir.path().join("run.json")).unwrap();
        let newer = text.replace("\"version\": 1", "\"version\": 7");
        std::fs::write(dir.path().join("run.json"), newer).unwrap();
        assert!(run.run_file().unwrap_err().to_string().contains("newer"));
    }
}
