//! Where the files of a checkpoint come from: a folder in Hugging Face layout, or this program.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::PolicyError;
use crate::seedling;

/// The files of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder in Hugging Face layout.
    Folder(PathBuf),
    /// The checkpoint embedded in this program.
    Embedded,
}

impl Source {
    /// `builtin`, or a folder that must exist.
    ///
    /// # Errors
    /// When there is no such folder, or nothing is embedded.
    pub fn named(spec: &str) -> Result<Self, PolicyError> {
        if spec == "builtin" {
            return Ok(Self::Embedded);
        }
        Self::folder(Path::new(spec)).map_err(|_| PolicyError::Spec {
            spec: spec.into(),
            detail: "no such folder; a policy is builtin, scripted, scripted:FILE, replay:FILE or \
                     a checkpoint folder in Hugging Face layout (config.json, tokenizer.json, \
                     model.safetensors)"
                .into(),
        })
    }

    /// A folder that must exist.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn folder(path: &Path) -> Result<Self, PolicyError> {
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        Err(PolicyError::File {
            path: path.to_owned(),
            detail: "no such folder; expected one in Hugging Face layout (config.json, \
                     tokenizer.json)"
                .into(),
        })
    }

    /// Content of a file, or `None` if the checkpoint has no such file.
    ///
    /// # Errors
    /// When the file exists and cannot be read.
    pub fn optional(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, PolicyError> {
        match self {
            Self::Embedded => Ok(seedling::file(name).map(Cow::Borrowed)),
            Self::Folder(dir) => match std::fs::read(dir.join(name)) {
                Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(self.error(name, e.to_string())),
            },
        }
    }

    /// Content of a file that must exist.
    ///
    /// # Errors
    /// When it does not exist or cannot be read.
    pub fn required(&self, name: &str) -> Result<Cow<'static, [u8]>, PolicyError> {
        self.optional(name)?.ok_or_else(|| {
            self.error(name, "no such file; a checkpoint in Hugging Face layout has one".into())
        })
    }

    /// Content of a text file that must exist.
    ///
    /// # Errors
    /// When it does not exist, cannot be read or is not UTF-8.
    pub fn text(&self, name: &str) -> Result<String, PolicyError> {
        String::from_utf8(self.required(name)?.into_owned())
            .map_err(|_| self.error(name, "not valid UTF-8".into()))
    }

    /// An error about one of the files.
    #[must_use]
    pub fn error(&self, name: &str, detail: String) -> PolicyError {
        PolicyError::File { path: self.path(name), detail }
    }

    /// Path of a file, as shown in messages.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(dir) => dir.join(name),
            Self::Embedded => Path::new("builtin").join(name),
        }
    }
}
