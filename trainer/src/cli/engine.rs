//! The policy that flags name, as commands of this program run it.

use std::sync::{Arc, Mutex, PoisonError};

use regrowth_mcts::EngineFlags;
use regrowth_policy::{Policy, joined};

use crate::{TrainError, inputs};

/// Says a text unless it was the last one: every round loads a policy of the same size.
pub(super) fn say_once(text: &str) {
    static LAST: Mutex<String> = Mutex::new(String::new());
    // Nothing can panic while this lock is held but the write itself; a poisoned one is as good.
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if *last != text {
        text.clone_into(&mut last);
        eprintln!("{text}");
    }
}

/// Loads the policy that `--policy` names and says what there is to know of it.
///
/// # Errors
/// When it cannot be loaded, or a flag asks for what this build does not have.
pub(super) fn policy(
    specs: &[String],
    engine: &EngineFlags,
) -> Result<Arc<dyn Policy>, TrainError> {
    let spec = joined(specs)?.unwrap_or_default();
    let policy = inputs::policy(&spec, &engine.load_options(say_once))?;
    policy.notes().iter().for_each(|note| eprintln!("{note}"));
    Ok(policy)
}
