//! The tokenizer of a checkpoint, checked against its embedding.
//!
//! It knows nothing of how text is rendered; it joins the vocabulary, which knows no model, with the
//! configuration, which knows no text.

use serde_json::Value;

use crate::PolicyError;
use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::checkpoint::source::Source;
use crate::text::Tokenizer;

impl Tokenizer {
    /// Reads the tokenizer files of a checkpoint and checks them against its configuration.
    ///
    /// # Errors
    /// When a file is missing or malformed, or an id does not fit the embedding.
    pub fn read(source: &Source, config: &ModelConfig) -> Result<Self, PolicyError> {
        let tokenizer = Self::from_files(source, &Value::Object(config.raw.clone()))?;
        tokenizer.fits(config.vocab_size, source)?;
        Ok(tokenizer)
    }
}
