//! GPUs of this machine, in builds with the feature `cuda`.

use candle_core::Device;
use candle_core::cuda_backend::cudarc::driver::result::mem_get_info;

use crate::{ComputeDevice, PolicyError};

/// Opens the GPU with this number.
///
/// # Errors
/// [`PolicyError::Device`] if there is no such GPU, or its driver does not answer.
pub(crate) fn open(number: usize) -> Result<Device, PolicyError> {
    Device::new_cuda(number).map_err(|error| {
        // The error text may continue with a backtrace.
        let error = error.to_string();
        let first = error.lines().next().unwrap_or_default();
        let detail = format!(
            "no such GPU, or no driver or CUDA libraries that answer ({first}). `nvidia-smi` lists the \
             GPUs, LD_LIBRARY_PATH names folders of libraries, and --device cpu needs none of them"
        );
        PolicyError::Device { device: ComputeDevice::Cuda(number), detail }
    })
}

/// Returns the free bytes of the GPU that was opened last; `None` if its driver does not report them.
pub(crate) fn free_bytes() -> Option<u64> {
    mem_get_info().ok().map(|(free, _)| free as u64)
}
