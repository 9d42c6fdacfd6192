//! Problems by the names that the command line gives them, and the log of a policy's answers.
//!
//! It knows nothing of formats or engines; those are the business of the crates below.

use std::path::Path;
use std::sync::Arc;

use regrowth_datasets::{Problem, Split, read_problems, tasks::problems_from_spec};
use regrowth_policy::{Policy, Recording};

use super::failure::Failure;
use super::settings::Settings;

/// Problems taken from a built-in task, which has no end of its own.
const BUILTIN_LIMIT: usize = 200;

/// Keeps every answer of `policy` in the log at `path`, and continues one that is there. A replay
/// has its log already.
pub(crate) fn recorded(
    policy: Arc<dyn Policy>,
    spec: &str,
    path: &Path,
) -> Result<Arc<dyn Policy>, Failure> {
    if spec.starts_with("replay:") {
        return Ok(policy);
    }
    let recording = Recording::open(policy, path)?;
    if recording.recorded() > 0 {
        eprintln!("mcts: continuing with {} recorded answers", recording.recorded());
    }
    Ok(Arc::new(recording))
}

/// The problems that the settings name: a built-in task (its training part) or a file.
pub(crate) fn problems(settings: &Settings) -> Result<Vec<Problem>, Failure> {
    let (spec, limit) = (&settings.problems, settings.limit.map(usize::from));
    if spec.starts_with("builtin:") {
        let problems = problems_from_spec(spec, Split::Train, settings.search.seed)?;
        return Ok(problems.take(limit.unwrap_or(BUILTIN_LIMIT)).collect());
    }
    let mut problems = read_problems(Path::new(spec), settings.format()?)?;
    problems.truncate(limit.unwrap_or(usize::MAX));
    Ok(problems)
}
