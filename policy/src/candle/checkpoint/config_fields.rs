//! Fields of a `config.json`: fields that are read, fields without effect on the computation, and fields
//! that would change the computation; the last are refused unless their value is neutral.
//!
//! The table for users is in `docs/checkpoints.md`.

use serde_json::{Map, Value};

/// Fields that are read, here or by the tokenizer.
const READ: &str = "architectures model_type vocab_size hidden_size intermediate_size num_hidden_layers \
    num_attention_heads num_key_value_heads head_dim rms_norm_eps rope_theta rope_scaling \
    rope_parameters original_max_position_embeddings partial_rotary_factor max_position_embeddings \
    sliding_window use_sliding_window max_window_layers layer_types attention_bias \
    tie_word_embeddings hidden_act dtype torch_dtype eos_token_id";

/// Fields about training, storage, sampling or labels.
const WITHOUT_EFFECT: &str = "_name_or_path _attn_implementation attn_implementation \
    _attn_implementation_autoset attention_dropout attn_pdrop auto_map begin_suppress_tokens \
    bos_token_id chunk_size_feed_forward custom_pipelines decoder_start_token_id do_sample \
    diversity_penalty early_stopping embd_pdrop encoder_no_repeat_ngram_size exponential_decay_length_penalty \
    finetuning_task forced_bos_token_id forced_eos_token_id id2label initializer_range \
    is_decoder is_llama_config keys_to_ignore_at_inference label2id length_penalty max_length \
    max_sequence_length min_length no_repeat_ngram_size num_beam_groups num_beams \
    num_return_sequences output_attentions output_hidden_states output_scores pad_token_id prefix \
    pretraining_tp problem_type remove_invalid_values rep_penalty repetition_penalty resid_pdrop \
    return_dict return_dict_in_generate sep_token_id suppress_tokens task_specific_params \
    temperature tf_legacy_loss tie_encoder_decoder tokenizer_class tokenizer_model_max_length \
    tokenizer_padding_side tokenizer_file top_k top_p torchscript transformers_version \
    transformers.js_config typical_p unsloth_fixed unsloth_version unsloth_version_saved use_bfloat16 \
    _model_name_or_path unk_token_id use_cache use_flash_attn use_safetensors cross_attention_hidden_size bad_words_ids";

/// Fields that change what a model computes, each with the numbers that are neutral. Null, false and empty
/// values are always neutral.
const REFUSED: &[(&str, &[f64])] = &[
    ("mlp_bias", &[]),
    ("quantization_config", &[]),
    ("compression_config", &[]),
    ("is_encoder_decoder", &[]),
    ("add_cross_attention", &[]),
    ("pruned_heads", &[]),
    ("attn_logit_softcapping", &[]),
    ("final_logit_softcapping", &[]),
    ("query_pre_attn_scalar", &[]),
    ("attention_multiplier", &[]),
    ("embedding_multiplier", &[1.0]),
    ("residual_multiplier", &[1.0]),
    ("logits_scaling", &[1.0]),
    ("logit_scale", &[1.0]),
    ("scale_emb", &[1.0]),
    ("scale_depth", &[]),
    ("dim_model_base", &[]),
    ("clip_qkv", &[]),
    ("qk_layernorm", &[]),
    ("use_qk_norm", &[]),
    ("qk_norm", &[]),
    ("rope_interleaved", &[]),
    ("no_rope_layers", &[]),
    ("no_rope_layer_interval", &[]),
    ("use_mrope", &[]),
    ("alibi", &[]),
    ("parallel_attn", &[]),
    ("use_parallel_residual", &[]),
    ("attention_chunk_size", &[]),
    ("attn_temperature_tuning", &[0.0]),
    ("num_local_experts", &[0.0]),
    ("num_experts", &[0.0]),
    ("n_routed_experts", &[0.0]),
];

/// Refuses fields whose value would change the computation.
pub(crate) fn check(raw: &Map<String, Value>) -> Result<(), String> {
    let neutral = |value: &Value, numbers: &[f64]| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        other => other.as_f64().is_some_and(|number| numbers.contains(&number)),
    };
    for (name, numbers) in REFUSED {
        let Some(value) = raw.get(*name).filter(|value| !neutral(value, numbers)) else { continue };
        let or = numbers.iter().map(|n| format!(" or {n}")).collect::<String>();
        let shown = if value.is_object() { "set".into() } else { value.to_string() };
        return Err(format!(
            "`{name}` is {shown}; expected null{or}: what it changes is not computed here"
        ));
    }
    Ok(())
}

/// Returns the names of fields that are in none of the three lists.
pub(crate) fn unknown(raw: &Map<String, Value>) -> Vec<&str> {
    let listed = |list: &str, name: &str| list.split_whitespace().any(|known| known == name);
    let known = |name: &str| {
        listed(READ, name)
            || listed(WITHOUT_EFFECT, name)
            || REFUSED.iter().any(|(refused, _)| *refused == name)
    };
    let set = raw.iter().filter(|(_, value)| !value.is_null());
    set.map(|(name, _)| name.as_str()).filter(|name| !known(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_changes_the_function_is_refused_unless_it_is_neutral() {
        for (name, numbers) in REFUSED {
            for value in [json!(null), json!(false), json!([]), json!({})] {
                assert_eq!(check(&fields(json!({ *name: value }))), Ok(()), "{name}");
            }
            for number in *numbers {
                assert_eq!(check(&fields(json!({ *name: number }))), Ok(()), "{name}");
            }
            for value in [json!(true), json!(0.5), json!({ "bits": 4 })] {
                let error = check(&fields(json!({ *name: value }))).unwrap_err();
                assert!(error.starts_with(&format!("`{name}` is ")), "{error}");
            }
        }
    }

    #[test]
    fn only_fields_without_a_verdict_are_unknown() {
        let raw = fields(json!({ "vocab_size": 3, "use_cache": true, "mlp_bias": false,
                                 "attn_scale": 2, "spare": null }));
        assert_eq!(unknown(&raw), ["attn_scale"]);
    }
}
