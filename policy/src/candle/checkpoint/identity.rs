//! The identity of a policy: equal for checkpoints that give the same answers, different for all others.
//!
//! Logs of searches and rounds are looked up by identity, so it covers everything that changes an answer:
//! weights, shapes and switches, tokenizer, prompts, and the BOS and EOS ids. Threads, shards and batching
//! are not covered, because they do not change answers on the CPU. If the engine computes in bf16, in int8 or on a
//! GPU, it appends a suffix to the identity.

use regrowth_datasets::stream_key;

use crate::candle::checkpoint::held::CHUNK;
use crate::candle::checkpoint::weights_file::Checkpoint;
use crate::candle::kernels::for_chunks;
use crate::text::{Files, PromptForm, Tokenizer};
use crate::{Dtype, PolicyError, PromptOptions};

/// Returns the suffix of the identity of a policy whose weights are multiplied in `dtype` on the CPU.
#[must_use]
pub fn dtype_suffix(dtype: Dtype) -> &'static str {
    match dtype {
        // The CPU computes f16 in f32.
        Dtype::F32 | Dtype::F16 => "",
        Dtype::Bf16 => "+bf16",
        Dtype::Int8 => "+int8",
    }
}

/// Number of values that are converted to bytes at a time.
const BLOCK: usize = 1 << 14;

/// Returns the identity that a checkpoint has with its own prompt form, without starting an engine.
///
/// # Errors
/// If the tokenizer or prompt files do not fit.
pub fn identity(checkpoint: &Checkpoint) -> Result<String, PolicyError> {
    let tokenizer = Tokenizer::read(&checkpoint.source, &checkpoint.config)?;
    let form = PromptForm::read(&checkpoint.source, &tokenizer, &PromptOptions::default())?;
    identity_of(checkpoint, &tokenizer, &form)
}

/// Returns the architecture and a hash of everything that changes an answer.
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

/// Extends the CRC-32C `before` by all values as f32. A CRC is far faster than a cryptographic hash, and
/// detects accidental changes.
fn checksum(before: u32, values: &[f32]) -> u32 {
    let mut bytes = Vec::with_capacity(BLOCK * size_of::<f32>());
    values.chunks(BLOCK).fold(before, |sum, block| {
        bytes.clear();
        bytes.extend(block.iter().flat_map(|v| v.to_le_bytes()));
        crc32c::crc32c_append(sum, &bytes)
    })
}
