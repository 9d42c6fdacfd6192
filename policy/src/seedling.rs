//! The embedded checkpoint: a small model for the built-in tasks.
//!
//! The files lie in `policy/seedling` in Hugging Face layout, beside a card that says what they are
//! and the script that makes them again.

/// Name and content of every file of the embedded checkpoint.
const FILES: [(&str, &[u8]); 7] = [
    ("config.json", include_bytes!("../seedling/config.json")),
    ("generation_config.json", include_bytes!("../seedling/generation_config.json")),
    ("model.safetensors", include_bytes!("../seedling/model.safetensors")),
    ("regrowth.json", include_bytes!("../seedling/regrowth.json")),
    ("special_tokens_map.json", include_bytes!("../seedling/special_tokens_map.json")),
    ("tokenizer.json", include_bytes!("../seedling/tokenizer.json")),
    ("tokenizer_config.json", include_bytes!("../seedling/tokenizer_config.json")),
];

/// A file of the embedded checkpoint.
pub(crate) fn file(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(n, _)| *n == name).map(|(_, bytes)| *bytes)
}
