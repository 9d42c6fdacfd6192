//! A lock on a folder, so that only one process writes it.
//!
//! The lock is the operating system's lock on a file in the folder. It disappears when its process ends,
//! in whatever way; the file itself stays and has no meaning.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use crate::DataError;
use crate::lines::io_error;

/// The file that is locked.
const LOCK_FILE: &str = ".lock";

/// Number of attempts to take a lock, and the pause between them.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// Locks a folder until dropped.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Creates the folder and its parents if needed and locks the folder. `None` if another process, or
    /// another lock of this process, holds it.
    ///
    /// # Errors
    /// [`DataError::Io`] if the folder cannot be created or written.
    pub fn hold(folder: &Path) -> Result<Option<Self>, DataError> {
        std::fs::create_dir_all(folder).map_err(|e| io_error(folder, e))?;
        let path = folder.join(LOCK_FILE);
        let file = File::create(&path).map_err(|e| io_error(&path, e))?;
        // `is_held` takes the lock for a moment, so a failed attempt is repeated.
        for _ in 0..ATTEMPTS {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(io_error(&path, error)),
            }
        }
        Ok(None)
    }

    /// Whether a process holds the lock at present. Creates and changes nothing.
    ///
    /// # Errors
    /// [`DataError::Io`] if the system does not report it.
    pub fn is_held(folder: &Path) -> Result<bool, DataError> {
        let path = folder.join(LOCK_FILE);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            other => other.map_err(|e| io_error(&path, e))?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(io_error(&path, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_folder_is_refused_and_a_dropped_one_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a/b");
        let held = FolderLock::hold(&run).unwrap();
        assert!(held.is_some());
        assert!(FolderLock::hold(&run).unwrap().is_none());
        assert!(FolderLock::is_held(&run).unwrap());
        assert!(!FolderLock::is_held(folder.path()).unwrap());
        assert!(!folder.path().join(LOCK_FILE).exists());
        assert!(FolderLock::hold(folder.path()).unwrap().is_some());
        drop(held);
        assert!(!FolderLock::is_held(&run).unwrap());
        assert!(FolderLock::hold(&run).unwrap().is_some());
    }

    #[test]
    fn what_is_no_folder_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(FolderLock::hold(&file).unwrap_err().to_string().contains("file"));
    }
}
