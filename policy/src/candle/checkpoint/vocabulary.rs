//! The tokenizer of a checkpoint, checked against its embedding.
//!
//! Joins the vocabulary of the tokenizer with the token ids that the configuration names.

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
