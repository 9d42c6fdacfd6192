//! The name of a policy: equal for checkpoints that answer alike, different for all others.
//!
//! Logs of searches and rounds go by it, so everything that changes an answer is in it: weights,
//! shapes and switches, tokenizer, prompts, and the ids that begin and end them. The engine is not
//! part of it, because all engines give the same answers.

use regrowth_datasets::stream_key;

use crate::candle::checkpoint::held::CHUNK;
use crate::candle::checkpoint::weights_file::Checkpoint;
use crate::candle::kernels::for_chunks;
use crate::text::{Files, PromptForm, Tokenizer};
use crate::{PolicyError, PromptOptions};

/// What the identity of a policy ends in where its weights are multiplied in bf16.
pub const BF16: &str = "+bf16";

/// Values whose bytes are made at once.
const BLOCK: usize = 1 << 14;

/// The identity of the policy that a checkpoint makes where it is asked in its own form, without
/// starting an engine.
///
/// # Errors
/// When the tokenizer or prompt files do not fit.
pub fn identity(checkpoint: &Checkpoint) -> Result<String, PolicyError> {
    let tokenizer = Tokenizer::read(&checkpoint.source, &checkpoint.config)?;
    let form = PromptForm::read(&checkpoint.source, &tokenizer, &PromptOptions::default())?;
    identity_of(checkpoint, &tokenizer, &form)
}

/// Architecture and a hash of all that decides an answer.
pub(crate) fn identity_of(
    checkpoint: &Checkpoint,
    tokenizer: &Tokenizer,
    form: &PromptForm,
) -> Result<String, PolicyError> {
    let failed = |e: &dyn std::fmt::Display| PolicyError::Model(e.to_string());
    let mut weights = Vec::new();
    for (name, tensor) in &checkpoint.tensors {
        let mut sum = 0;
        for_chunks(tensor, CHUNK, |values| sum = checksum(sum, values)).map_err(|e| failed(&e))?;
        weights.extend(stream_key(0, &[name.as_bytes(), &sum.to_le_bytes()]).to_le_bytes());
    }
    let source = &checkpoint.source;
    let prompts = (form, tokenizer.chat_template(), tokenizer.eos_ids(), tokenizer.eos_text());
    let bos = tokenizer.chat_template().and(tokenizer.bos_text());
    let prompts =
        serde_json::to_vec(&(prompts, (tokenizer.opening(), bos))).map_err(|e| failed(&e))?;
    let config = source.required("config.json")?;
    let key = stream_key(0, &[&weights, &config, &source.required("tokenizer.json")?, &prompts]);
    let family = checkpoint.config.architecture.trim_end_matches("ForCausalLM").to_lowercase();
    Ok(format!("{family}@{key:016x}"))
}

/// CRC-32C of all values as f32, carried on from those before them: far faster than a cryptographic hash,
/// and no accident escapes it.
fn checksum(before: u32, values: &[f32]) -> u32 {
    let mut bytes = Vec::with_capacity(BLOCK * size_of::<f32>());
    values.chunks(BLOCK).fold(before, |sum, block| {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|v| v.to_le_bytes()));
        crc32c::crc32c_append(sum, &bytes)
    })
}
