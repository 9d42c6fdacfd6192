//! GPUs of this machine, in builds with the feature `cuda`.

use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::result::mem_get_info;

use crate::{ComputeDevice, PolicyError};

/// The GPU of a number.
///
/// # Errors
/// [`PolicyError::Spec`] when there is none, or its driver does not answer.
pub(super) fn open(number: usize) -> Result<Device, PolicyError> {
    Device::new_cuda(number).map_err(|error| PolicyError::Spec {
        spec: ComputeDevice::Cuda(number).to_string(),
        detail: format!(
            "no such GPU, or no Nvidia driver that answers ({error}); `nvidia-smi` lists what there \
             is, and --device cpu needs none"
        ),
    })
}

/// Bytes that are free on the GPU opened last, where its driver says.
pub(super) fn free_bytes() -> Option<u64> {
    mem_get_info().ok().map(|(free, _)| free as u64)
}
