//! Where the full copies of the published sets lie, for the tests that `benches/scripts/outside_data.sh`
//! runs.

use std::path::{Path, PathBuf};

/// The file or folder of that name in the folder that `REGROWTH_DATA` names.
pub fn published(path: &str) -> PathBuf {
    let folder = std::env::var_os("REGROWTH_DATA")
        .expect("REGROWTH_DATA names the folder: run benches/scripts/outside_data.sh FOLDER");
    let file = Path::new(&folder).join(path);
    assert!(file.exists(), "{} is missing", file.display());
    file
}
