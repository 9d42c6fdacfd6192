//! Reads the parts of a search, and checks that they are complete and belong to one search.

use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use super::super::settings::Settings;
use super::super::sources::{CONFIG_FILE, SettingsFile};
use super::attempt::attempts;
use super::{FOLDER, Shard, ShardRecord, folders, same_search};

/// A complete part.
pub(in crate::cli) struct Part {
    /// The folder with its rows.
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) settings: Settings,
    pub(in crate::cli) record: ShardRecord,
}

/// Reads the parts in the folder of a search, in order.
///
/// # Errors
/// If a part is missing, present twice, incomplete, of a division into another number of parts, of another
/// search, or changed since it was completed. The message gives its folder.
pub(in crate::cli) fn complete_parts(out: &Path) -> Result<Vec<Part>, Failure> {
    let mut parts = folders(out)?.iter().map(|f| part(f)).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_key(|part| part.record.shard.index);
    let Some(first) = parts.first() else {
        return Err(Failure::file(format!(
            "{}: holds no part of a search ({FOLDER}...); expected the --out of `mcts search --shard`",
            out.display()
        )));
    };
    parts.iter().try_for_each(|part| of_one_division(first, part))?;
    if let Some([one, two]) = parts.array_windows().find(|[a, b]| a.record.shard == b.record.shard)
    {
        return Err(Failure::file(format!(
            "shard {} is there twice: {} and {}; remove one of them",
            one.record.shard,
            one.path.display(),
            two.path.display()
        )));
    }
    all_there(out, &parts)?;
    parts.iter().try_for_each(|part| of_one_search(first, part))?;
    Ok(parts)
}

/// Reads the part in a folder.
fn part(folder: &Path) -> Result<Part, Failure> {
    let found = attempts(folder)?;
    let Some((_, path)) = found.into_iter().find(|(_, path)| ShardRecord::is_in(path)) else {
        let again = match Shard::of_folder(folder) {
            Some(shard) => format!("run its command again with --shard {shard}"),
            None => "run its command again".to_owned(),
        };
        return Err(Failure::file(format!(
            "{}: this part is not complete; {again}",
            folder.display()
        )));
    };
    let record = ShardRecord::read(&path)?;
    let settings = SettingsFile::read(&path.join(CONFIG_FILE))?.settings()?;
    Ok(Part { path, settings, record })
}

fn of_one_division(first: &Part, part: &Part) -> Result<(), Failure> {
    let (ours, theirs) = (first.record.shard, part.record.shard);
    if ours.count == theirs.count {
        return Ok(());
    }
    Err(Failure::file(format!(
        "{} is shard {ours} and {} is shard {theirs}; remove the parts of one of these divisions",
        first.path.display(),
        part.path.display()
    )))
}

fn all_there(out: &Path, parts: &[Part]) -> Result<(), Failure> {
    /// Maximum number of missing parts listed in an error.
    const NAMED: usize = 10;
    let count = parts.first().map_or(0, |part| part.record.shard.count);
    let has =
        |index: u32| parts.binary_search_by_key(&index, |part| part.record.shard.index).is_ok();
    let missing: Vec<String> =
        (1..=count).filter(|&i| !has(i)).map(|index| Shard { index, count }.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let more = if missing.len() > NAMED { ", ..." } else { "" };
    let named = missing.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    Err(Failure::file(format!(
        "{}: {} of {count} parts are missing; search them with --shard {named}{more}",
        out.display(),
        missing.len()
    )))
}

/// Checks that settings, problems and policies are those of the first part.
fn of_one_search(first: &Part, part: &Part) -> Result<(), Failure> {
    same_search(&part.path.join(CONFIG_FILE), &part.settings, &first.settings)?;
    let (ours, theirs) = (&first.record, &part.record);
    let policy = |record: &ShardRecord| record.finished.policy.clone();
    let judge =
        |record: &ShardRecord| record.finished.judge.as_ref().map(|judge| judge.policy.clone());
    let differs = if policy(theirs) != policy(ours) {
        format!("policy: {} there, {} in shard {}", policy(theirs), policy(ours), ours.shard)
    } else if judge(theirs) != judge(ours) {
        let shown = |record| judge(record).unwrap_or_else(|| "none".to_owned());
        format!("judge: {} there, {} in shard {}", shown(theirs), shown(ours), ours.shard)
    } else if theirs.problems != ours.problems || theirs.problems_hash != ours.problems_hash {
        let (there, here) = (theirs.problems, ours.problems);
        format!(
            "problems: {there} ({}) there, {here} ({}) in shard {}: their files differ",
            theirs.problems_hash, ours.problems_hash, ours.shard
        )
    } else {
        return Ok(());
    };
    Err(Failure::file(format!(
        "{} (shard {}) is of another search: {differs}; remove it and search that part again",
        part.path.display(),
        theirs.shard
    )))
}
