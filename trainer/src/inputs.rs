//! Loads policies, weights and formats by the names that users give.

use std::sync::Arc;

use regrowth_datasets::Format;
use regrowth_mcts::config::{JudgePolicy, ValueConfig};
use regrowth_policy::{LoadOptions, Policy, candle::Source, load};

use crate::{TrainError, pages};

/// Loads the policy of the specification `spec`.
///
/// # Errors
/// If there is no such policy or it cannot be loaded.
pub fn policy(spec: &str, options: &LoadOptions) -> Result<Arc<dyn Policy>, TrainError> {
    Ok(pages::giving_back(|| load(spec, options))?)
}

/// Loads the judge policy; `None` if the settings name none.
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

/// Returns the source of a policy's weights; `None` if the policy cannot be trained here.
///
/// # Errors
/// If `spec` is neither a known name nor a folder.
pub fn weights(spec: &str) -> Result<Option<Source>, TrainError> {
    let scripted = spec == "scripted" || spec.starts_with("scripted:");
    if scripted || spec.starts_with("replay:") || is_served(spec) {
        return Ok(None);
    }
    Ok(Some(Source::named(spec)?))
}

/// Whether the policy `spec` is behind servers.
#[must_use]
pub fn is_served(spec: &str) -> bool {
    spec.starts_with("http") && spec.contains("://")
}

/// Parses the format given by `--format`.
///
/// # Errors
/// [`TrainError::Setting`] that lists the known names.
pub fn format(name: Option<&str>) -> Result<Option<Format>, TrainError> {
    name.map(str::parse::<Format>)
        .transpose()
        .map_err(|detail| TrainError::Setting { name: "format", detail })
}
