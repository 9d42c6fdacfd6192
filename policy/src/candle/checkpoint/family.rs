//! Model families that this engine supports, identified by `architectures` or `model_type` in a
//! `config.json`.

use serde_json::{Map, Value};

/// A supported family, with transformers' defaults for absent fields.
pub(super) struct Family {
    pub(super) architecture: &'static str,
    pub(super) model_type: &'static str,
    /// Default of `num_key_value_heads`; `None`: the number of heads.
    pub(super) kv_heads: Option<usize>,
    /// Default of `head_dim`; `None`: hidden size divided by the number of heads.
    pub(super) head_dim: Option<usize>,
    pub(super) max_position_embeddings: usize,
}

/// Replacements for `ForCausalLM` in the architecture's name if the head scores (reward models).
const SCORING: [&str; 2] = ["ForSequenceClassification", "ForTokenClassification"];

impl Family {
    /// Whether the architecture belongs to the family.
    fn has(&self, architecture: &str) -> bool {
        let stem = self.architecture.trim_end_matches("ForCausalLM");
        let head = architecture.strip_prefix(stem);
        head.is_some_and(|head| head == "ForCausalLM" || SCORING.contains(&head))
    }
}

/// Returns the first name in `architectures`.
pub(super) fn architecture(raw: &Map<String, Value>) -> Option<&str> {
    raw.get("architectures")?.get(0)?.as_str()
}

const FAMILIES: [Family; 4] = [
    Family {
        architecture: "LlamaForCausalLM",
        model_type: "llama",
        kv_heads: None,
        head_dim: None,
        max_position_embeddings: 2048,
    },
    Family {
        architecture: "MistralForCausalLM",
        model_type: "mistral",
        kv_heads: Some(8),
        head_dim: None,
        max_position_embeddings: 131_072,
    },
    Family {
        architecture: "Qwen2ForCausalLM",
        model_type: "qwen2",
        kv_heads: Some(32),
        head_dim: None,
        max_position_embeddings: 32_768,
    },
    Family {
        architecture: "Qwen3ForCausalLM",
        model_type: "qwen3",
        kv_heads: Some(32),
        head_dim: Some(128),
        max_position_embeddings: 32_768,
    },
];

/// Finds the family by `architectures` or `model_type`. One of the two is enough; if both are set, they
/// must agree.
pub(super) fn family(raw: &Map<String, Value>) -> Result<&'static Family, String> {
    let list = |name: fn(&Family) -> &'static str| FAMILIES.each_ref().map(name).join(", ");
    let kind = raw.get("model_type").and_then(Value::as_str);
    let family = match (architecture(raw), kind) {
        (Some(name), _) => FAMILIES.iter().find(|family| family.has(name)).ok_or_else(|| {
            let known = list(|family| family.architecture);
            format!("architecture `{name}` is not supported; supported are {known}")
        })?,
        (None, Some(kind)) => {
            FAMILIES.iter().find(|family| family.model_type == kind).ok_or_else(|| {
                let known = list(|family| family.model_type);
                format!("`model_type` is `{kind}`, which is not supported; supported are {known}")
            })?
        }
        (None, None) => {
            return Err("field `architectures` is missing; expected a list with one name".into());
        }
    };
    match kind.filter(|kind| *kind != family.model_type) {
        None => Ok(family),
        Some(kind) => Err(format!(
            "`model_type` is `{kind}`; expected `{}` beside architecture `{}`",
            family.model_type, family.architecture
        )),
    }
}
