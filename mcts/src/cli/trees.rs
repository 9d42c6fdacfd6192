//! Finds the trees for `--trees`: a file, the folder of a search or of a round, or the folder of a run.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use toml::Table;

use super::failure::Failure;
use super::rows::TREES;
use super::sources::{CONFIG_FILE, SettingsFile};
use crate::labels::StepLabelConfig;

/// File with the settings of a run, in its folder.
const RUN_FILE: &str = "run.json";

/// Rules for pairs, and the file that contains them.
pub(super) type Rules = (PathBuf, Table);

/// The files of trees; those of a run are in the order of its rounds.
pub(super) fn files(named: &Path) -> Result<Vec<PathBuf>, Failure> {
    let refuse = |why: &str| Err(Failure::file(format!("{}: {why}", named.display())));
    if !named.is_dir() {
        return match named.exists() {
            true => Ok(vec![named.to_owned()]),
            false => {
                refuse("no such file; expected trees.jsonl, or the folder of a search or a run")
            }
        };
    }
    if named.join(TREES).is_file() {
        return Ok(vec![named.join(TREES)]);
    }
    if named.join(format!("{TREES}.part")).exists() {
        return refuse(
            "the search of this round is not finished; `regrowth status` says how far it is",
        );
    }
    if !named.join(RUN_FILE).is_file() {
        return refuse(
            "holds no trees.jsonl; expected the folder of a search, of a round or of a run",
        );
    }
    let unread = |e: std::io::Error| Failure::file(format!("{}: {e}", named.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(named).map_err(unread)? {
        let folder = entry.map_err(unread)?;
        let trees = folder.path().join(TREES);
        if folder.file_name().to_string_lossy().starts_with("round-") && trees.is_file() {
            found.push(trees);
        }
    }
    found.sort();
    if found.is_empty() {
        return refuse("no round of this run has finished its search; `regrowth status` says more");
    }
    Ok(found)
}

/// The rules of the search or run that grew the trees of a file; `None` if there are no settings.
pub(super) fn rules(trees: &Path) -> Result<Option<Rules>, Failure> {
    let beside = trees.with_file_name(CONFIG_FILE);
    if beside.exists() {
        let rules = SettingsFile::read(&beside)?.pairs()?;
        return Ok(Some((beside, rules)));
    }
    of_run(trees, "pairs")
}

/// The rules for step labels of the run that grew the trees of a file; the defaults for a search.
pub(super) fn step_labels(trees: &Path) -> Result<StepLabelConfig, Failure> {
    let Some((path, rules)) = of_run(trees, "step_labels")? else {
        return Ok(StepLabelConfig::default());
    };
    let bad = |e| Failure::file(format!("{}: `config.step_labels`: {e}", path.display()));
    StepLabelConfig::deserialize(rules).map_err(bad)
}

/// A table of the settings of the run that contains a file, and the settings' file; `None` outside a run.
fn of_run(trees: &Path, key: &str) -> Result<Option<Rules>, Failure> {
    let round = trees.parent().unwrap_or(Path::new(""));
    // A path without a folder is in the current folder.
    let run = if round.as_os_str().is_empty() { Some(Path::new("..")) } else { round.parent() };
    let path = run.unwrap_or(Path::new("")).join(RUN_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let bad = |detail: String| Failure::file(format!("{}: {detail}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| bad(e.to_string()))?;
    let run: Value = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let rules = run.get("config").and_then(|config| config.get(key));
    let rules =
        rules.ok_or_else(|| bad(format!("expected the settings of a run, with `{key}`")))?;
    let rules = Table::try_from(rules).map_err(|e| bad(format!("`config.{key}`: {e}")))?;
    Ok(Some((path, rules)))
}
