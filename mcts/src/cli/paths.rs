//! Whether files that a command names may be written.
//!
//! A mistake is refused before anything is read or written.

use std::path::{Path, PathBuf};

use regrowth_datasets::DataError;

use super::failure::Failure;

/// Checks that `out`, which `flag` names, can be written and is none of the files `others`, each with
/// the flag that names it.
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

/// Says of an output that it cannot be written.
pub(super) fn unwritten(error: DataError) -> Failure {
    Failure::file(format!("cannot write {error}"))
}

/// Whether two paths lead to one place, be there anything or not.
pub(super) fn is_same(a: &Path, b: &Path) -> bool {
    place(a) == place(b)
}

/// The path without links and dots, as far as it exists.
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
