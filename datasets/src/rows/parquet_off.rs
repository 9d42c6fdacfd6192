//! Stands in for the Parquet reader in a build without the feature: an error that names it.

use std::path::Path;

use super::Rows;
use crate::DataError;

pub(super) fn rows(path: &Path) -> Result<Rows, DataError> {
    Err(DataError::MissingFeature { path: path.to_owned(), format: "Parquet", feature: "parquet" })
}
