//! Reads the tokenizer of a checkpoint and checks it against the embedding: every token id must be below
//! `vocab_size` of `config.json`.

use serde_json::Value;

use crate::PolicyError;
use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::checkpoint::source::Source;
use crate::text::Tokenizer;

impl Tokenizer {
    /// Reads the tokenizer files of a checkpoint and checks them against its configuration.
    ///
    /// # Errors
    /// If a file is missing or malformed, or an id is outside the embedding.
    pub fn read(source: &Source, config: &ModelConfig) -> Result<Self, PolicyError> {
        let tokenizer = Self::from_files(source, &Value::Object(config.raw.clone()))?;
        tokenizer.fits(config.vocab_size, source)?;
        Ok(tokenizer)
    }
}
