//! Replaces `cuda.rs` in builds without the feature `cuda`.

use candle_core::Device;

use crate::{ComputeDevice, PolicyError};

/// Refuses every GPU, because this build computes on the CPU only.
///
/// # Errors
/// [`PolicyError::Device`], always.
pub(crate) fn open(number: usize) -> Result<Device, PolicyError> {
    Err(PolicyError::Device {
        device: ComputeDevice::Cuda(number),
        detail: "this program was built without the feature `cuda` and computes on the processor \
                 alone. Build it with `--features cuda` (CONTRIBUTING.md), or serve the checkpoint \
                 with vLLM, SGLang or llama.cpp on the GPU and name that server: --policy \
                 http://host:port/v1#model (docs/servers.md)"
            .into(),
    })
}

/// Returns `None`, because this build has no access to GPUs.
pub(crate) fn free_bytes() -> Option<u64> {
    None
}
