//! Replaces the Parquet reader in a build without the feature: returns an error that names the feature.

use std::path::Path;

use super::Rows;
use crate::DataError;

pub(super) fn rows(path: &Path) -> Result<Rows, DataError> {
    Err(DataError::MissingFeature { path: path.to_owned(), format: "Parquet", feature: "parquet" })
}
