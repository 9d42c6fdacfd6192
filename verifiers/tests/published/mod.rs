//! Where the full copies of the published sets lie: in `shared/data` beside the workspace or above it.

use std::path::{Path, PathBuf};

/// The file or folder of that name, if there is a copy.
pub fn published(path: &str) -> Option<PathBuf> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder
        .ancestors()
        .map(|folder| folder.join("shared/data").join(path))
        .find(|file| file.exists())
}
