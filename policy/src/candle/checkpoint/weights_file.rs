//! Reads the weights of a checkpoint from safetensors (one file or shards) or a GGUF file.
//!
//! Every tensor of the configuration must exist with its shape and finite values; errors name the file and
//! the tensor. Weights are held in f32, or as stored for inference ([`Held`]). An adapter is merged after
//! its base is read.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde_json::Value;

use crate::PolicyError;
use crate::candle::checkpoint::adapter::merge::merge_adapter;
use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::checkpoint::held::{Held, equal};
use crate::candle::checkpoint::names::{EMBEDDING, HEAD, INDEX, SCORE, WEIGHTS};
use crate::candle::checkpoint::source::Source;
use crate::candle::checkpoint::tensor_file::TensorFile;
use crate::text::Files;

/// Configuration and weights of one checkpoint.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Source of the files.
    pub source: Source,
    /// Shapes and switches.
    pub config: ModelConfig,
    /// Weights by tensor name: in f32, or as stored ([`Self::read_as_stored`]).
    pub tensors: BTreeMap<String, Tensor>,
    /// Warnings about the files and how they were interpreted.
    pub warnings: Vec<String>,
}

impl Checkpoint {
    /// Reads configuration and weights; all weights are held in f32.
    ///
    /// # Errors
    /// If a file is missing or malformed, or a tensor is missing, has a wrong shape or values that are not
    /// finite.
    pub fn read(source: Source) -> Result<Self, PolicyError> {
        let config = config(&source)?;
        Self::with(source, config, Held::F32)
    }

    /// Reads configuration and weights for inference: matrices in bf16 and f16 keep their dtype, and only
    /// matrices that an adapter changes are widened to f32. [`CandlePolicy`](crate::candle::CandlePolicy)
    /// computes bit-identical results from them.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_as_stored(source: Source) -> Result<Self, PolicyError> {
        let config = config(&source)?;
        Self::with(source, config, Held::AsStored)
    }

    /// Reads the weights for a configuration.
    pub(crate) fn with(
        source: Source,
        mut config: ModelConfig,
        held: Held,
    ) -> Result<Self, PolicyError> {
        let (mut tensors, mut warnings) = match source.gguf() {
            Some(file) => (file.read_tensors(&config, held)?, vec![]),
            None => read_files(&source, &mut config, held)?,
        };
        warnings.splice(..0, config.warnings());
        if source.is_adapter() {
            warnings.extend(merge_adapter(&source, &mut config, &mut tensors)?);
        }
        Ok(Self { source, config, tensors, warnings })
    }
}

fn config(source: &Source) -> Result<ModelConfig, PolicyError> {
    ModelConfig::parse(&source.text("config.json")?)
        .map_err(|detail| source.error("config.json", detail))
}

/// Reads every tensor of the configuration from the safetensors files of a folder. Returns the tensors, and
/// warnings about them.
fn read_files(
    source: &Source,
    config: &mut ModelConfig,
    held: Held,
) -> Result<(BTreeMap<String, Tensor>, Vec<String>), PolicyError> {
    let files = weight_files(source)?;
    let mut wanted: BTreeMap<String, Vec<usize>> = config.tensor_shapes().into_iter().collect();
    wanted.insert(HEAD.to_owned(), vec![config.vocab_size, config.hidden_size]);
    let tensors = BTreeMap::new();
    let scores = config.scores;
    let mut reading = Reading { source, held, wanted, tensors, unused: vec![], scores };
    files.iter().try_for_each(|file| reading.file(file))?;
    let mut warnings: Vec<String> = reading.warning().into_iter().collect();
    let Reading { mut wanted, mut tensors, .. } = reading;
    if config.tied {
        tie(config, &mut wanted, &mut tensors, &mut warnings)
            .map_err(|e| PolicyError::Model(e.to_string()))?;
    }
    match wanted.first_key_value() {
        None => Ok((tensors, warnings)),
        Some((name, shape)) => {
            let detail = format!("tensor `{name}` of shape {shape:?} is missing");
            Err(source.error(&files.join(", "), detail))
        }
    }
}

/// Whether the weight files have an output head. False if a file cannot be read; loading the weights reports
/// the error.
pub(crate) fn holds_head(source: &Source) -> bool {
    let held =
        |file: &String| TensorFile::open(source, file).is_ok_and(|file| file.shape(HEAD).is_some());
    weight_files(source).is_ok_and(|files| files.iter().any(held))
}

/// Resolves tied embeddings as transformers 5 does: one of embedding and head is enough, and if the files
/// have both with different values, they are not tied.
fn tie(
    config: &mut ModelConfig,
    wanted: &mut BTreeMap<String, Vec<usize>>,
    tensors: &mut BTreeMap<String, Tensor>,
    warnings: &mut Vec<String>,
) -> candle_core::Result<()> {
    wanted.remove(HEAD);
    let Some(head) = tensors.get(HEAD) else { return Ok(()) };
    let Some(embedding) = tensors.get(EMBEDDING) else {
        wanted.remove(EMBEDDING);
        tensors.insert(EMBEDDING.to_owned(), head.clone());
        tensors.remove(HEAD);
        return Ok(());
    };
    if equal(embedding, head)? {
        tensors.remove(HEAD);
        return Ok(());
    }
    warnings.push(format!(
        "config.json ties `{HEAD}` to `{EMBEDDING}`, but the files hold both with different values: \
         the head of the files is used, as in transformers 5; set `tie_word_embeddings` to false to \
         silence this"
    ));
    config.untie();
    Ok(())
}

/// Reads the score head of a reward model: its tensors by name, all of which begin with [`SCORE`].
pub(crate) fn read_score_head(source: &Source) -> Result<BTreeMap<String, Tensor>, PolicyError> {
    let mut tensors = BTreeMap::new();
    for file in weight_files(source)? {
        let mut file = TensorFile::open(source, &file)?;
        for name in file.names().into_iter().filter(|name| name.starts_with(SCORE)) {
            let tensor = file.read(&name, Held::F32)?;
            tensors.insert(name, tensor);
        }
    }
    Ok(tensors)
}

/// Returns the names of the weight files: the single file (which transformers also prefers), or the shards
/// in the index, which must exist.
pub(crate) fn weight_files(source: &Source) -> Result<Vec<String>, PolicyError> {
    if source.has(WEIGHTS)? {
        return Ok(vec![WEIGHTS.to_owned()]);
    }
    let Some(bytes) = source.optional(INDEX)? else { return Ok(vec![WEIGHTS.to_owned()]) };
    let index: Value = serde_json::from_slice(&bytes)
        .map_err(|e| source.error(INDEX, format!("not valid JSON: {e}")))?;
    let map = index.get("weight_map").and_then(Value::as_object).ok_or_else(|| {
        source.error(INDEX, "field `weight_map` is missing; expected an object".into())
    })?;
    let mut files = BTreeMap::new();
    for (tensor, file) in map {
        let Some(file) = file.as_str() else {
            let detail = format!("tensor `{tensor}`: expected the name of a file, got {file}");
            return Err(source.error(INDEX, detail));
        };
        files.entry(file.to_owned()).or_insert_with(|| tensor.clone());
    }
    for (file, tensor) in &files {
        if file.contains(['/', '\\']) {
            return Err(source.error(INDEX, format!("shard `{file}` lies outside the checkpoint")));
        }
        if !source.path(file).exists() {
            let detail = format!("no such file, but {INDEX} says that it holds tensor `{tensor}`");
            return Err(source.error(file, detail));
        }
    }
    Ok(files.into_keys().collect())
}

/// State of reading the weights.
struct Reading<'a> {
    source: &'a Source,
    held: Held,
    /// Names and shapes of the tensors that are not read yet.
    wanted: BTreeMap<String, Vec<usize>>,
    tensors: BTreeMap<String, Tensor>,
    /// Names of the tensors that the model does not use.
    unused: Vec<String>,
    /// Whether the files have a score head, which is read separately.
    scores: bool,
}

impl Reading<'_> {
    /// Reads the tensors of one file that are still wanted.
    fn file(&mut self, file: &str) -> Result<(), PolicyError> {
        let mut file = TensorFile::open(self.source, file)?;
        for name in file.names() {
            // If a model was saved without its head, its tensor names lack the prefix `model.`; transformers
            // adds it.
            let prefixed = format!("model.{name}");
            let own = if self.wanted.contains_key(&prefixed) { &prefixed } else { &name };
            let Some(expected) = self.wanted.get(own) else {
                self.pass_over(&file, name)?;
                continue;
            };
            if let Some(shape) = file.shape(&name).filter(|shape| shape != expected) {
                return Err(file.error(&name, &format!("shape {shape:?}, expected {expected:?}")));
            }
            self.tensors.insert(own.clone(), file.read(&name, self.held)?);
            self.wanted.remove(own);
        }
        Ok(())
    }

    /// Handles a tensor that the model does not use. A bias is an error, because leaving it out would
    /// change the result; rotary tables are ignored.
    fn pass_over(&mut self, file: &TensorFile, name: String) -> Result<(), PolicyError> {
        let known = self.tensors.contains_key(&name) || name.ends_with(".rotary_emb.inv_freq");
        if known || (self.scores && name.starts_with(SCORE)) {
            return Ok(());
        }
        if name.ends_with(".bias") {
            return Err(file.error(&name, "the model that `config.json` describes has none"));
        }
        self.unused.push(name);
        Ok(())
    }

    /// Returns a warning about unused tensors.
    fn warning(&self) -> Option<String> {
        let first = self.unused.first()?;
        Some(format!(
            "the weights hold {} tensors that the model of config.json has no place for, such as \
             `{first}`; as in transformers they do not count",
            self.unused.len()
        ))
    }
}
