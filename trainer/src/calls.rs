//! Model calls that are kept on the disk until what they were made for is whole.
//!
//! Trees and answers take many calls each and are in flight together, so a process that is stopped has
//! finished little and asked much. A log of the answers beside the file in the making lets the next
//! process go on behind the last answer; `mcts search` keeps the same log for good.

use std::path::Path;
use std::sync::Arc;

use regrowth_policy::{Policy, PolicyError, Recording};

use crate::TrainError;

/// `policy` with its answers kept in `log`: what was asked before is answered from there. A log that
/// is of no use (another policy's, or damaged) is named and its calls are made again.
pub(crate) fn recorded(
    log: &Path,
    policy: Arc<dyn Policy>,
    note: &mut dyn FnMut(&str),
) -> Result<Arc<Recording>, TrainError> {
    let recording = match Recording::open(policy.clone(), log) {
        Err(error @ PolicyError::File { .. }) => {
            note(&format!("{error}; removed, its calls are made again"));
            Recording::remove(log)?;
            Recording::open(policy, log)?
        }
        other => other?,
    };
    let at = log.display();
    if let Some(what) = recording.damage() {
        note(&format!("{at}: {what}; calls from there on are made again"));
    }
    if recording.recorded() > 0 {
        note(&format!("resuming: {at} holds {} finished model calls", recording.recorded()));
    }
    Ok(Arc::new(recording))
}
