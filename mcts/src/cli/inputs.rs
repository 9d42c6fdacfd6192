//! Problems by the names that the command line gives them, and the log of a policy's answers.
//!
//! Formats and engines belong to the crates below.

use std::path::Path;
use std::sync::Arc;

use regrowth_datasets::{Notices, Problem, ProblemSelection, ProblemSources, ReadOptions, Split};
use regrowth_policy::{Policy, PromptOptions, Recording};

use super::failure::Failure;
use super::log;
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
    if let Some(what) = recording.damage() {
        log(format!("{}: {what}; calls from there on are made again", path.display()));
    }
    if recording.recorded() > 0 {
        log(format!("continuing with {} recorded answers", recording.recorded()));
    }
    Ok(Arc::new(recording))
}

/// How `problems`, which the settings name, are put to the policy.
pub(crate) fn prompts(settings: &Settings, problems: &[Problem]) -> Result<PromptOptions, Failure> {
    let file = (settings.problems.as_str(), settings.format()?);
    settings.prompts().options(&settings.policy, file, problems, settings.search.seed)
}

/// The problems that the settings name, a built-in task's being of its training part; with what there
/// is to know of their files.
pub(crate) fn problems(settings: &Settings) -> Result<(Vec<Problem>, Notices), Failure> {
    let limit = settings.limit.map(usize::from);
    let selection = ProblemSelection {
        split: None,
        task_split: Split::Train,
        task_limit: limit.unwrap_or(BUILTIN_LIMIT),
        limit: limit.unwrap_or(usize::MAX),
        seed: settings.search.seed,
    };
    let options =
        ReadOptions { format: settings.format()?, needs_answer: settings.search.value.oracle };
    let mut notices = Notices::skipping(settings.skip_bad);
    let sources = ProblemSources::parse(&[&settings.problems])?;
    let problems = sources.read(options, &selection, &mut notices)?;
    Ok((problems, notices))
}
