//! Atomic writes: a file is written under a temporary name in the same folder, synced and renamed, then
//! the folder is synced. Every artefact of a run is written here, so a file that exists is complete.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::DataError;
use crate::lines::io_error;

/// Distinguishes the temporary names of one process. Relaxed: only uniqueness matters.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Writes a file through `write`. Whenever the process or the machine stops, `path` holds either its old
/// content or all of the new content.
///
/// The folder of `path` must exist. If `write` fails, the temporary file is removed and `path` is
/// unchanged.
///
/// # Errors
/// [`DataError::Io`] with `path`, from `write` or from the system.
pub fn atomic_write(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), DataError> {
    let (folder, temporary) = temporary_name(path).map_err(|e| io_error(path, e))?;
    let result = write_synced(&temporary, write)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_folder(&folder));
    result.map_err(|error| {
        // If the rename succeeded, there is no temporary file any more. An error of the removal is ignored,
        // because the first error is the one to report.
        let _ = fs::remove_file(&temporary);
        io_error(path, error)
    })
}

/// Removes temporary files of [`atomic_write`] that killed processes left beside `path`. No process may
/// be writing `path` meanwhile.
///
/// # Errors
/// [`DataError::Io`] if the folder cannot be read or a file cannot be removed.
pub fn remove_unfinished(path: &Path) -> Result<(), DataError> {
    let (folder, _) = temporary_name(path).map_err(|e| io_error(path, e))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let start = format!(".{name}.");
    for entry in fs::read_dir(&folder).map_err(|e| io_error(&folder, e))? {
        let entry = entry.map_err(|e| io_error(&folder, e))?;
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if found.starts_with(&start) && found.ends_with(".tmp") {
            fs::remove_file(entry.path()).map_err(|e| io_error(&entry.path(), e))?;
        }
    }
    Ok(())
}

/// The folder of `path`, and a temporary name in it that no other write uses.
fn temporary_name(path: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let name = path.file_name().ok_or_else(|| io::Error::other("is not the name of a file"))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let count = WRITES.fetch_add(1, Ordering::Relaxed);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{count}.tmp", std::process::id()));
    let temporary = folder.join(temporary);
    Ok((folder, temporary))
}

fn write_synced(
    temporary: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffered = BufWriter::with_capacity(1 << 16, File::create(temporary)?);
    write(&mut buffered)?;
    buffered.flush()?;
    buffered.get_ref().sync_all()
}

/// Makes the rename durable. Only Unix lets a program open a folder to sync it.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn replaces_the_old_content_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        for text in ["old and long", "new"] {
            atomic_write(&path, |w| w.write_all(text.as_bytes())).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(folder.path()), ["report.json"]);
    }

    #[test]
    fn a_failed_write_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.jsonl");
        atomic_write(&path, |w| w.write_all(b"kept")).unwrap();
        let error = atomic_write(&path, |w| {
            w.write_all(&[b'x'; 1 << 18])?;
            Err(io::Error::other("disk full"))
        });
        let message = error.unwrap_err().to_string();
        assert!(message.contains("pairs.jsonl: disk full"), "{message}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
        assert_eq!(names(folder.path()), ["pairs.jsonl"]);
    }

    #[test]
    fn a_missing_folder_and_a_folder_as_target_are_errors_that_name_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no/such/file");
        assert!(atomic_write(&missing, |_| Ok(())).unwrap_err().to_string().contains("no/such"));
        assert!(atomic_write(Path::new("/"), |_| Ok(())).is_err());
        assert!(atomic_write(folder.path(), |_| Ok(())).is_err());
    }

    #[test]
    fn writers_of_one_file_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::thread::scope(|scope| {
            for byte in b'a'..b'h' {
                let path = &path;
                scope.spawn(move || {
                    atomic_write(path, |w| w.write_all(&vec![byte; 1 << 17])).unwrap();
                });
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 1 << 17);
        assert!(bytes.iter().all(|&b| b == bytes[0]));
    }

    #[test]
    fn only_the_files_own_leftovers_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", ".a.12-0.tmp", ".a.13-1.tmp", ".ab.12-0.tmp", "a.tmp"] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        remove_unfinished(&folder.path().join("a")).unwrap();
        assert_eq!(names(folder.path()), [".ab.12-0.tmp", "a", "a.tmp"]);
    }
}
