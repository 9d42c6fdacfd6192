//! Access to the files of a model, wherever they are stored.
//!
//! A checkpoint's files are in one folder, in two (an adapter and its base) or in this program. The readers
//! of files need not know which.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::PolicyError;

/// The files of one model, by name.
pub trait Files {
    /// Returns the content of a file; `None` if there is no such file.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    fn optional(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, PolicyError>;

    /// Returns the path of a file for messages.
    fn path(&self, name: &str) -> PathBuf;

    /// Returns the content of a file that must exist.
    ///
    /// # Errors
    /// When it does not exist or cannot be read.
    fn required(&self, name: &str) -> Result<Cow<'static, [u8]>, PolicyError> {
        self.optional(name)?.ok_or_else(|| self.absent(name))
    }

    /// Builds the error for a file that must exist and does not.
    fn absent(&self, name: &str) -> PolicyError {
        self.error(name, "no such file; a checkpoint in Hugging Face layout has one".into())
    }

    /// Builds an error about a file.
    fn error(&self, name: &str, detail: String) -> PolicyError {
        PolicyError::File { path: self.path(name), detail }
    }
}

/// First bytes of a pointer file that Git LFS leaves in place of a large file.
pub(crate) const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// Error message for a Git LFS pointer.
pub(crate) const LFS_DETAIL: &str =
    "a Git LFS pointer, not the file itself; fetch it with `git lfs pull`";

/// The files of a folder.
impl Files for Path {
    fn optional(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, PolicyError> {
        match std::fs::read(self.join(name)) {
            Ok(bytes) if bytes.starts_with(LFS_POINTER) => Err(self.error(name, LFS_DETAIL.into())),
            Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(self.error(name, e.to_string())),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.join(name)
    }
}
