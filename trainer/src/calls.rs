//! Model calls that are kept on the disk until what they were made for is whole.
//!
//! Trees and answers take many calls each and are in flight together, so a process that is stopped has
//! finished little and asked much. A log of the answers beside the file in the making lets the next
//! process go on behind the last answer; `mcts search` keeps the same log for good.

use std::path::Path;
use std::sync::Arc;

use regrowth_policy::{Policy, PolicyError, Recording};

use crate::TrainError;

/// `policy` with its answers kept in the file `calls`: what was asked before is answered from there. A log that
/// is of no use (another policy's, or damaged) is named and its calls are made again.
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
