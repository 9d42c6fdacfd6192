//! `--shard I/N`: one of N processes that search parts of the problems on a shared file system.
//!
//! A part is a contiguous range of the problems, so the rows of the parts, in order, are the rows that one
//! process would write. Each part has a folder in the folder of the search. `attempt` decides which process
//! writes there, `record` marks a part as complete, `parts` reads the complete parts.

mod attempt;
mod parts;
mod record;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

pub(super) use self::attempt::Claim;
pub(super) use self::parts::{Part, complete_parts};
pub(super) use self::record::ShardRecord;

use self::attempt::{Timing, attempts};
use super::failure::Failure;
use super::log;
use super::settings::Settings;
use super::sources::{CONFIG_FILE, SettingsFile};

/// Prefix of the name of a part's folder.
const FOLDER: &str = "shard-";

/// Maximum number of parts of a search: folder names have five digits.
const MOST: u32 = 99_999;

/// A part of the problems of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shard {
    /// Number of the part, from 1.
    #[serde(rename = "shard")]
    pub(super) index: u32,
    /// Number of parts.
    #[serde(rename = "shards")]
    pub(super) count: u32,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some(Self { index: index.parse().ok()?, count: count.parse().ok()? })
        });
        match numbers {
            Some(Self { index: 0, count }) => {
                Err(format!("parts are counted from 1: expected 1/{count} to {count}/{count}"))
            }
            Some(shard) if shard.index <= shard.count && shard.count <= MOST => Ok(shard),
            _ => Err(format!("expected I/N with I from 1 to N and N up to {MOST}, such as 2/8")),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Shard {
    /// Range of the problems of this part. Parts differ by at most one problem.
    pub(super) fn range(self, problems: usize) -> Range<usize> {
        let end = |parts: u32| {
            let end = problems as u128 * u128::from(parts) / u128::from(self.count.max(1));
            usize::try_from(end).unwrap_or(problems)
        };
        end(self.index.saturating_sub(1))..end(self.index)
    }

    /// Folder of this part in the folder of the search.
    fn folder(self, out: &Path) -> PathBuf {
        out.join(format!("{FOLDER}{:05}-of-{:05}", self.index, self.count))
    }

    /// Claims this part unless it is complete. `cancel` is set if another process takes it over.
    pub(super) fn claim(
        self,
        out: &Path,
        settings: &Settings,
        cancel: &Arc<AtomicBool>,
    ) -> Result<Claim, Failure> {
        self.check_others(out, settings)?;
        let claim = attempt::claim(&self.folder(out), Timing::DEFAULT, cancel)?;
        if let Claim::Mine(attempt) = &claim {
            log(format!("shard {self} in {}", attempt.path().display()));
        }
        Ok(claim)
    }

    /// Refuses a folder that contains parts of another search, before anything is computed.
    fn check_others(self, out: &Path, settings: &Settings) -> Result<(), Failure> {
        for folder in folders(out)? {
            if Self::of_folder(&folder).is_some_and(|other| other.count != self.count) {
                return Err(Failure::usage(format!(
                    "--shard {self}: {} is a part of another division; use the same number of parts, \
                     remove it, or choose another --out",
                    folder.display()
                )));
            }
            let configs = attempts(&folder)?.into_iter().map(|(_, path)| path.join(CONFIG_FILE));
            let Some(config) = configs.rev().find(|path| path.is_file()) else { continue };
            same_search(&config, &SettingsFile::read(&config)?.settings()?, settings)?;
            // Every part was compared with the earlier ones when it began.
            if folder == self.folder(out) {
                break;
            }
        }
        Ok(())
    }

    /// The part of a folder, from the folder's name.
    fn of_folder(folder: &Path) -> Option<Self> {
        let name = folder.file_name()?.to_str()?.strip_prefix(FOLDER)?;
        name.replacen("-of-", "/", 1).parse().ok()
    }
}

/// Refuses settings of another search than `ours`, or other rules for pairs.
fn same_search(path: &Path, theirs: &Settings, ours: &Settings) -> Result<(), Failure> {
    let mut differs = theirs.differences(ours)?;
    if theirs.pairs != ours.pairs {
        differs.push("[pairs]: other rules there".to_owned());
    }
    if differs.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} is of another search; all parts need the same settings\n  {}",
        path.display(),
        differs.join("\n  ")
    )))
}

/// The folders of parts in the folder of a search, sorted by name.
fn folders(out: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match std::fs::read_dir(out) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| unread(out, &e))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| unread(out, &e))?.path();
        let named = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(FOLDER));
        if named && path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn unread(path: &Path, error: &std::io::Error) -> Failure {
    Failure::file(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_from_one_and_cover_every_problem_once() {
        for count in [1, 2, 3, 7, 250] {
            for problems in [0, 1, 6, 7, 100] {
                let ranges = (1..=count).map(|index| Shard { index, count }.range(problems));
                let all: Vec<usize> = ranges.flatten().collect();
                assert_eq!(all, (0..problems).collect::<Vec<_>>(), "{count} {problems}");
            }
        }
        assert_eq!("2/8".parse(), Ok(Shard { index: 2, count: 8 }));
        let zero = "0/8".parse::<Shard>().unwrap_err();
        assert!(zero.contains("1/8 to 8/8"), "{zero}");
        for bad in ["9/8", "1", "1/0", "a/b", "-1/3", "1/100000", "1/2/3"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_are_named_for_their_parts() {
        let shard = Shard { index: 12, count: 345 };
        let folder = shard.folder(Path::new("out"));
        assert_eq!(folder, Path::new("out/shard-00012-of-00345"));
        assert_eq!(Shard::of_folder(&folder), Some(shard));
        assert_eq!(Shard::of_folder(Path::new("out/shard-00012-of-00345.old")), None);
    }
}
