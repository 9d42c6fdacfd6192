//! Reads the problems given in the settings, and opens the log of a policy's answers.
//!
//! Formats and engines are implemented in the crates `regrowth_datasets` and `regrowth_policy`.

use std::path::Path;
use std::sync::Arc;

use regrowth_datasets::{Notices, Problem, ProblemSelection, ProblemSources, ReadOptions, Split};
use regrowth_policy::{Policy, PromptOptions, Recording};

use super::failure::Failure;
use super::log;
use super::settings::Settings;

/// Number of problems read from a built-in task, which is practically endless.
const BUILTIN_LIMIT: usize = 200;

/// Records every answer of `policy` in the log at `path`; continues an existing log. A replay needs no log of
/// its own.
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

/// Prompt format and examples for `problems`, which come from the settings' file or task.
pub(crate) fn prompts(settings: &Settings, problems: &[Problem]) -> Result<PromptOptions, Failure> {
    let file = (settings.problems.as_str(), settings.format()?);
    settings.prompts().options(&settings.policy, file, problems, settings.search.seed)
}

/// The problems of the settings (for a built-in task, those of its training part), and notices about their
/// files.
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
