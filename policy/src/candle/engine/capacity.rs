//! Memory that an engine needs and how its shards divide it, computed from the configuration and the headers
//! of the weight files.
//!
//! No weights are read and nothing is allocated here.

use crate::candle::checkpoint::config::ModelConfig;
use crate::candle::checkpoint::footprint::Footprint;
use crate::candle::checkpoint::source::Source;
use crate::candle::checkpoint::weights_file::holds_head;
use crate::candle::engine::policy::CandlePolicy;
use crate::candle::engine::scheduler::MAX_BATCHED_TOKENS;
use crate::candle::kernels::attended_values;
use crate::candle::model::decoder::Scratch;
use crate::candle::model::on_device;
use crate::text::Files;
use crate::{
    ComputeDevice, DevicePlan, Dtype, LoadOptions, MemoryPlan, PolicyError, available_memory,
};

/// Up to this many parameters, one shard per thread is faster than one shard whose matrix products are
/// split among all threads. Separate shards need no synchronisation, but each of them reads all weights.
/// Measured with four trees and two threads, one shard per thread against one shard: 2.7 s against 3.7 s at
/// 7 million parameters, 67 s against 58 s at 90 million. The limit between these two sizes is not tuned.
const SHARDED_PARAMETERS: usize = 32_000_000;

/// Bytes of memory that a tokenizer needs per byte of its file (measured with 152,000 words).
const TOKENIZER: u64 = 8;

/// Bytes of the program, and of each of its threads: code, stacks, partly used pages, and the trees of some
/// hundred problems (measured on models of 1 to 90 million parameters with 1 to 4 threads).
const PROGRAM: [u64; 2] = [40 << 20, 5 << 20];

/// Tokens that the KV cache holds by default if memory allows: 64 trees in flight with a prompt and a
/// thousand sampled tokens each, plus the same number of older tokens that stay cached.
const CACHED_TOKENS: usize = 1 << 17;

/// Smallest and largest default size of the KV cache, in bytes.
const LEAST_CACHE: usize = 1 << 30;
const MOST_CACHE: usize = 4 << 30;

/// Returns the default size of the KV cache in bytes: room for [`CACHED_TOKENS`] of `slot` bytes each, but
/// at most a quarter of the `available` memory (bytes), and always between [`LEAST_CACHE`] and
/// [`MOST_CACHE`]. Pages that were never written take no memory.
fn cache_for(slot: usize, available: Option<u64>) -> usize {
    let quarter =
        available.map_or(LEAST_CACHE, |bytes| usize::try_from(bytes / 4).unwrap_or(usize::MAX));
    CACHED_TOKENS.saturating_mul(slot).min(quarter).clamp(LEAST_CACHE, MOST_CACHE)
}

/// How an engine divides its KV cache and threads among shards.
pub(crate) struct Capacity {
    /// Number of shards.
    pub(crate) shards: usize,
    /// Number of threads per shard.
    pub(crate) threads: usize,
    /// Bytes of the keys and values of one token.
    pub(crate) slot: usize,
    /// KV slots (tokens) per shard.
    pub(crate) slots: usize,
    /// Maximum number of sequences that a shard decodes at once.
    pub(crate) sequences: usize,
}

impl Capacity {
    pub(crate) fn new(config: &ModelConfig, options: &LoadOptions) -> Self {
        let threads = options.threads.max(1);
        let (cpu, bytes) = match options.device {
            ComputeDevice::Cpu => (true, bytes_on_cpu(options.dtype)),
            ComputeDevice::Cuda(_) => (false, options.dtype.bytes()),
        };
        // On a GPU one engine thread is best: rows of all trees then share matrix products.
        let sharded = cpu && config.parameter_count() <= SHARDED_PARAMETERS;
        let slot = config.layers * 2 * config.kv_heads * config.head_dim * bytes;
        let bytes = options.cache_bytes.unwrap_or_else(|| match options.device {
            ComputeDevice::Cpu => cache_for(slot, available_memory()),
            ComputeDevice::Cuda(_) => LEAST_CACHE,
        });
        let slots = (bytes / slot).max(1);
        // Each shard can hold the longest sequence, so that whether a request fits does not depend on the
        // number of shards.
        let most = if sharded { (slots / config.context).max(1) } else { 1 };
        let shards = threads.min(most);
        Self {
            shards,
            threads: threads / shards,
            slot,
            slots: slots / shards,
            sequences: options.max_batch.div_ceil(shards).max(1),
        }
    }
}

impl CandlePolicy {
    /// Returns the memory that an engine for this checkpoint will need, without reading the weights.
    ///
    /// # Errors
    /// If the configuration is missing or malformed, or the tokenizer is missing.
    pub fn plan(source: &Source, options: &LoadOptions) -> Result<MemoryPlan, PolicyError> {
        let mut config = ModelConfig::parse_any(&source.text("config.json")?)
            .map_err(|detail| source.error("config.json", detail))?;
        if config.tied && holds_head(source) {
            config.untie();
        }
        let capacity = Capacity::new(&config, options);
        let bytes = |values: usize| (values * size_of::<f32>()) as u64;
        let held = Footprint::new(source, &config);
        let cached_tokens = (capacity.slots * capacity.shards) as u64;
        // A step has up to `MAX_BATCHED_TOKENS` prefill rows and one row per decoding sequence. Logits are
        // computed for sequences only.
        let rows = MAX_BATCHED_TOKENS + capacity.sequences;
        let step = rows * Scratch::row_width(&config) + capacity.sequences * config.vocab_size;
        let rotations = config.context * config.head_dim;
        let positions = config.context.min(capacity.slots);
        let attended = capacity.threads * attended_values(config.heads, positions);
        let (mut scratch, mut cache) = (step + attended, cached_tokens * capacity.slot as u64);
        let device = match options.device {
            ComputeDevice::Cpu => None,
            ComputeDevice::Cuda(_) => {
                let number = options.dtype.bytes() as u64;
                let attention = on_device::attention_values(&config, MAX_BATCHED_TOKENS, positions);
                let plan = DevicePlan {
                    weights: number * config.parameter_count() as u64,
                    cache,
                    scratch: number * step as u64 + bytes(attention),
                };
                // Only the logits stay in CPU memory.
                (scratch, cache) = (capacity.sequences * config.vocab_size, 0);
                Some(plan)
            }
        };
        let weights = match (options.device, options.dtype) {
            (ComputeDevice::Cpu, Dtype::Bf16 | Dtype::Int8) => {
                packed_bytes(options.dtype, config.parameter_count())
            }
            _ => held.all,
        };
        Ok(MemoryPlan {
            program: PROGRAM[0] + (capacity.shards * capacity.threads) as u64 * PROGRAM[1],
            tokenizer: TOKENIZER * source.required("tokenizer.json")?.len() as u64,
            weights,
            loading: held.all.saturating_sub(weights) + held.largest,
            cache,
            cached_tokens,
            scratch: capacity.shards as u64 * bytes(scratch) + bytes(rotations),
            device,
        })
    }
}

/// Returns the bytes of weights that are packed in bf16 or int8, with the scales of int8: 4 bytes per 32 weights.
fn packed_bytes(dtype: Dtype, weights: usize) -> u64 {
    let scales = if dtype == Dtype::Int8 { weights / 8 } else { 0 };
    (dtype.bytes() * weights + scales) as u64
}

/// Returns the size in bytes of one number of a stored key or value on the CPU.
fn bytes_on_cpu(dtype: Dtype) -> usize {
    match dtype {
        Dtype::Bf16 | Dtype::Int8 => Dtype::Bf16.bytes(),
        Dtype::F32 | Dtype::F16 => size_of::<f32>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_grows_with_the_model_and_the_free_memory() {
        const GIB: usize = 1 << 30;
        let free = |gib: u64| Some(gib << 30);
        // Little free memory; a token of the bundled model's size; unknown free memory.
        assert_eq!(cache_for(46_080, free(3)), GIB);
        assert_eq!(cache_for(2_048, free(64)), GIB);
        assert_eq!(cache_for(46_080, None), GIB);
        // Qwen2.5-0.5B gets room for all `CACHED_TOKENS`, SmolLM2-135M the maximum, Llama 3.1 8B a quarter
        // of the memory.
        assert_eq!(cache_for(24_576, free(64)), 24_576 << 17);
        assert_eq!(cache_for(46_080, free(64)), 4 * GIB);
        assert_eq!(cache_for(262_144, free(10)), 10 * GIB / 4);
    }
}
