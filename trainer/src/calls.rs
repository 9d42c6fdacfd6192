//! Logs of model calls, kept on disk until the file that they contribute to is complete.
//!
//! Trees and answers take many calls each and are computed concurrently, so an interrupted process has
//! finished few of them but made many calls. The log next to the incomplete file lets the next process
//! continue after the last logged answer. `mcts search` keeps the same log permanently.

use std::path::Path;
use std::sync::Arc;

use regrowth_policy::{Policy, PolicyError, Recording};

use crate::TrainError;

/// Wraps `policy` so that its answers are logged in the file `calls`; repeated requests are answered from the
/// log. If the log cannot be used (it belongs to another policy or is corrupted), a message is logged and its
/// calls are made again.
pub(crate) fn recorded(
    calls: &Path,
    policy: Arc<dyn Policy>,
    log: &mut dyn FnMut(&str),
) -> Result<Arc<Recording>, TrainError> {
    let recording = match Recording::open(policy.clone(), calls) {
        Err(error @ PolicyError::File { .. }) => {
            log(&format!("{error}; removed, its calls are made again"));
            Recording::remove(calls)?;
            Recording::open(policy, calls)?
        }
        other => other?,
    };
    let at = calls.display();
    if let Some(what) = recording.damage() {
        log(&format!("{at}: {what}; calls from there on are made again"));
    }
    if recording.recorded() > 0 {
        log(&format!("resuming: {at} holds {} finished model calls", recording.recorded()));
    }
    Ok(Arc::new(recording))
}
