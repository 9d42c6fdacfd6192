use super::*;

const LLAMA: &str = r#"{"architectures":["LlamaForCausalLM"],"vocab_size":10,"hidden_size":8,
    "intermediate_size":16,"num_hidden_layers":2,"num_attention_heads":2,"num_key_value_heads":2,
    "rope_theta":500.0"#;

#[test]
fn both_generations_of_rope_settings_are_read() {
    let old = ModelConfig::parse(&format!(
        "{LLAMA},\"rope_scaling\":{{\"type\":\"linear\",\"factor\":2.0}}}}"
    ))
    .unwrap();
    assert_eq!(old.rope_scaling, RopeScaling::Linear { factor: 2.0 });
    assert_eq!(old.rope_theta, 500.0);
    let new = ModelConfig::parse(&format!(
        "{LLAMA},\"rope_parameters\":{{\"rope_type\":\"default\",\"rope_theta\":7.0}}}}"
    ))
    .unwrap();
    assert_eq!(new.rope_theta, 7.0);
    assert_eq!(new.rope_scaling, RopeScaling::None);
    assert!(new.warnings().is_empty());
    let both = ModelConfig::parse(&format!(
        "{LLAMA},\"rope_parameters\":{{\"rope_type\":\"default\",\"rope_theta\":7.0}},\
         \"rope_scaling\":{{\"type\":\"linear\",\"factor\":2.0}}}}"
    ))
    .unwrap();
    assert_eq!(both.rope_scaling, RopeScaling::Linear { factor: 2.0 });
    assert_eq!(both.rope_theta, 500.0);
    assert!(both.warnings()[0].contains("`rope_theta` of 500"), "{:?}", both.warnings());
}

#[test]
fn an_unsupported_architecture_is_named_with_the_supported_ones() {
    let error = ModelConfig::parse(&format!("{LLAMA}}}").replace("Llama", "Gemma")).unwrap_err();
    assert!(error.contains("GemmaForCausalLM") && error.contains("Qwen2ForCausalLM"));
}

#[test]
fn an_unsupported_architecture_is_named_whatever_its_fields() {
    let error = ModelConfig::parse(r#"{"architectures":["GPT2LMHeadModel"],"n_embd":8}"#);
    assert!(error.unwrap_err().contains("GPT2LMHeadModel"));
}

#[test]
fn layer_types_say_which_layers_have_the_window() {
    let types = |types: &str| {
        let more = "\"sliding_window\":4,\"use_sliding_window\":true,\"max_window_layers\":0";
        let text = format!("{LLAMA},{more},\"layer_types\":{types}}}");
        ModelConfig::parse(&text.replace("Llama", "Qwen2"))
    };
    let config = types(r#"["full_attention","sliding_attention"]"#).unwrap();
    assert_eq!((config.window(0), config.window(1)), (None, Some(4)));
    assert!(types(r#"["full_attention"]"#).unwrap_err().contains("expected 2"));
    let error = types(r#"["full_attention","linear_attention"]"#).unwrap_err();
    assert!(error.contains("linear_attention"), "{error}");
}

#[test]
fn what_would_be_computed_wrongly_is_refused() {
    for (more, named) in [
        (r#""mlp_bias":true"#, "mlp_bias"),
        (r#""rope_parameters":{"rope_theta":"x"}"#, "rope_theta"),
        (r#""rope_parameters":{"rope_theta":0}"#, "rope_theta"),
        (r#""rope_scaling":{"type":"linear","factor":0}"#, "factor"),
        (r#""rope_scaling":{"type":"linear"}"#, "factor"),
        (r#""rope_scaling":{"type":"dynamic"}"#, "factor"),
        (r#""rope_scaling":{"type":"longrope","short_factor":[1]}"#, "short_factor"),
        (r#""rope_scaling":{"type":"mrope"}"#, "mrope"),
        (r#""partial_rotary_factor":0.5"#, "partial_rotary_factor"),
        (r#""attn_logit_softcapping":30.0"#, "attn_logit_softcapping"),
        (r#""quantization_config":{"bits":4}"#, "quantization_config"),
        (r#""model_type":"granite""#, "model_type"),
        (r#""hidden_act":"gelu""#, "hidden_act"),
    ] {
        let error = ModelConfig::parse(&format!("{LLAMA},{more}}}")).unwrap_err();
        assert!(error.contains(named), "{more}: {error}");
    }
}

#[test]
fn what_a_file_lacks_is_what_transformers_takes() {
    let family = |name: &str| {
        let text = format!("{LLAMA}}}").replace("\"num_key_value_heads\":2,", "");
        let text = text.replace("\"num_attention_heads\":2", "\"num_attention_heads\":64");
        ModelConfig::parse(
            &text.replace("\"hidden_size\":8", "\"hidden_size\":256").replace("Llama", name),
        )
        .unwrap()
    };
    let found = ["Llama", "Mistral", "Qwen2", "Qwen3"].map(|name| {
        let config = family(name);
        (config.kv_heads, config.head_dim, config.context, config.sliding_window)
    });
    assert_eq!(found[0], (64, 4, 2048, None));
    assert_eq!(found[1], (8, 4, 131_072, Some(4096)));
    assert_eq!(found[2], (32, 4, 32_768, None));
    assert_eq!(found[3], (32, 128, 32_768, None));
}

#[test]
fn the_type_of_a_model_is_enough() {
    let text = format!("{LLAMA},\"model_type\":\"qwen2\"}}");
    let unnamed = text.replace("\"architectures\":[\"LlamaForCausalLM\"],", "");
    assert_eq!(ModelConfig::parse(&unnamed).unwrap().architecture, "Qwen2ForCausalLM");
    assert!(ModelConfig::parse(&text).unwrap_err().contains("expected `llama`"));
}

#[test]
fn stretched_contexts_end_where_rotations_would_change() {
    let context = |scaling: &str| {
        let text = format!("{LLAMA},\"max_position_embeddings\":100,\"rope_scaling\":{scaling}}}");
        ModelConfig::parse(&text).unwrap().context
    };
    let short = r#""short_factor":[1,1],"long_factor":[2,2]"#;
    for (scaling, expected) in [
        (r#"{"type":"dynamic","factor":4}"#.to_owned(), 100),
        (r#"{"type":"yarn","factor":4,"original_max_position_embeddings":50}"#.into(), 200),
        (format!(r#"{{"type":"longrope",{short},"original_max_position_embeddings":40}}"#), 40),
    ] {
        assert_eq!(context(&scaling), expected, "{scaling}");
    }
}

#[test]
fn null_sliding_window_means_none() {
    let text = format!("{LLAMA},\"sliding_window\":null}}").replace("Llama", "Mistral");
    assert_eq!(ModelConfig::parse(&text).unwrap().sliding_window, None);
}

#[test]
fn shapes_count_the_parameters() {
    let config = ModelConfig::llama(10, 8, 16, 2, 2);
    let layer = 4 * 64 + 3 * 128 + 16;
    assert_eq!(config.parameter_count(), 80 + 2 * layer + 8);
}
