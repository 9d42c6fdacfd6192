//! Loads the policy that the flags name.

use std::sync::{Arc, Mutex, PoisonError};

use regrowth_mcts::console::log;
use regrowth_mcts::flags::EngineFlags;
use regrowth_policy::decorate::Meter;
use regrowth_policy::{LoadOptions, Policy, PromptOptions, joined};

use crate::{TrainError, inputs};

/// Prints a text unless it equals the last one: every round loads a policy of the same size.
pub(super) fn say_once(text: &str) {
    static LAST: Mutex<String> = Mutex::new(String::new());
    // Only the write can panic under this lock, so poisoning can be ignored.
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if *last != text {
        text.clone_into(&mut last);
        log(text);
    }
}

/// Loads the policy given by `--policy`, counts its calls in `meter`, and prints its notes.
///
/// # Errors
/// If it cannot be loaded, or a flag needs a feature that this build does not have.
pub(super) fn policy(
    specs: &[String],
    engine: &EngineFlags,
    prompt: PromptOptions,
    meter: &Arc<Meter>,
) -> Result<Arc<dyn Policy>, TrainError> {
    let spec = joined(specs)?.unwrap_or_default();
    log(&format!("loading {spec}"));
    let options =
        LoadOptions { prompt, meter: Some(meter.clone()), ..engine.load_options(say_once) };
    let policy = inputs::policy(&spec, &options)?;
    policy.notes().iter().for_each(|text| log(text));
    Ok(policy)
}
