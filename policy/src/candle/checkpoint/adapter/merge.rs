//! Merges a saved PEFT adapter into the weights of its base; the result equals PEFT with the adapter
//! loaded.
//!
//! The steps are in PEFT's order: layers are repeated, the initialisation changes the base, tensors that
//! are saved in full replace the base's, and updates are added.

use std::collections::BTreeMap;

use candle_core::{DType, Result as TensorResult, Tensor};
use serde_json::Value;

use crate::PolicyError;
use crate::candle::checkpoint::adapter::config::{AdapterConfig, Init, Scales};
use crate::candle::checkpoint::adapter::file::{Part, Parts, read_parts};
use crate::candle::checkpoint::adapter::init::{olora_part, pissa_part};
use crate::candle::checkpoint::adapter::targets::Targets;
use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::checkpoint::held::equal;
use crate::candle::checkpoint::names::{ADAPTER_CONFIG, EMBEDDING, HEAD};
use crate::candle::checkpoint::source::Source;
use crate::text::Files;

/// Tensors of a model by name.
type Tensors = BTreeMap<String, Tensor>;

/// Merges the adapter of `source` into its base. Returns warnings about it.
///
/// # Errors
/// If a file is missing or corrupted, a field requires an unsupported computation, or a tensor does not fit
/// the model.
pub(crate) fn merge_adapter(
    source: &Source,
    model: &mut ModelConfig,
    tensors: &mut Tensors,
) -> Result<Vec<String>, PolicyError> {
    let in_config = |detail: String| source.error(ADAPTER_CONFIG, detail);
    let config = AdapterConfig::parse(&source.text(ADAPTER_CONFIG)?).map_err(in_config)?;
    let (file, parts) = read_parts(source)?;
    replicate(&config, model, tensors).map_err(in_config)?;
    let mut merge = Merge {
        targets: Targets::new(&config).map_err(in_config)?,
        scales: config.scales().map_err(in_config)?,
        init: config.init().map_err(in_config)?,
        tied: model.tied,
        config: &config,
        tensors,
        unnamed: vec![],
        merged: 0,
    };
    let absent = merge.absent(&parts);
    let tied = model.tied;
    if tied {
        merge.tensors.insert(HEAD.to_owned(), merge.tensors[EMBEDDING].clone());
    }
    // Prepare the base of all modules before any update is added: tied modules share a base tensor, and
    // replacing it later would discard an update that was added already.
    for stage in [Merge::base, Merge::updates] {
        for (module, parts) in &parts {
            let merged = stage(&mut merge, module, parts);
            merged.map_err(|detail| source.error(file, format!("`{module}`: {detail}")))?;
        }
    }
    if merge.merged == 0 {
        let detail = "holds no update of a module that `target_modules` names";
        return Err(source.error(file, detail.into()));
    }
    let mut warnings = merge.warnings();
    warnings.extend(absent);
    if tied {
        resolve_tied_head(&config, &parts, model, tensors, &mut warnings)
            .map_err(|e| PolicyError::Model(e.to_string()))?;
    }
    resized(model, tensors).map_err(|detail| source.error(file, detail))?;
    Ok(warnings)
}

/// Builds the model from the ranges of base layers in `layer_replication`; layers may repeat.
fn replicate(
    config: &AdapterConfig,
    model: &mut ModelConfig,
    tensors: &mut Tensors,
) -> Result<(), String> {
    if config.layer_replication.is_empty() {
        return Ok(());
    }
    let ranges = config.layer_replication.iter();
    let order: Vec<usize> =
        ranges.flat_map(|&(start, end)| start..end.min(model.layers + 1)).collect();
    if order.is_empty() || order.iter().any(|layer| *layer >= model.layers) {
        return Err(format!(
            "`layer_replication` is {:?}; expected ranges of the {} layers",
            config.layer_replication, model.layers
        ));
    }
    let (layers, others): (Tensors, Tensors) = std::mem::take(tensors)
        .into_iter()
        .partition(|(name, _)| name.starts_with("model.layers."));
    *tensors = others;
    for (new, old) in order.iter().enumerate() {
        let prefix = format!("model.layers.{old}.");
        for (name, tensor) in &layers {
            if let Some(rest) = name.strip_prefix(&prefix) {
                tensors.insert(format!("model.layers.{new}.{rest}"), tensor.clone());
            }
        }
    }
    model.replicate(&order);
    Ok(())
}

/// State of a merge.
struct Merge<'a> {
    config: &'a AdapterConfig,
    targets: Targets,
    scales: Scales,
    init: Init,
    /// Whether embedding and head of the base are tied.
    tied: bool,
    tensors: &'a mut Tensors,
    /// Modules in the adapter's file that are not targets.
    unnamed: Vec<String>,
    /// Number of modules that were updated or replaced.
    merged: usize,
}

impl Merge<'_> {
    /// Brings the base weights of a module to their state in PEFT before updates are added.
    fn base(&mut self, module: &str, parts: &BTreeMap<Part, Tensor>) -> Result<(), String> {
        if self.init != Init::Plain
            && let Some(update) = self.update(module, parts)?
        {
            self.take_off(module, &update)?;
        }
        for (part, kind) in [(Part::Weight, "weight"), (Part::Bias, "bias")] {
            if let Some(whole) = parts.get(&part) {
                self.replace(module, kind, whole)?;
            }
        }
        Ok(())
    }

    /// Adds the trained updates of a module.
    fn updates(&mut self, module: &str, parts: &BTreeMap<Part, Tensor>) -> Result<(), String> {
        if let Some(rows) = parts.get(&Part::Tokens) {
            self.replace_rows(module, rows)?;
        }
        match self.update(module, parts)? {
            Some(update) => self.add(module, &update, parts),
            None => {
                if parts.contains_key(&Part::A) || parts.contains_key(&Part::EmbeddingA) {
                    self.unnamed.push(module.to_owned());
                }
                Ok(())
            }
        }
    }

    /// Returns the update of a module; `None` if the file has none or the module is not a target.
    fn update(
        &self,
        module: &str,
        parts: &BTreeMap<Part, Tensor>,
    ) -> Result<Option<Update>, String> {
        let rows = parts.contains_key(&Part::EmbeddingA) || parts.contains_key(&Part::EmbeddingB);
        let halves = match rows {
            true => [Part::EmbeddingA, Part::EmbeddingB],
            false => [Part::A, Part::B],
        };
        match halves.map(|half| parts.get(&half)) {
            [None, None] => Ok(None),
            [Some(a), Some(b)] if self.targeted(module) => {
                self.product(module, a, b, rows).map(Some)
            }
            [Some(_), Some(_)] => Ok(None),
            _ => Err("only one of lora_A and lora_B".into()),
        }
    }

    /// Whether a module is updated. The head is updated with the embedding if they are kept tied.
    fn targeted(&self, module: &str) -> bool {
        let held = |module| self.targets.holds(module) != Some(false);
        let kept = self.tied && self.config.ensure_weight_tying && is(module, HEAD);
        held(module) || kept && held(EMBEDDING.trim_end_matches(".weight"))
    }

    /// Checks the shapes of A and B and computes the update in the shape of the module's weight. `rows` says
    /// that the module is an embedding.
    fn product(&self, module: &str, a: &Tensor, b: &Tensor, rows: bool) -> Result<Update, String> {
        let weight = self.tensors.get(&format!("{module}.weight"));
        let weight = weight.ok_or("the model has no such projection")?;
        let shape = |t: &Tensor| t.dims2().map_err(|e| e.to_string());
        let ((r, inputs), (outputs, columns)) = (shape(a)?, shape(b)?);
        let expected = if rows { [inputs, outputs] } else { [outputs, inputs] };
        if r != columns || weight.dims() != expected {
            return Err(format!(
                "lora_A {:?} and lora_B {:?} do not fit a weight of {:?}",
                a.dims(),
                b.dims(),
                weight.dims()
            ));
        }
        let rank = self.scales.rank(module);
        if r != rank {
            return Err(format!("lora_A has rank {r}, but `r` or `rank_pattern` says {rank}"));
        }
        let delta = || {
            let delta = (b.matmul(a)? * self.scales.scale(module))?;
            if rows { delta.t()?.contiguous() } else { Ok(delta) }
        };
        Ok(Update { delta: delta().map_err(|e: candle_core::Error| e.to_string())?, rank, rows })
    }

    /// Subtracts from the base weight the part that PEFT's initialisation subtracts.
    fn take_off(&mut self, module: &str, update: &Update) -> Result<(), String> {
        if update.rows {
            return Ok(());
        }
        let (init, scale) = (self.init, self.scales.scale(module));
        let weight = self.weight(module)?;
        let part = match init {
            Init::Pissa => pissa_part(weight, update.rank)?,
            // PEFT subtracts `scale * B A` here and does not divide the product by the scale first.
            _ => (olora_part(weight, update.rank)? * scale).map_err(|e| e.to_string())?,
        };
        let rest = (&*weight - part).map_err(|e| e.to_string())?;
        self.set_base(module, rest)
    }

    /// Sets the base weight of a module. If embedding and head are tied, sets both.
    fn set_base(&mut self, module: &str, weight: Tensor) -> Result<(), String> {
        if self.tied && (is(module, HEAD) || is(module, EMBEDDING)) {
            self.tensors.insert(EMBEDDING.to_owned(), weight.clone());
            self.tensors.insert(HEAD.to_owned(), weight);
        } else {
            *self.weight(module)? = weight;
        }
        Ok(())
    }

    /// Returns the weight of a module, converted to f32.
    fn weight(&mut self, module: &str) -> Result<&mut Tensor, String> {
        let weight = self.tensors.get_mut(&format!("{module}.weight"));
        let weight = weight.ok_or_else(|| "is no module".to_owned())?;
        *weight = weight.to_dtype(DType::F32).map_err(|e| e.to_string())?;
        Ok(weight)
    }

    /// Replaces a base tensor by one that the adapter saves in full. For a module in `modules_to_save`, only
    /// the module's own copy is set, even if the base weight is tied.
    fn replace(&mut self, module: &str, kind: &str, whole: &Tensor) -> Result<(), String> {
        let name = format!("{module}.{kind}");
        let Some(held) = self.tensors.get_mut(&name) else {
            return Err(format!("the model has no `{name}`"));
        };
        let resized =
            [EMBEDDING, HEAD].contains(&name.as_str()) && whole.dims().get(1) == held.dims().get(1);
        if whole.dims() != held.dims() && !resized {
            return Err(format!("shape {:?}, expected {:?}", whole.dims(), held.dims()));
        }
        self.merged += 1;
        if kind == "bias" || self.targets.saves(module) {
            *held = whole.clone();
            return Ok(());
        }
        self.set_base(module, whole.clone())
    }

    /// Copies trained rows into an embedding.
    fn replace_rows(&mut self, module: &str, rows: &Tensor) -> Result<(), String> {
        let given = &self.config.trainable_token_indices;
        let own = match given {
            Value::Object(by_module) => by_module
                .iter()
                .find(|(name, _)| module == *name || module.ends_with(&format!(".{name}")))
                .map(|(_, ids)| ids),
            other => Some(other),
        };
        let ids: Option<Vec<usize>> = own
            .and_then(Value::as_array)
            .and_then(|ids| ids.iter().map(|id| usize::try_from(id.as_u64()?).ok()).collect());
        let wrong = || format!("`trainable_token_indices` is {given}; expected ids of tokens");
        let ids = ids.ok_or_else(wrong)?;
        let weight = self.weight(module)?;
        let (height, width) = weight.dims2().map_err(|e| e.to_string())?;
        if rows.dims() != [ids.len(), width] || ids.iter().any(|id| *id >= height) {
            return Err(format!("{:?} rows for {} ids of {height}", rows.dims(), ids.len()));
        }
        let put = || -> TensorResult<Tensor> {
            let mut all = weight.flatten_all()?.to_vec1::<f32>()?;
            let rows = rows.to_vec2::<f32>()?;
            for (id, row) in ids.iter().zip(rows) {
                all[id * width..][..width].copy_from_slice(&row);
            }
            Tensor::from_vec(all, (height, width), weight.device())
        };
        *weight = put().map_err(|e| e.to_string())?;
        self.merged += 1;
        Ok(())
    }

    /// Adds an update to the module's weight.
    fn add(
        &mut self,
        module: &str,
        update: &Update,
        parts: &BTreeMap<Part, Tensor>,
    ) -> Result<(), String> {
        let magnitude = match (self.config.use_dora, parts.get(&Part::Magnitude)) {
            (true, None) => {
                return Err("`use_dora` is true, but lora_magnitude_vector is missing".into());
            }
            (true, magnitude) => magnitude,
            (false, _) => None,
        };
        let weight = self.weight(module)?;
        let updated = || -> TensorResult<Tensor> {
            let sum = (&*weight + &update.delta)?;
            match magnitude {
                Some(magnitude) => scaled_to(&sum, magnitude, update.rows),
                None => Ok(sum),
            }
        };
        *weight = updated().map_err(|e| e.to_string())?;
        if let Some(bias) = parts.get(&Part::BiasOfB) {
            let scale = self.scales.scale(module);
            let Some(held) = self.tensors.get_mut(&format!("{module}.bias")) else {
                return Err("`lora_bias` is true, but the projection has no bias".into());
            };
            let sum = (bias * scale).and_then(|bias| &*held + bias);
            *held = sum.map_err(|e| e.to_string())?;
        }
        self.merged += 1;
        Ok(())
    }

    /// Returns a warning about target modules without an update in the file.
    fn absent(&self, parts: &Parts) -> Option<String> {
        let updated = |module: &str| {
            parts.get(module).is_some_and(|parts| {
                [Part::A, Part::EmbeddingA].iter().any(|half| parts.contains_key(half))
            })
        };
        let modules = self.tensors.keys().filter_map(|name| name.strip_suffix(".weight"));
        let absent: Vec<&str> = modules
            .filter(|module| self.targets.holds(module) == Some(true) && !updated(module))
            .collect();
        let first = absent.first()?;
        Some(format!(
            "{ADAPTER_CONFIG} targets {} modules of which the file holds no update, such as `{first}`; as \
             in PEFT they stay those of the base",
            absent.len()
        ))
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(first) = self.unnamed.first() {
            warnings.push(format!(
                "the adapter's file holds updates of {} modules that {ADAPTER_CONFIG} does not target, \
                 such as `{first}`; as in PEFT they do not count",
                self.unnamed.len()
            ));
        }
        if self.config.fan_in_fan_out {
            warnings.push(format!(
                "`fan_in_fan_out` of {ADAPTER_CONFIG} is true; as in PEFT it does not count, the \
                 projections of these models being stored the usual way"
            ));
        }
        warnings
    }
}

/// Whether `tensor` is the weight of this module.
fn is(module: &str, tensor: &str) -> bool {
    tensor.strip_suffix(".weight") == Some(module)
}

/// An update in the shape of its weight.
struct Update {
    delta: Tensor,
    rank: usize,
    /// Whether it updates the rows of an embedding.
    rows: bool,
}

/// Rescales a weight so that its outputs have the norms `magnitude` (DoRA). Outputs are the rows of a
/// projection or the columns of an embedding.
fn scaled_to(weight: &Tensor, magnitude: &Tensor, rows: bool) -> TensorResult<Tensor> {
    let over = usize::from(!rows);
    let norm = weight.sqr()?.sum_keepdim(over)?.sqrt()?;
    weight.broadcast_mul(&(magnitude.reshape(norm.shape())? / norm)?)
}

/// Decides whether embedding and head are still tied after merging, for a base that ties them.
fn resolve_tied_head(
    config: &AdapterConfig,
    parts: &Parts,
    model: &mut ModelConfig,
    tensors: &mut Tensors,
    warnings: &mut Vec<String>,
) -> TensorResult<()> {
    let of = |tensor: &str| parts.iter().find(|(module, _)| is(module, tensor)).map(|(_, p)| p);
    let tokens = of(EMBEDDING).is_some_and(|parts| parts.contains_key(&Part::Tokens));
    // If token embeddings were trained, the file's tensors of a tied head, if any, are copies of the
    // embedding's.
    let copied = of(HEAD).is_none_or(|parts| {
        tokens && parts.keys().all(|part| matches!(part, Part::Weight | Part::Tokens))
    });
    if copied && (tokens || config.ensure_weight_tying) {
        tensors.insert(HEAD.to_owned(), tensors[EMBEDDING].clone());
    }
    let (embedding, head) = (&tensors[EMBEDDING], &tensors[HEAD]);
    if equal(embedding, head)? {
        tensors.remove(HEAD);
    } else {
        warnings.push(
            "the adapter changes one of embedding and head, which the base ties: they are two from here \
             on, as in PEFT"
                .into(),
        );
        model.untie();
    }
    Ok(())
}

/// Adopts the vocabulary size of an adapter that saves a resized embedding in full.
fn resized(model: &mut ModelConfig, tensors: &Tensors) -> Result<(), String> {
    let rows = |name: &str| tensors.get(name).and_then(|tensor| tensor.dims().first().copied());
    let (embedding, head) = (rows(EMBEDDING), rows(HEAD));
    let vocabulary = embedding.unwrap_or(model.vocab_size);
    if head.is_some_and(|head| head != vocabulary) {
        return Err(format!(
            "an embedding of {vocabulary} rows and a head of {}; expected the same number",
            head.unwrap_or(0)
        ));
    }
    if vocabulary != model.vocab_size {
        model.resize(vocabulary);
    }
    Ok(())
}
