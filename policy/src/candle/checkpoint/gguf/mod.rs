//! GGUF files, the format of llama.cpp: one file with weights, configuration and tokenizer.
//!
//! A file is read as the Hugging Face folder that it was converted from: `config.json`, `tokenizer.json`
//! and their companions are rebuilt from its metadata, and tensors get the names and row order of
//! transformers. Quantised blocks are dequantised to f32 when they are read (candle's reader).

mod companions;
mod config;
mod export;
mod export_tokenizer;
mod header;
mod metadata;
mod names;
mod pre;
mod sentencepiece;
mod tokenizer;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};

use self::header::Entry;
use self::names::{Names, ROPE_FREQS};
use crate::PolicyError;
use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::checkpoint::held::{Held, finite};
use crate::text::{Files, PROMPT_FILE};

pub use self::export::{GgufType, write_gguf};
pub(super) use self::header::is_gguf;

const TOKENIZER_FILE: &str = "tokenizer.json";

/// A GGUF file: its list of tensors, and the checkpoint files that are rebuilt from its metadata.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    /// Tensors, by their names in the file.
    tensors: BTreeMap<String, Entry>,
    /// Content of each rebuilt file, by file name.
    files: BTreeMap<&'static str, Vec<u8>>,
}

/// Two GGUF files are equal if their paths are equal.
impl PartialEq for Gguf {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for Gguf {}

impl Gguf {
    /// Reads the metadata and the list of tensors, but no weights.
    ///
    /// # Errors
    /// If the file is truncated or malformed, is one part of a split model, or has an architecture, a
    /// tensor type or a tokenizer that is not supported.
    pub fn open(path: &Path) -> Result<Self, PolicyError> {
        let fail = |detail: String| PolicyError::File { path: path.to_owned(), detail };
        let header = header::read(path).map_err(fail)?;
        let (tensors, metadata) = (header.tensors, &header.metadata);
        let factors = tensors.get(ROPE_FREQS).map(|entry| entry.values(path)).transpose();
        let factors = factors.map_err(fail)?;
        let config = config::build(metadata, &tensors, factors.as_deref()).map_err(fail)?;
        let beside = path.with_file_name(TOKENIZER_FILE);
        let tokenizer = tokenizer::build(metadata, &beside).map_err(fail)?;
        let mut files: BTreeMap<&str, Vec<u8>> = companions::build(metadata).map_err(fail)?;
        files.insert("config.json", config.to_string().into_bytes());
        files.insert(TOKENIZER_FILE, tokenizer);
        Ok(Self { path: path.to_owned(), tensors, files })
    }

    /// Path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the dtype that represents the values of each tensor exactly, by its name in transformers.
    pub(super) fn dtypes(&self, config: &ModelConfig) -> BTreeMap<String, DType> {
        let names = Names::of(config);
        let shapes = config.tensor_shapes().into_iter();
        shapes
            .filter_map(|(name, _)| Some((self.tensors.get(&names.stored(&name))?.dtype(), name)))
            .map(|(dtype, name)| (name, dtype))
            .collect()
    }

    /// Reads every tensor of `config`, by its name in transformers, in the dtypes of `held`; quantised
    /// tensors are held in f32.
    ///
    /// # Errors
    /// If a tensor is missing, has another shape or values that are not finite, or if the file has a tensor
    /// that the model does not use.
    pub(super) fn read_tensors(
        &self,
        config: &ModelConfig,
        held: Held,
    ) -> Result<BTreeMap<String, Tensor>, PolicyError> {
        let fail = |name: &str, detail: String| PolicyError::File {
            path: self.path.clone(),
            detail: format!("tensor `{name}`: {detail}"),
        };
        let names = Names::of(config);
        if let Some(unknown) = self.tensors.keys().find(|name| !names.known(name)) {
            let detail = "the model that the metadata describe has none of that name; the file is of \
                          another kind than its `general.architecture` says";
            return Err(fail(unknown, detail.into()));
        }
        let mut file = File::open(&self.path)
            .map_err(|e| PolicyError::File { path: self.path.clone(), detail: e.to_string() })?;
        let mut tensors = BTreeMap::new();
        for (name, shape) in config.tensor_shapes() {
            let stored = names.stored(&name);
            let entry = self
                .tensors
                .get(&stored)
                .ok_or_else(|| fail(&stored, format!("is missing; expected shape {shape:?}")))?;
            let read = entry.read(&shape, &mut file).and_then(|tensor| {
                let tensor = names.in_order(&name, tensor).map_err(|e| e.to_string())?;
                whole(&tensor)?;
                // Values that were read from 16 bits convert back to them exactly.
                let dtype = held.dtype(entry.dtype(), shape.len());
                tensor.to_dtype(dtype).map_err(|e| e.to_string())
            });
            tensors.insert(name, read.map_err(|detail| fail(&stored, detail))?);
        }
        Ok(tensors)
    }
}

fn whole(tensor: &Tensor) -> Result<(), String> {
    match finite(tensor).map_err(|e| e.to_string())? {
        true => Ok(()),
        false => Err("holds values that are not finite numbers".into()),
    }
}

/// The files of a checkpoint; prompts come from a `regrowth.json` next to the GGUF file.
impl Files for Gguf {
    fn optional(&self, name: &str) -> Result<Option<Cow<'static, [u8]>>, PolicyError> {
        if name == PROMPT_FILE {
            return self.path.parent().unwrap_or(Path::new("")).optional(name);
        }
        Ok(self.files.get(name).map(|bytes| Cow::Owned(bytes.clone())))
    }

    fn path(&self, name: &str) -> PathBuf {
        if name == PROMPT_FILE { self.path.with_file_name(name) } else { self.path.clone() }
    }
}
