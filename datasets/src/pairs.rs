//! Files of preference pairs: written completely or not at all, and read with every row checked. The rows are
//! JSON lines, or Parquet if the path ends in `.parquet`. Only our own columns are supported here; files of
//! other programs (TRL, Step-DPO) have neither token ids nor a version.

use std::path::Path;

use serde_json::Value;

use crate::fault::Fault;
use crate::jsonl::{json_fault, parse_line};
use crate::lines::{Line, Lines, read_start};
use crate::rows::{self, Row};
use crate::version::Versioned;
use crate::{
    DataError, JointPair, Notices, PAIR_VERSION, PreferencePair, joint_pair, pair_parquet,
    write_jsonl,
};

/// Reads all pairs of a file: JSON lines, a JSON array or Parquet, detected from its content.
///
/// A file without rows is valid and has no pairs. Columns unknown to this version are ignored: other tools
/// may add theirs, and a change that matters raises the version.
///
/// # Errors
/// [`DataError::Io`]; [`DataError::Version`] for a row of a newer version; [`DataError::Torn`] for a
/// truncated last line; [`DataError::Row`] for a row that is not a pair or has values out of range;
/// [`DataError::MissingFeature`] for Parquet without the feature.
pub fn read_pairs(path: &Path) -> Result<Vec<PreferencePair>, DataError> {
    read(path, &mut Notices::default())
}

/// Like [`read_pairs`], but skips bad rows as far as `notices` allows.
pub(crate) fn read(path: &Path, notices: &mut Notices) -> Result<Vec<PreferencePair>, DataError> {
    let mut pairs = Vec::new();
    let start = read_start(path, 64)?;
    if start.starts_with(b"PAR1") || start.trim_ascii_start().starts_with(b"[") {
        rows::open(path)?.each(notices, |row, _| {
            pairs.push(pair_of_row(path, row)?);
            Ok(())
        })?;
        return Ok(pairs);
    }
    for line in Lines::open(path)? {
        match line.and_then(|line| pair_of_line(path, &line)) {
            Ok(pair) => pairs.push(pair),
            Err(error) => notices.skip(error)?,
        }
    }
    Ok(pairs)
}

/// Writes pairs to `path`, atomically: JSON lines, or Parquet if it ends in `.parquet`.
///
/// # Errors
/// [`DataError::Row`] with the number of the pair, from 1, if readers would refuse a pair (such as one with a
/// log-probability that is not finite); nothing is written then. [`DataError::Io`];
/// [`DataError::MissingFeature`] for Parquet without the feature.
pub fn write_pairs(path: &Path, pairs: &[PreferencePair]) -> Result<(), DataError> {
    for (i, pair) in pairs.iter().enumerate() {
        check(pair).map_err(|fault| fault.at(path, i + 1))?;
    }
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")) {
        pair_parquet::write(path, pairs)
    } else {
        write_jsonl(path, pairs)
    }
}

fn pair_of_line(path: &Path, line: &Line) -> Result<PreferencePair, DataError> {
    let row: Versioned = parse_line(path, line)?;
    row.check(path, line.number, "pair", PAIR_VERSION)?;
    let pair: PreferencePair = parse_line(path, line).map_err(|error| {
        let joint = parse_line::<JointPair>(path, line).is_ok();
        if joint { joint_pair::refusal().at(path, line.number) } else { error }
    })?;
    check(&pair).map_err(|fault| fault.at(path, line.number))?;
    Ok(pair)
}

fn pair_of_row(path: &Path, row: Row) -> Result<PreferencePair, DataError> {
    let line = row.line;
    let version = row.get("version").and_then(Value::as_u64);
    Versioned { version }.check(path, line, "pair", PAIR_VERSION)?;
    let pair = serde_path_to_error::deserialize(Value::Object(row.into_fields()))
        .map_err(|e| json_fault(&e.path().to_string(), e.inner(), "").at(path, line))?;
    check(&pair).map_err(|fault| fault.at(path, line))?;
    Ok(pair)
}

/// Checks the ranges that are documented at the fields of [`PreferencePair`].
fn check(pair: &PreferencePair) -> Result<(), Fault> {
    let sides = [
        ("chosen_ids", &pair.chosen_ids, "chosen_logps", &pair.chosen_logps),
        ("rejected_ids", &pair.rejected_ids, "rejected_logps", &pair.rejected_logps),
    ];
    for (ids_name, ids, logps_name, logps) in sides {
        if ids.is_empty() {
            return Err(Fault::new(ids_name, "one token or more", "none"));
        }
        if logps.len() != ids.len() && (pair.logps_exact || !logps.is_empty()) {
            let expected = format!("{} values, one for each token", ids.len());
            return Err(Fault::new(logps_name, expected, logps.len().to_string()));
        }
        if let Some(logp) = logps.iter().find(|l| !l.is_finite()) {
            return Err(Fault::new(logps_name, "finite values", logp.to_string()));
        }
    }
    if pair.chosen_ids == pair.rejected_ids {
        return Err(Fault::new("rejected_ids", "another step than the chosen one", "the same"));
    }
    let numbers = [
        ("q_chosen", pair.q_chosen, f64::MIN..=f64::MAX),
        ("q_rejected", pair.q_rejected, f64::MIN..=f64::MAX),
        ("advantage_chosen", pair.advantage_chosen.unwrap_or(0.0), f64::MIN..=f64::MAX),
        ("advantage_rejected", pair.advantage_rejected.unwrap_or(0.0), f64::MIN..=f64::MAX),
        ("prior_chosen", pair.prior_chosen, 0.0..=f64::MAX),
        ("prior_rejected", pair.prior_rejected, 0.0..=f64::MAX),
        ("self_evaluation_chosen", pair.self_evaluation_chosen.unwrap_or(0.0), 0.0..=1.0),
        ("self_evaluation_rejected", pair.self_evaluation_rejected.unwrap_or(0.0), 0.0..=1.0),
        ("outcome_chosen", pair.outcome_chosen, f64::MIN..=f64::MAX),
        ("outcome_rejected", pair.outcome_rejected, f64::MIN..=f64::MAX),
        ("alpha", pair.alpha, 0.0..=0.5),
        ("margin", pair.margin, f64::MIN_POSITIVE..=f64::MAX),
        ("weight", pair.weight, f64::MIN_POSITIVE..=f64::MAX),
    ];
    match numbers.iter().find(|(_, number, range)| !range.contains(number)) {
        Some((name, number, range)) => {
            let expected = format!("a number from {:e} to {:e}", range.start(), range.end());
            Err(Fault::new(name, expected, number.to_string()))
        }
        None => Ok(()),
    }
}
