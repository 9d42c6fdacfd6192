//! Sources of the files of a checkpoint: a folder in Hugging Face layout, a GGUF file, the model embedded in
//! this program, or a PEFT adapter on top of one of them.

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::PolicyError;
use crate::bundled;
use crate::candle::checkpoint::adapter::config::AdapterConfig;
use crate::candle::checkpoint::gguf::{Gguf, is_gguf};
use crate::candle::checkpoint::names::{ADAPTER_CONFIG, INDEX, WEIGHTS};
use crate::candle::checkpoint::spec;
use crate::text::Files;

/// An open file of a checkpoint, for reading at any position.
pub(crate) enum Opened {
    /// A file embedded in this program.
    Memory(&'static [u8]),
    /// A file in a folder.
    File(File),
}

/// The files of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder in Hugging Face layout.
    Folder(PathBuf),
    /// A GGUF file.
    Gguf(Arc<Gguf>),
    /// The checkpoint embedded in this program.
    Embedded,
    /// A PEFT adapter; files that its folder lacks are read from its base.
    Adapter {
        /// Folder of the adapter.
        folder: PathBuf,
        /// The base model of the adapter.
        base: Box<Source>,
    },
}

impl Source {
    /// Opens `builtin`, or a folder or GGUF file that must exist.
    ///
    /// # Errors
    /// If nothing of that name exists, or it is not a checkpoint; the error says what to do.
    pub fn named(spec: &str) -> Result<Self, PolicyError> {
        if spec == "builtin" {
            return Ok(Self::Embedded);
        }
        let path = Path::new(spec);
        if path.exists() {
            return Self::at(path);
        }
        Err(PolicyError::Spec { spec: spec.into(), detail: spec::unknown(spec) })
    }

    /// Opens a folder or GGUF file that must exist.
    fn at(path: &Path) -> Result<Self, PolicyError> {
        if !path.is_file() {
            return Self::folder(path);
        }
        let named = path.extension().is_some_and(|extension| extension == "gguf");
        if named || is_gguf(path) {
            return Ok(Self::Gguf(Arc::new(Gguf::open(path)?)));
        }
        Err(PolicyError::File { path: path.to_owned(), detail: spec::wrong_file(path) })
    }

    /// Opens a folder that must exist.
    ///
    /// # Errors
    /// If there is no such folder.
    pub fn folder(path: &Path) -> Result<Self, PolicyError> {
        if path.join(ADAPTER_CONFIG).is_file() {
            return Self::adapter(path);
        }
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

    /// Opens an adapter's folder and its base (`base_model_name_or_path`). The base is `builtin`, or a path
    /// relative to the working directory or to the adapter's folder, or a Hub name (`Qwen/Qwen2.5-0.5B`)
    /// whose last part is a folder next to the adapter's folder.
    fn adapter(path: &Path) -> Result<Self, PolicyError> {
        let fail = |detail: String| PolicyError::File { path: path.join(ADAPTER_CONFIG), detail };
        let text = std::fs::read_to_string(path.join(ADAPTER_CONFIG));
        let config = AdapterConfig::parse(&text.map_err(|e| fail(e.to_string()))?).map_err(fail)?;
        // As in transformers: a model in the adapter's own folder is its base.
        let has = |name: &str| path.join(name).is_file();
        if has("config.json") && (has(WEIGHTS) || has(INDEX)) {
            let base = Box::new(Self::Folder(path.to_owned()));
            return Ok(Self::Adapter { folder: path.to_owned(), base });
        }
        let Some(name) = config.base_model_name_or_path else {
            return Err(fail("`base_model_name_or_path` is missing; expected a folder".into()));
        };
        let beside = beside(path, &name);
        let places = [PathBuf::from(&name), path.join(&name), beside.clone()];
        let base = match places.iter().find(|place| place.exists()) {
            _ if name == "builtin" => Self::Embedded,
            Some(place) => Self::at(place)?,
            None => return Err(fail(unknown_base(&name, &beside))),
        };
        if base.is_adapter() {
            return Err(fail(format!("its base `{name}` is an adapter; merge that one first")));
        }
        Ok(Self::Adapter { folder: path.to_owned(), base: Box::new(base) })
    }

    /// Whether a file exists.
    pub(crate) fn has(&self, name: &str) -> Result<bool, PolicyError> {
        Ok(self.find(name)?.is_some())
    }

    /// Returns the only subfolder with an adapter, if the folder itself has neither a model nor an adapter.
    fn nested_adapter(&self) -> Option<String> {
        let Self::Folder(folder) = self else { return None };
        if folder.join("config.json").is_file() {
            return None;
        }
        let below = std::fs::read_dir(folder).ok()?.flatten();
        let mut adapters = below.filter(|entry| entry.path().join(ADAPTER_CONFIG).is_file());
        let one = adapters.next()?.file_name();
        adapters.next().is_none().then(|| one.to_string_lossy().into_owned())
    }

    /// Suggests a file of the folder to use in place of a missing file.
    fn instead(&self, name: &str) -> Option<String> {
        match self {
            Self::Folder(folder) => spec::instead(folder, name),
            _ => None,
        }
    }

    /// Whether the source is an adapter on top of a base.
    #[must_use]
    pub fn is_adapter(&self) -> bool {
        matches!(self, Self::Adapter { .. })
    }

    /// Returns the name that [`Self::named`] accepts; the path is absolute if it exists.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Embedded => "builtin".into(),
            Self::Gguf(file) => absolute(file.path()),
            Self::Folder(folder) | Self::Adapter { folder, .. } => absolute(folder),
        }
    }

    /// Returns the GGUF file with the weights; `None` if the weights are not in a GGUF file.
    pub(crate) fn gguf(&self) -> Option<&Gguf> {
        match self {
            Self::Gguf(file) => Some(file),
            Self::Adapter { base, .. } => base.gguf(),
            Self::Folder(_) | Self::Embedded => None,
        }
    }

    /// Opens a file that must exist.
    pub(crate) fn open(&self, name: &str) -> Result<Opened, PolicyError> {
        self.find(name)?.ok_or_else(|| self.absent(name))
    }

    fn find(&self, name: &str) -> Result<Option<Opened>, PolicyError> {
        match self {
            Self::Embedded => Ok(bundled::file(name).map(Opened::Memory)),
            // The weights of a GGUF file cannot be opened as a file; see [`Self::gguf`].
            Self::Gguf(_) => Ok(None),
            Self::Folder(folder) => match File::open(folder.join(name)) {
                Ok(file) => Ok(Some(Opened::File(file))),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(self.error(name, e.to_string())),
            },
            Self::Adapter { folder, base } => match Self::Folder(folder.clone()).find(name)? {
                None => base.find(name),
                found => Ok(found),
            },
        }
    }

    /// Returns the content of a text file that must exist.
    ///
    /// # Errors
    /// If the file does not exist, cannot be read or is not UTF-8.
    pub fn text(&self, name: &str) -> Result<String, PolicyError> {
        String::from_utf8(self.required(name)?.into_owned())
            .map_err(|_| self.error(name, "not valid UTF-8".into()))
    }
}

fn absolute(path: &Path) -> String {
    path.canonicalize().as_deref().unwrap_or(path).display().to_string()
}

/// Returns the folder next to the adapter's folder that is named like the last part of the base's name.
fn beside(adapter: &Path, base: &str) -> PathBuf {
    let last = base.trim_end_matches('/').rsplit('/').next().unwrap_or(base);
    let folder = adapter.canonicalize().unwrap_or_else(|_| adapter.to_owned());
    folder.parent().unwrap_or(&folder).join(last)
}

fn unknown_base(name: &str, beside: &Path) -> String {
    format!(
        "its base `{name}` is neither builtin nor a folder or file here; put that model (or a link to it) at \
         {}, or write the path of its folder into `base_model_name_or_path`",
        beside.display()
    )
}

impl Files for Source {
    fn optional(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, PolicyError> {
        match self {
            Self::Embedded => Ok(bundled::file(name).map(Cow::Borrowed)),
            Self::Gguf(file) => file.optional(name),
            Self::Folder(folder) => folder.as_path().optional(name),
            Self::Adapter { folder, base } => match folder.as_path().optional(name)? {
                None => base.optional(name),
                found => Ok(found),
            },
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) | Self::Adapter { folder, .. } => folder.join(name),
            Self::Gguf(file) => Files::path(&**file, name),
            Self::Embedded => Path::new("builtin").join(name),
        }
    }

    fn absent(&self, name: &str) -> PolicyError {
        let expected = "no such file; a checkpoint in Hugging Face layout has one";
        let detail = match self.nested_adapter() {
            Some(nested) => {
                format!("{expected}. The folder has its adapter in `{nested}/`: give that folder")
            }
            None => match self.instead(name) {
                Some(instead) => format!("{expected}. {instead}"),
                None => expected.into(),
            },
        };
        self.error(name, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_named_as_on_a_hub_is_the_folder_of_that_name_beside_the_adapter() {
        let dir = tempfile::tempdir().unwrap();
        let adapter = dir.path().join("adapter");
        std::fs::create_dir(&adapter).unwrap();
        let config = AdapterConfig::lora("Qwen/Qwen2.5-0.5B".into(), 2, 4.0, 0.0, &[]);
        let config = serde_json::to_string(&config).unwrap();
        std::fs::write(adapter.join(ADAPTER_CONFIG), config).unwrap();
        let base = dir.path().canonicalize().unwrap().join("Qwen2.5-0.5B");
        let error = Source::folder(&adapter).unwrap_err().to_string();
        let told = [ADAPTER_CONFIG, "`Qwen/Qwen2.5-0.5B`", &base.display().to_string(), "put that"];
        assert!(told.iter().all(|part| error.contains(part)), "{error}");
        std::fs::create_dir(&base).unwrap();
        let base = Box::new(Source::Folder(base));
        let expected = Source::Adapter { folder: adapter.clone(), base };
        assert_eq!(Source::folder(&adapter).unwrap(), expected);
    }

    #[test]
    fn a_folder_with_its_adapter_in_a_folder_below_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let refused = || {
            let source = Source::folder(dir.path()).unwrap();
            source.text("config.json").unwrap_err().to_string()
        };
        let add = |name: &str| {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::write(dir.path().join(name).join(ADAPTER_CONFIG), "{}").unwrap();
        };
        let said = "has its adapter in `default/`: give that folder";
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        assert!(!refused().contains("adapter"));
        add("default");
        assert!(refused().contains(said), "{}", refused());
        add("other");
        assert!(!refused().contains("adapter"));
    }
}
