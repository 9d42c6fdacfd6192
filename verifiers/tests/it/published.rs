//! Location of the full copies of the published sets, for the tests that
//! `benches/scripts/outside_data.sh` runs.

use std::path::{Path, PathBuf};

/// The file or folder with this name in the folder of the environment variable `REGROWTH_DATA`.
pub fn published(path: &str) -> PathBuf {
    let folder = std::env::var_os("REGROWTH_DATA")
        .expect("REGROWTH_DATA names the folder: run benches/scripts/outside_data.sh FOLDER");
    let file = Path::new(&folder).join(path);
    assert!(file.exists(), "{} is missing", file.display());
    file
}
