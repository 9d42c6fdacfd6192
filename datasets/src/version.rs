//! Versions of this project's own rows: a reader accepts its version and older ones, and refuses newer
//! ones with an error that names the version.

use std::path::Path;

use serde::Deserialize;

use crate::DataError;
use crate::fault::Fault;

/// The version column, which is read before all others.
#[derive(Deserialize)]
pub(crate) struct Versioned {
    pub version: Option<u64>,
}

impl Versioned {
    /// Refuses a row that is newer than `known` or has no version; `what` describes a row of the file.
    pub fn check(&self, path: &Path, line: usize, what: &str, known: u32) -> Result<(), DataError> {
        match self.version {
            Some(found) if found > u64::from(known) => {
                Err(DataError::Version { path: path.to_owned(), line, found, known })
            }
            Some(found) if found > 0 => Ok(()),
            _ => {
                let expected = format!("the version of a {what} row, 1 to {known}");
                let got = self.version.map_or("nothing".into(), |v| v.to_string());
                Err(Fault::new("version", expected, got).at(path, line))
            }
        }
    }
}
