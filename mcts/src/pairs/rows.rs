//! Converts files of trees into a file of rows: pairs, step labels, or any other rows of a tree.

use std::path::{Path, PathBuf};

use regrowth_datasets::{JsonlWriter, atomic_write};
use serde::Serialize;

use crate::SearchError;
use crate::record::{TreeRecord, read_trees};

/// Writes the rows of every tree in the files `trees` to `out`, as JSON lines. `out` is written completely or
/// not at all; one tree is in memory at a time.
///
/// # Errors
/// Those of [`read_trees`]; [`SearchError::Data`] when `out` cannot be written.
pub fn extract_rows<T: Serialize>(
    trees: &[PathBuf],
    out: &Path,
    mut rows: impl FnMut(&TreeRecord) -> Vec<T>,
) -> Result<(), SearchError> {
    // The writer only needs to know that a tree is bad; the error itself is kept here.
    let mut bad = None;
    let written = atomic_write(out, |file| {
        let mut stash = |error: SearchError| {
            bad = Some(error);
            std::io::Error::other("bad tree")
        };
        let mut out = JsonlWriter::new(file);
        for file in trees {
            for tree in read_trees(file).map_err(&mut stash)? {
                let tree = tree.map_err(&mut stash)?;
                rows(&tree).iter().try_for_each(|row| out.write(row))?;
            }
        }
        Ok(())
    });
    match bad {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}
