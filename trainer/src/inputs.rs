//! Policies, weights and formats by the names that users give them.

use std::sync::Arc;

use regrowth_datasets::Format;
use regrowth_mcts::config::{JudgePolicy, ValueConfig};
use regrowth_policy::{LoadOptions, Policy, candle::Source, load};

use crate::{TrainError, pages};

/// Loads the policy that `spec` names.
///
/// # Errors
/// When nothing of that name exists or it cannot be loaded.
pub fn policy(spec: &str, options: &LoadOptions) -> Result<Arc<dyn Policy>, TrainError> {
    Ok(pages::giving_back(|| load(spec, options))?)
}

/// Loads the policy that judges in place of another one, where the settings name one.
///
/// # Errors
/// As [`policy`].
pub fn judge(
    value: &ValueConfig,
    options: &LoadOptions,
) -> Result<Option<JudgePolicy>, TrainError> {
    let Some(spec) = &value.judge_policy else { return Ok(None) };
    Ok(Some(JudgePolicy { policy: policy(spec, &options.for_judge())?, meter: Arc::default() }))
}

/// Where the weights of a policy lie; `None` for one that cannot be trained here.
///
/// # Errors
/// When `spec` is neither a known name nor a folder.
pub fn weights(spec: &str) -> Result<Option<Source>, TrainError> {
    let scripted = spec == "scripted" || spec.starts_with("scripted:");
    if scripted || spec.starts_with("replay:") || is_served(spec) {
        return Ok(None);
    }
    Ok(Some(Source::named(spec)?))
}

/// Whether the policy that `spec` names is behind servers.
#[must_use]
pub fn is_served(spec: &str) -> bool {
    spec.starts_with("http") && spec.contains("://")
}

/// The format that `--format` names.
///
/// # Errors
/// [`TrainError::Setting`] with the known names.
pub fn format(name: Option<&str>) -> Result<Option<Format>, TrainError> {
    name.map(str::parse::<Format>)
        .transpose()
        .map_err(|detail| TrainError::Setting { name: "format", detail })
}
