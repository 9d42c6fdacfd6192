//! Policies, weights and problems by the names that users give them.

use std::path::Path;
use std::sync::Arc;

use regrowth_datasets::{DataError, Format, Problem, Split, read_problems, split_of, tasks};
use regrowth_policy::{LoadOptions, Policy, candle::Source, load};

use crate::{TrainError, pages};

/// What stands before the name of a built-in task.
const BUILTIN: &str = "builtin:";

/// Loads the policy that `spec` names.
///
/// # Errors
/// When nothing of that name exists or it cannot be loaded.
pub fn policy(spec: &str, options: &LoadOptions) -> Result<Arc<dyn Policy>, TrainError> {
    Ok(pages::giving_back(|| load(spec, options))?)
}

/// Where the weights of a policy lie; `None` for one that cannot be trained here.
///
/// # Errors
/// When `spec` is neither a known name nor a folder.
pub fn weights(spec: &str) -> Result<Option<Source>, TrainError> {
    let scripted = spec == "scripted" || spec.starts_with("scripted:");
    if scripted || spec.starts_with("replay:") || spec.starts_with("http") && spec.contains("://") {
        return Ok(None);
    }
    Ok(Some(Source::named(spec)?))
}

/// Whether `spec` names a built-in task.
#[must_use]
pub fn is_builtin(spec: &str) -> bool {
    spec.starts_with(BUILTIN)
}

/// The format that `--format` names.
///
/// # Errors
/// [`TrainError::Setting`] with the known names.
pub fn format(name: Option<&str>) -> Result<Option<Format>, TrainError> {
    name.map(str::parse::<Format>)
        .transpose()
        .map_err(|detail| TrainError::Setting { name: "format", detail })
}

/// Problems of one part of what `spec` names, at most `limit`: a built-in task, or a file, of which
/// `split` picks a part by content (`None`: the whole file, or the test part of a built-in task).
///
/// # Errors
/// When the task is unknown or the file cannot be read.
pub fn problems(
    spec: &str,
    format: Option<Format>,
    split: Option<Split>,
    seed: u64,
    limit: usize,
) -> Result<Vec<Problem>, TrainError> {
    if is_builtin(spec) {
        let split = split.unwrap_or(Split::Test);
        return Ok(tasks::problems_from_spec(spec, split, seed)?.take(limit).collect());
    }
    let mut problems = match read_problems(Path::new(spec), format) {
        Err(DataError::Io { path, source }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(TrainError::File {
                path,
                detail: "no such file; expected a problem file or one of builtin:arithmetic, \
                         builtin:choice, builtin:countdown"
                    .into(),
            });
        }
        other => other?,
    };
    if let Some(split) = split {
        problems.retain(|p| split_of(p) == split);
    }
    problems.truncate(limit);
    Ok(problems)
}
