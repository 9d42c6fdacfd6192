//! Checks that output files may be written.
//!
//! Mistakes are refused before anything is read or written.

use std::path::{Path, PathBuf};

use regrowth_datasets::DataError;

use super::failure::Failure;

/// Checks that the output `out` of `flag` can be written and is none of the files `others`, each given with
/// its flag.
pub(super) fn check_output(
    flag: &str,
    out: &Path,
    others: &[(&str, &Path)],
) -> Result<(), Failure> {
    let refuse = |why: String| Err(Failure::usage(format!("{flag} {}: {why}", out.display())));
    if let Some((other, _)) = others.iter().find(|(_, path)| is_same(out, path)) {
        return refuse(format!("is the file of {other}; name another one"));
    }
    if out.is_dir() {
        return refuse("expected a file, got a folder".to_owned());
    }
    if !folder(out).is_dir() {
        return refuse(format!("there is no folder {}; make it first", folder(out).display()));
    }
    Ok(())
}

/// Converts an error of writing an output to a failure.
pub(super) fn unwritten(error: DataError) -> Failure {
    Failure::file(format!("cannot write {error}"))
}

/// Whether two paths point to the same place, even if nothing exists there.
pub(super) fn is_same(a: &Path, b: &Path) -> bool {
    place(a) == place(b)
}

/// The path with links and dots resolved, as far as it exists.
fn place(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| {
        let folder = folder(path).canonicalize().unwrap_or_else(|_| folder(path).to_owned());
        folder.join(path.file_name().unwrap_or_default())
    })
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
