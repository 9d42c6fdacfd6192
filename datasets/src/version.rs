//! Versions of our own rows: a reader takes its version and older ones, and refuses newer ones by
//! name rather than guess what changed.

use std::path::Path;

use serde::Deserialize;

use crate::DataError;
use crate::fault::Fault;

/// The one column that is read before all others.
#[derive(Deserialize)]
pub(crate) struct Versioned {
    pub version: Option<u64>,
}

impl Versioned {
    /// Refuses a row that is newer than `known` or names no version; `what` a row of the file is.
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
