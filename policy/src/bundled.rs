//! The bundled checkpoint: a small model for the built-in tasks.
//!
//! The files are in `policy/bundled` in Hugging Face layout, together with a model card and the script that
//! retrains the model.

/// Name and content of every file of the bundled checkpoint.
const FILES: [(&str, &[u8]); 7] = [
    ("config.json", include_bytes!("../bundled/config.json")),
    ("generation_config.json", include_bytes!("../bundled/generation_config.json")),
    ("model.safetensors", include_bytes!("../bundled/model.safetensors")),
    ("regrowth.json", include_bytes!("../bundled/regrowth.json")),
    ("special_tokens_map.json", include_bytes!("../bundled/special_tokens_map.json")),
    ("tokenizer.json", include_bytes!("../bundled/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../bundled/tokenizer_config.json")),
];

/// Returns the content of a file of the bundled checkpoint; `None` if there is no such file.
pub(crate) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(n, _)| *n == name).map(|(_, bytes)| *bytes)
}
