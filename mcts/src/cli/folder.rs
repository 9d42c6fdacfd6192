//! The folder of a search: locks it, and decides which of its results may be replaced.
//!
//! Results are replaced only by results of the same search, or with `--force`. `config.toml` always describes
//! the trees in the folder, and `summary.json`, written last, means that they are complete.

use std::io;
use std::path::Path;

use regrowth_datasets::{FolderLock, atomic_write, remove_unfinished};
use regrowth_policy::LOG_FILE;
use serde::Deserialize;

use super::failure::Failure;
use super::paths::{is_same, unwritten};
use super::rows::{JOINT_PAIRS, PAIRS, SKIPPED, TREES};
use super::settings::Settings;
use super::sources::{CONFIG_FILE, SettingsFile};
use crate::SearchSummary;
use crate::probe::PROBE_FILE;

/// Log of the answers of a policy that judges.
pub(super) const JUDGE_LOG: &str = "judgements.jsonl";

/// Counts and figures of a search.
const SUMMARY: &str = "summary.json";

/// A folder that only this process writes.
pub(super) struct Folder<'a> {
    path: &'a Path,
    settings: &'a Settings,
    /// Number of trees of the same search that the folder already contains.
    held: u64,
    _lock: Option<FolderLock>,
}

/// Refuses to overwrite what the folder contains: the log that is replayed, or the results of another search.
pub(super) fn check(path: &Path, settings: &Settings, force: bool) -> Result<(), Failure> {
    if let Some(log) = settings.policy.strip_prefix("replay:").map(Path::new)
        && (is_same(log, path) || is_same(log, &path.join(LOG_FILE)))
    {
        let why = "holds the log that is played, and would lose its results; choose another --out";
        return Err(Failure::usage(format!("{}: {why}", path.display())));
    }
    if force || trees(path) == 0 {
        return Ok(());
    }
    let differs = match recorded(path)? {
        Some(recorded) => recorded.differences(settings)?,
        None => vec![format!("there is no {CONFIG_FILE}")],
    };
    if differs.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} holds the results of another search; choose another --out, or replace them with \
         --force\n  {}",
        path.display(),
        differs.join("\n  ")
    )))
}

/// Number of trees of the search that was completed in the folder; 0 if there is none.
fn trees(path: &Path) -> u64 {
    #[derive(Deserialize)]
    struct Found {
        trees: u64,
    }
    let Ok(text) = std::fs::read_to_string(path.join(SUMMARY)) else { return 0 };
    // A summary that cannot be read may come from a newer version of this program.
    serde_json::from_str::<Found>(&text).map_or(u64::MAX, |found| found.trees)
}

/// Settings of the search whose results the folder contains; `None` without a settings file.
fn recorded(path: &Path) -> Result<Option<Settings>, Failure> {
    let file = path.join(CONFIG_FILE);
    file.is_file().then(|| SettingsFile::read(&file)?.settings()).transpose()
}

impl<'a> Folder<'a> {
    /// Locks the folder: a second search would remove the files that the first one is writing.
    pub(super) fn hold(
        path: &'a Path,
        settings: &'a Settings,
        force: bool,
    ) -> Result<Self, Failure> {
        let held = "another search is writing into this folder; wait for it or take another --out";
        let refused = || Failure::file(format!("{}: {held}", path.display()));
        let lock = FolderLock::hold(path)
            .map_err(|error| Failure::usage(format!("--out: {error}")))?
            .ok_or_else(refused)?;
        check(path, settings, force)?;
        Ok(Self { path, settings, held: 0, _lock: Some(lock) })
    }

    /// A folder that this process created for itself.
    pub(super) fn own(path: &'a Path, settings: &'a Settings) -> Self {
        Self { path, settings, held: 0, _lock: None }
    }

    /// Prepares the folder for this search. Results of the same search are kept until there are new ones.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        for name in [TREES, PAIRS, JOINT_PAIRS, SKIPPED, SUMMARY, CONFIG_FILE, PROBE_FILE] {
            remove_unfinished(&self.path.join(name)).map_err(unwritten)?;
        }
        let same = |found: Settings| found.differences(self.settings).is_ok_and(|d| d.is_empty());
        let same = recorded(self.path).ok().flatten().is_some_and(same);
        self.held = if same { trees(self.path) } else { 0 };
        if self.held == 0 {
            // Remove the summary first: a partial result must not look complete.
            for name in [SUMMARY, TREES, PAIRS, JOINT_PAIRS, SKIPPED, PROBE_FILE] {
                self.remove(name)?;
            }
            self.write(CONFIG_FILE, &self.settings.text()?)?;
        }
        Ok(())
    }

    /// Whether the earlier results are kept, because the search ended early and found fewer trees.
    pub(super) fn keeps_results(&self, found: &SearchSummary) -> bool {
        (found.cancelled || found.trees == 0) && found.trees < self.held
    }

    /// Removes the summary, because the results are about to be replaced.
    pub(super) fn outdate(&self) -> Result<(), Failure> {
        self.remove(SUMMARY)
    }

    /// Writes the settings and the summary, which completes the results.
    pub(super) fn complete(&self, summary: &str) -> Result<(), Failure> {
        self.write(CONFIG_FILE, &self.settings.text()?)?;
        self.write(SUMMARY, summary)
    }

    pub(super) fn path(&self) -> &Path {
        self.path
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        use io::Write;
        let line = |file: &mut io::BufWriter<std::fs::File>| writeln!(file, "{}", text.trim_end());
        atomic_write(&self.path.join(name), line).map_err(unwritten)
    }

    /// Removes a file, if it exists.
    pub(super) fn remove(&self, name: &str) -> Result<(), Failure> {
        let path = self.path.join(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Failure::file(format!("{}: {e}", path.display())))
            }
            _ => Ok(()),
        }
    }
}
