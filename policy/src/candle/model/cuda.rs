//! GPUs of this machine, in builds with the feature `cuda`.

use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::result::mem_get_info;

use crate::{ComputeDevice, PolicyError};

/// The GPU of a number.
///
/// # Errors
/// [`PolicyError::Device`] when there is none, or its driver does not answer.
pub(crate) fn open(number: usize) -> Result<Device, PolicyError> {
    Device::new_cuda(number).map_err(|error| {
        // A backtrace may follow.
        let error = error.to_string();
        let first = error.lines().next().unwrap_or_default();
        let detail = format!(
            "no such GPU, or no driver or CUDA libraries that answer ({first}). `nvidia-smi` lists the \
             GPUs, LD_LIBRARY_PATH names folders of libraries, and --device cpu needs none of them"
        );
        PolicyError::Device { device: ComputeDevice::Cuda(number), detail }
    })
}

/// Bytes that are free on the GPU opened last, where its driver says.
pub(crate) fn free_bytes() -> Option<u64> {
    mem_get_info().ok().map(|(free, _)| free as u64)
}
