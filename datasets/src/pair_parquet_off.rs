//! Replaces the Parquet writer in a build without the feature: returns an error that names the feature.

use std::path::Path;

use crate::{DataError, PreferencePair};

pub(crate) fn write(path: &Path, _: &[PreferencePair]) -> Result<(), DataError> {
    Err(DataError::MissingFeature { path: path.to_owned(), format: "Parquet", feature: "parquet" })
}
