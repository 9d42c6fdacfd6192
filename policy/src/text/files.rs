//! The files of a model, wherever they lie.
//!
//! A checkpoint's files lie in a folder, in two (an adapter on its base) or in this program; who
//! reads them need not know which.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::PolicyError;

/// The files of one model by their names.
pub trait Files {
    /// Content of a file, or `None` if there is no such file.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    fn optional(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, PolicyError>;

    /// Path of a file, as shown in messages.
    fn path(&self, name: &str) -> PathBuf;

    /// Content of a file that must exist.
    ///
    /// # Errors
    /// When it does not exist or cannot be read.
    fn required(&self, name: &str) -> Result<Cow<'static, [u8]>, PolicyError> {
        self.optional(name)?.ok_or_else(|| self.absent(name))
    }

    /// The error of a file that must exist and does not.
    fn absent(&self, name: &str) -> PolicyError {
        self.error(name, "no such file; a checkpoint in Hugging Face layout has one".into())
    }

    /// An error about one of the files.
    fn error(&self, name: &str, detail: String) -> PolicyError {
        PolicyError::File { path: self.path(name), detail }
    }
}

/// How a file begins that Git LFS left in the place of a large one.
pub(crate) const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// What is wrong with such a file.
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
