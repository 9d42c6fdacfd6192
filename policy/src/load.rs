//! A policy from the name that the command line gives it.

use std::path::Path;
use std::sync::Arc;

use crate::{Policy, PolicyError, Replay, Scripted};

/// How a policy is run; none of it changes what it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// Threads of an engine in this process, at least 1.
    pub threads: usize,
    /// Sequences decoded at once, at least 1.
    pub max_batch: usize,
    /// Bytes for keys and values of stored prefixes.
    pub cache_bytes: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { threads, max_batch: 64, cache_bytes: 1 << 30 }
    }
}

/// Loads the policy that `spec` names: `builtin`, a checkpoint folder, `scripted`, `scripted:FILE`
/// or `replay:FILE`.
///
/// # Errors
/// When nothing of that name exists or it cannot be loaded.
pub fn load(spec: &str, options: &LoadOptions) -> Result<Arc<dyn Policy>, PolicyError> {
    match spec.split_once(':') {
        None if spec == "scripted" => Ok(Arc::new(Scripted::new())),
        Some(("scripted", file)) => Ok(Arc::new(Scripted::from_file(Path::new(file))?)),
        Some(("replay", file)) => Ok(Arc::new(Replay::open(Path::new(file))?)),
        Some(("http" | "https", _)) => Err(PolicyError::Spec {
            spec: spec.into(),
            detail: "this build has no HTTP engine; known are builtin, a checkpoint folder, \
                     scripted, scripted:FILE, replay:FILE"
                .into(),
        }),
        _ => checkpoint(spec, options),
    }
}

#[cfg(feature = "candle")]
fn checkpoint(spec: &str, options: &LoadOptions) -> Result<Arc<dyn Policy>, PolicyError> {
    use crate::candle::{CandlePolicy, Checkpoint, Source};
    let source = Source::named(spec)?;
    let checkpoint = Checkpoint::read(source, &candle_core::Device::Cpu)?;
    Ok(Arc::new(CandlePolicy::new(&checkpoint, options)?))
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
