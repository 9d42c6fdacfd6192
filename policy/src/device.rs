//! Compute devices and dtypes, with their names on the command line.

use std::fmt;
use std::str::FromStr;

/// The device that computes a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ComputeDevice {
    /// The CPU.
    #[default]
    Cpu,
    /// The Nvidia GPU with this number.
    Cuda(usize),
}

impl FromStr for ComputeDevice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            _ => text.strip_prefix("cuda:").and_then(|n| n.parse().ok()),
        };
        number.map(Self::Cuda).ok_or_else(|| format!("`{text}`: expected cpu, cuda or cuda:N"))
    }
}

impl fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

/// Dtype of weights and products. Sums are f32, and so is everything between products on a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dtype {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the exponent range of f32.
    Bf16,
    /// 16 bits of IEEE 754.
    F16,
    /// 8-bit integers in blocks with a scale each; the inputs of products are quantised on the fly (W8A8).
    Int8,
}

impl Dtype {
    /// All dtypes by name.
    const NAMES: [(&str, Self); 4] =
        [("f32", Self::F32), ("bf16", Self::Bf16), ("f16", Self::F16), ("int8", Self::Int8)];

    /// Bytes per number, without the scales of int8.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 | Self::F16 => 2,
            Self::Int8 => 1,
        }
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, t)| *t).ok_or_else(|| format!("`{text}`: expected f32, bf16, f16 or int8"))
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, t)| t == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for device in [ComputeDevice::Cpu, ComputeDevice::Cuda(0), ComputeDevice::Cuda(3)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("cuda".parse(), Ok(ComputeDevice::Cuda(0)));
        for number in [Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::Int8] {
            assert_eq!(number.to_string().parse(), Ok(number));
        }
        for wrong in ["gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", ""] {
            let error = wrong.parse::<ComputeDevice>().unwrap_err();
            assert!(error.contains("expected cpu, cuda or cuda:N"), "{error}");
        }
        assert!("f64".parse::<Dtype>().unwrap_err().contains("f32, bf16, f16 or int8"));
    }
}
