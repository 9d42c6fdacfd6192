//! `adapter_config.json` of PEFT. Every field of PEFT's `LoraConfig` is read, has no effect on the
//! computation, or is refused if its value would change the computation. The table for users is in
//! `docs/checkpoints.md`.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::candle::checkpoint::adapter::module_pattern::{ByModule, ModulePattern, is_above_zero};

/// Fields that are read.
const READ: &[&str] = &[
    "peft_type",
    "task_type",
    "base_model_name_or_path",
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "exclude_modules",
    "bias",
    "use_rslora",
    "use_dora",
    "fan_in_fan_out",
    "modules_to_save",
    "init_lora_weights",
    "layers_to_transform",
    "layers_pattern",
    "rank_pattern",
    "alpha_pattern",
    "trainable_token_indices",
    "layer_replication",
    "lora_bias",
    "ensure_weight_tying",
    "inference_mode",
];

/// Fields about the initialisation, training or storage of an adapter. None of them changes what a saved
/// adapter computes.
const WITHOUT_EFFECT: &[&str] = &[
    "auto_mapping",
    "peft_version",
    "revision",
    "megatron_core",
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "qalora_group_size",
    "runtime_config",
];

/// Initialisations that leave the base unchanged, so the saved adapter is plain LoRA.
const PLAIN_INITS: [&str; 5] = ["gaussian", "eva", "orthogonal", "mica", "lora_ga"];

/// The fields of `adapter_config.json` that change what an adapter computes. As in PEFT, null in an
/// optional field means that the field is absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// Always `LORA`.
    pub peft_type: String,
    /// `CAUSAL_LM`, or `None`.
    #[serde(default)]
    pub task_type: Option<String>,
    /// Folder or name of the base model.
    pub base_model_name_or_path: Option<String>,
    /// Rank.
    pub r: usize,
    /// Numerator of the scale (alpha).
    pub lora_alpha: f64,
    /// Dropout probability of inputs in training.
    #[serde(default, deserialize_with = "nullable")]
    pub lora_dropout: f64,
    /// Full names or last name parts of the updated modules, a regular expression for full names, or
    /// `all-linear`.
    #[serde(default)]
    pub target_modules: Value,
    /// Modules that are not updated; same forms as `target_modules`.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub exclude_modules: Value,
    /// Which biases were trained: `none`, `all` or `lora_only`. Trained biases are in the adapter's file.
    #[serde(default = "none", deserialize_with = "bias")]
    pub bias: String,
    /// Whether the scale is `alpha / sqrt(r)`.
    #[serde(default, deserialize_with = "nullable")]
    pub use_rslora: bool,
    /// Whether updates are weight-decomposed (DoRA, arXiv:2402.09353).
    #[serde(default, deserialize_with = "nullable")]
    pub use_dora: bool,
    /// Whether weights are stored transposed. PEFT ignores this for the projections of these models.
    #[serde(default, deserialize_with = "nullable")]
    pub fan_in_fan_out: bool,
    /// Whether B has a bias, which is added to the projection's bias.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub lora_bias: bool,
    /// Initialisation of the updates. Some initialisations change the base each time the adapter is loaded.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub init_lora_weights: Value,
    /// Modules whose full weights are saved.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub modules_to_save: Vec<String>,
    /// Index or indices of the layers whose modules are updated; all layers if null.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub layers_to_transform: Value,
    /// Name or names of the module list that holds the layers.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub layers_pattern: Value,
    /// Ranks of modules whose rank differs from `r`.
    #[serde(
        default,
        deserialize_with = "nullable",
        skip_serializing_if = "ModulePattern::is_empty"
    )]
    pub rank_pattern: ModulePattern,
    /// Alphas of modules whose alpha differs from `lora_alpha`.
    #[serde(default, deserialize_with = "nullable")]
    pub alpha_pattern: ModulePattern,
    /// Ids of tokens whose embeddings were trained: a list for the input embedding, or lists by module.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub trainable_token_indices: Value,
    /// Ranges of base layers, end excluded, that make up the adapted model.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub layer_replication: Vec<(usize, usize)>,
    /// Whether embedding and head stay tied if one of them is trained.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "std::ops::Not::not")]
    pub ensure_weight_tying: bool,
    /// Whether the adapter is for inference only.
    #[serde(default, deserialize_with = "nullable")]
    pub inference_mode: bool,
}

fn none() -> String {
    "none".into()
}

/// Reads a field; null gives its default.
fn nullable<'de, D: Deserializer<'de>, T>(field: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(field)?.unwrap_or_default())
}

fn bias<'de, D: Deserializer<'de>>(field: D) -> Result<String, D::Error> {
    Ok(Option::deserialize(field)?.unwrap_or_else(none))
}

/// Effect of an initialisation on the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Init {
    /// No effect.
    Plain,
    /// Subtracts from each weight its projection on the span of its first columns (OLoRA, arXiv:2406.01775).
    Olora,
    /// Subtracts the principal singular part of each weight (PiSSA, arXiv:2404.02948).
    Pissa,
}

impl AdapterConfig {
    /// Builds the configuration of a plain LoRA adapter.
    #[must_use]
    pub fn lora(base: String, r: usize, alpha: f64, dropout: f64, targets: &[String]) -> Self {
        Self {
            peft_type: "LORA".into(),
            task_type: Some("CAUSAL_LM".into()),
            base_model_name_or_path: Some(base),
            r,
            lora_alpha: alpha,
            lora_dropout: dropout,
            target_modules: targets.into(),
            exclude_modules: Value::Null,
            bias: none(),
            use_rslora: false,
            use_dora: false,
            fan_in_fan_out: false,
            lora_bias: false,
            init_lora_weights: Value::Null,
            modules_to_save: vec![],
            layers_to_transform: Value::Null,
            layers_pattern: Value::Null,
            rank_pattern: ModulePattern::default(),
            alpha_pattern: ModulePattern::default(),
            trainable_token_indices: Value::Null,
            layer_replication: vec![],
            ensure_weight_tying: false,
            inference_mode: true,
        }
    }

    /// Parses the text of an `adapter_config.json`.
    ///
    /// # Errors
    /// An error message that names the field that is missing, invalid, or requires an unsupported
    /// computation.
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: Map<String, Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let lacking = |field: &str, expected: &str| Err(format!("`{field}`: expected {expected}"));
        let kind = raw.get("peft_type").and_then(Value::as_str);
        if kind.is_some_and(|kind| kind != "LORA") {
            return lacking("peft_type", "LORA");
        }
        refuse_others(&raw)?;
        // Parsed from the text and not from `raw`, because the order of patterns matters.
        let config: Self = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if config.task_type.as_deref().is_some_and(|task| task != "CAUSAL_LM") {
            return lacking("task_type", "CAUSAL_LM");
        }
        if !["none", "all", "lora_only"].contains(&config.bias.as_str()) {
            return lacking("bias", "none, all or lora_only");
        }
        if config.r == 0 || !is_above_zero(config.lora_alpha) {
            return lacking("r, lora_alpha", "numbers above 0");
        }
        config.init()?;
        config.scales()?;
        Ok(config)
    }

    /// Returns the effect of `init_lora_weights` on the base when PEFT loads the adapter.
    pub(crate) fn init(&self) -> Result<Init, String> {
        let name = match &self.init_lora_weights {
            Value::Null | Value::Bool(_) => return Ok(Init::Plain),
            other => other.as_str().unwrap_or_default().to_lowercase(),
        };
        match name.as_str() {
            "olora" => Ok(Init::Olora),
            "pissa" => Ok(Init::Pissa),
            plain if PLAIN_INITS.contains(&plain) => Ok(Init::Plain),
            _ => Err(format!(
                "`init_lora_weights` is {}, which changes the base in a way that is not computed \
                 here; save the adapter with `path_initial_model_for_weight_conversion`, or merge it \
                 with PEFT",
                self.init_lora_weights
            )),
        }
    }

    /// Returns rank and alpha of each module.
    pub(crate) fn scales(&self) -> Result<Scales, String> {
        let named = |field: &str, detail: String| format!("`{field}`: {detail}");
        let ranks = self.rank_pattern.by_module(self.r as f64);
        let alphas = self.alpha_pattern.by_module(self.lora_alpha);
        Ok(Scales {
            ranks: ranks.map_err(|detail| named("rank_pattern", detail))?,
            alphas: alphas.map_err(|detail| named("alpha_pattern", detail))?,
            root: self.use_rslora,
        })
    }
}

/// Refuses fields that are set but are neither in [`READ`] nor in [`WITHOUT_EFFECT`].
fn refuse_others(raw: &Map<String, Value>) -> Result<(), String> {
    for (name, value) in raw {
        let unset = match value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(items) => items.is_empty(),
            _ => false,
        };
        let known = READ.contains(&name.as_str()) || WITHOUT_EFFECT.contains(&name.as_str());
        if !unset && !known {
            return Err(format!(
                "`{name}` is set; expected null: what it changes is not computed here"
            ));
        }
    }
    Ok(())
}

/// Rank and alpha of each module.
pub(crate) struct Scales {
    ranks: ByModule,
    alphas: ByModule,
    root: bool,
}

impl Scales {
    /// Rank of a module.
    pub(crate) fn rank(&self, module: &str) -> usize {
        self.ranks.of(module) as usize
    }

    /// Returns the factor on B A.
    pub(crate) fn scale(&self, module: &str) -> f64 {
        let rank = self.ranks.of(module);
        self.alphas.of(module) / if self.root { rank.sqrt() } else { rank }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(fields: &[(&str, Value)]) -> Result<AdapterConfig, String> {
        let plain = AdapterConfig::lora("base".into(), 4, 8.0, 0.0, &["q_proj".into()]);
        let mut raw = serde_json::to_value(plain).unwrap();
        for (name, value) in fields {
            raw[*name] = value.clone();
        }
        AdapterConfig::parse(&raw.to_string())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut config = AdapterConfig::lora("base".into(), 4, 8.0, 0.0, &["q_proj".into()]);
        let parsed = |config: &AdapterConfig| {
            AdapterConfig::parse(&serde_json::to_string(config).unwrap()).unwrap()
        };
        assert_eq!(parsed(&config), config);
        config.alpha_pattern = ModulePattern(vec![("v".into(), 2.0), ("k".into(), 1.0)]);
        config.layer_replication = vec![(0, 2), (1, 3)];
        config.modules_to_save = vec!["lm_head".into()];
        assert_eq!(parsed(&config), config);
    }

    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        for (name, value) in [
            ("peft_type", json!("IA3")),
            ("task_type", json!("SEQ_CLS")),
            ("bias", json!("some")),
            ("r", json!(0)),
            ("alora_invocation_tokens", json!([1, 2])),
            ("target_parameters", json!(["mlp.gate_proj.weight"])),
            ("use_qalora", json!(true)),
            ("use_bdlora", json!({ "nblocks": 2 })),
            ("velora_config", json!({ "scale": 1 })),
            ("monteclora_config", json!({ "num_samples": 4 })),
            ("arrow_config", json!({ "top_k": 1 })),
            ("kasa_config", json!({ "beta": 1 })),
            ("megatron_config", json!({ "a": 1 })),
            ("init_lora_weights", json!("pissa_niter_4")),
            ("init_lora_weights", json!("corda")),
            ("init_lora_weights", json!("loftq")),
            ("a_field_of_tomorrow", json!(0.5)),
        ] {
            let error = with(&[(name, value)]).unwrap_err();
            assert!(error.contains(&format!("`{name}")) || error.contains(name), "{error}");
        }
    }

    #[test]
    fn what_is_unset_or_without_effect_is_read() {
        let plain = with(&[]).unwrap();
        for name in READ.iter().copied() {
            if ["peft_type", "r", "lora_alpha"].contains(&name) {
                continue;
            }
            let null = with(&[(name, Value::Null)]);
            assert!(null.is_ok(), "{name}: {null:?}");
        }
        for (name, value) in [
            ("alora_invocation_tokens", json!(null)),
            ("a_field_of_tomorrow", json!(false)),
            ("a_field_of_tomorrow", json!({})),
            ("megatron_core", json!("megatron.core")),
            ("qalora_group_size", json!(16)),
            ("eva_config", json!({ "rho": 2.0 })),
        ] {
            assert_eq!(with(&[(name, value)]), Ok(plain.clone()), "{name}");
        }
    }

    #[test]
    fn ways_to_initialise_are_plain_or_change_the_base() {
        let init = |value: Value| with(&[("init_lora_weights", value)]).unwrap().init();
        for value in [json!(true), json!(false), json!(null), json!("gaussian"), json!("eva")] {
            assert_eq!(init(value), Ok(Init::Plain));
        }
        assert_eq!(init(json!("OLoRA")), Ok(Init::Olora));
        assert_eq!(init(json!("pissa")), Ok(Init::Pissa));
    }

    #[test]
    fn modules_have_the_scale_of_their_own_rank_and_alpha() {
        let patterns =
            [("alpha_pattern", json!({ "q_proj": 3.0 })), ("rank_pattern", json!({ "v_proj": 1 }))];
        let plain = with(&patterns).unwrap().scales().unwrap();
        assert_eq!((plain.rank("a.q_proj"), plain.scale("a.q_proj")), (4, 0.75));
        assert_eq!((plain.rank("a.v_proj"), plain.scale("a.v_proj")), (1, 8.0));
        let root = with(&[("use_rslora", json!(true))]).unwrap().scales().unwrap();
        assert_eq!(root.scale("q_proj"), 4.0);
        let error = with(&[("rank_pattern", json!({ "(q_proj": 2 }))]).unwrap_err();
        assert!(error.starts_with("`rank_pattern`: `(q_proj` is no"), "{error}");
    }
}
