//! Loads a policy by its name on the command line.

use std::path::Path;
use std::sync::Arc;

use crate::decorate::Metered;
use crate::{LoadOptions, MemoryPlan, Policy, PolicyError, PromptName, Replay, Scripted};

/// Joins the values of a repeated policy flag to one name: several servers are separated by commas; any
/// other policy may be given only once. `None` if there are no values.
///
/// # Errors
/// [`PolicyError::Spec`] if anything other than servers is given several times.
pub fn joined(specs: &[String]) -> Result<Option<String>, PolicyError> {
    if let [_, _, ..] = specs
        && let Some(other) = specs.iter().find(|s| !s.starts_with("http"))
    {
        let detail = "only servers (http://host:port/v1#model) may be given several times";
        return Err(PolicyError::Spec { spec: other.clone(), detail: detail.into() });
    }
    Ok(Some(specs.join(",")).filter(|joined| !joined.is_empty()))
}

/// The kind of policy that a name refers to, decided by the name alone.
enum Named<'a> {
    Scripted,
    ScriptedFile(&'a Path),
    Replay(&'a Path),
    Server,
    /// Weights in this process; see `Source::named`.
    Checkpoint,
}

/// Addresses of model pages on the Hugging Face Hub, which are not servers.
const HUB: [&str; 2] = ["https://huggingface.co/", "http://huggingface.co/"];

impl<'a> Named<'a> {
    fn of(spec: &'a str) -> Self {
        match spec.split_once(':') {
            None if spec == "scripted" => Self::Scripted,
            Some(("scripted", file)) => Self::ScriptedFile(Path::new(file)),
            Some(("replay", file)) => Self::Replay(Path::new(file)),
            Some(("http" | "https", _)) if HUB.iter().all(|hub| !spec.starts_with(hub)) => {
                Self::Server
            }
            _ => Self::Checkpoint,
        }
    }
}

/// Loads the policy named by `spec`: `builtin`, a checkpoint folder, a GGUF file,
/// `http://host:port/v1#model` (several servers separated by commas), `scripted`, `scripted:FILE` or
/// `replay:FILE` (a log, or the folder of a search).
///
/// # Errors
/// When nothing of that name exists, it cannot be loaded, or it does not fit into free memory.
pub fn load(spec: &str, options: &LoadOptions) -> Result<Arc<dyn Policy>, PolicyError> {
    let policy: Arc<dyn Policy> = match Named::of(spec) {
        Named::Scripted => Arc::new(Scripted::new()),
        Named::ScriptedFile(file) => Arc::new(Scripted::from_file(file)?),
        Named::Replay(file) => Arc::new(Replay::open(file)?),
        Named::Server => served(spec, options)?,
        Named::Checkpoint => checkpoint(spec, options)?,
    };
    Ok(match &options.meter {
        Some(meter) => Arc::new(Metered::new(policy, meter.clone())),
        None => policy,
    })
}

/// Whether prompts for the policy `spec` show worked examples (few-shot) by default: the policy is a
/// checkpoint that only completes text (no chat template, no form of its own), and `form` can show
/// examples.
///
/// # Errors
/// When there is no such checkpoint, or its tokenizer cannot be read.
pub fn wants_shots(spec: &str, form: Option<&PromptName>) -> Result<bool, PolicyError> {
    if matches!(form, Some(PromptName::Plain | PromptName::File(_))) {
        return Ok(false);
    }
    match Named::of(spec) {
        Named::Checkpoint => completes(spec),
        _ => Ok(false),
    }
}

#[cfg(feature = "candle")]
fn completes(spec: &str) -> Result<bool, PolicyError> {
    use crate::candle::{PromptForm, Source};
    PromptForm::is_of_completion(&Source::named(spec)?)
}

#[cfg(not(feature = "candle"))]
fn completes(_spec: &str) -> Result<bool, PolicyError> {
    Ok(false)
}

/// Returns the memory that the checkpoint `spec` will need; `None` for other policies.
///
/// # Errors
/// When the checkpoint's configuration cannot be read, or the plan does not fit into free memory.
pub fn plan(spec: &str, options: &LoadOptions) -> Result<Option<MemoryPlan>, PolicyError> {
    match Named::of(spec) {
        Named::Checkpoint => planned(spec, options),
        _ => Ok(None),
    }
}

#[cfg(feature = "candle")]
fn planned(spec: &str, options: &LoadOptions) -> Result<Option<MemoryPlan>, PolicyError> {
    fitting(&crate::candle::Source::named(spec)?, options).map(Some)
}

#[cfg(not(feature = "candle"))]
fn planned(_spec: &str, _options: &LoadOptions) -> Result<Option<MemoryPlan>, PolicyError> {
    Ok(None)
}

/// Returns the memory plan of a checkpoint if it fits into free memory.
#[cfg(feature = "candle")]
fn fitting(
    source: &crate::candle::Source,
    options: &LoadOptions,
) -> Result<MemoryPlan, PolicyError> {
    use crate::candle::{CandlePolicy, free_on};
    let plan = CandlePolicy::plan(source, options)?;
    if let Some(available) = crate::available_memory() {
        plan.check(available)?;
    }
    if let Some(device) = plan.device
        && let Some(free) = free_on(options.device)?
    {
        device.check(free)?;
    }
    Ok(plan)
}

#[cfg(feature = "http")]
fn served(spec: &str, options: &LoadOptions) -> Result<Arc<dyn Policy>, PolicyError> {
    let server = crate::ServerOptions { log: options.log, ..options.server.clone() };
    Ok(Arc::new(crate::http::HttpPolicy::connect(spec, &server, &options.prompt)?))
}

#[cfg(not(feature = "http"))]
fn served(spec: &str, _options: &LoadOptions) -> Result<Arc<dyn Policy>, PolicyError> {
    Err(PolicyError::Spec {
        spec: spec.into(),
        detail: "servers need a build with `--features http`".into(),
    })
}

#[cfg(feature = "candle")]
fn checkpoint(spec: &str, options: &LoadOptions) -> Result<Arc<dyn Policy>, PolicyError> {
    use crate::candle::{CandlePolicy, Checkpoint, RewardModel, Source};
    let source = Source::named(spec)?;
    let plan = fitting(&source, options)?;
    if let Some(log) = options.log {
        log(&format!("memory: {plan}"));
    }
    if RewardModel::is_in(&source)? {
        return Ok(Arc::new(RewardModel::load(source, options)?));
    }
    let checkpoint = Checkpoint::read_as_stored(source)?;
    Ok(Arc::new(CandlePolicy::taking(checkpoint, options)?))
}

#[cfg(not(feature = "candle"))]
fn checkpoint(spec: &str, _options: &LoadOptions) -> Result<Arc<dyn Policy>, PolicyError> {
    Err(PolicyError::Spec {
        spec: spec.into(),
        detail: "checkpoints need a build with `--features candle`; known here are scripted, \
                 scripted:FILE, replay:FILE"
            .into(),
    })
}
