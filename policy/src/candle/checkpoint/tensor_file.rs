//! Reads tensors of a safetensors file one at a time, and writes safetensors files.
//!
//! The header of a file lists its tensors, so no model configuration is needed to read it. Besides the
//! tensors that the caller keeps, only the tensor being read is in memory, whatever the size of the file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::PolicyError;
use crate::candle::checkpoint::held::{Held, finite};
use crate::candle::checkpoint::source::{Opened, Source};
use crate::text::Files;
use crate::text::files::{LFS_DETAIL, LFS_POINTER};

/// Maximum size of the header in bytes, as in the safetensors library.
const LONGEST_LIST: u64 = 100_000_000;

/// A safetensors file that is complete: every tensor in its header lies within the file.
pub(crate) struct TensorFile<'a> {
    source: &'a Source,
    name: &'a str,
    opened: Opened,
    list: Metadata,
    /// Position of the first byte of data.
    start: u64,
}

impl<'a> TensorFile<'a> {
    /// Opens a file of a checkpoint and reads its header.
    ///
    /// # Errors
    /// If the file does not exist or is not complete. The error names the first tensor that is truncated or
    /// has an invalid entry in the header.
    pub(crate) fn open(source: &'a Source, name: &'a str) -> Result<Self, PolicyError> {
        let fail = |detail: String| source.error(name, detail);
        let mut opened = source.open(name)?;
        let length = opened.len().map_err(|e| fail(e.to_string()))?;
        let broken = |detail: String| fail(format!("not a whole safetensors file: {detail}"));
        let mut part = |from: u64, n: u64| match from.checked_add(n).filter(|&end| end <= length) {
            Some(_) => opened.read(from, n as usize).map_err(|e| fail(e.to_string())),
            None => Err(broken(format!("{length} bytes, expected a list of tensors"))),
        };
        // Layout: the length of the header in 8 bytes, the header as JSON, the data.
        let head: [u8; 8] = part(0, 8)?.as_ref().try_into().unwrap_or_default();
        if LFS_POINTER.starts_with(&head) {
            return Err(fail(LFS_DETAIL.into()));
        }
        let n = u64::from_le_bytes(head);
        if n > LONGEST_LIST {
            return Err(broken(format!("a list of {n} bytes")));
        }
        let list = part(8, n)?;
        let list: Metadata = serde_json::from_slice(&list)
            .map_err(|e| first_fault(&list).map_or_else(|| broken(e.to_string()), fail))?;
        let (start, held) = (8 + n, length - 8 - n);
        let all = list.tensors();
        let cut = all.iter().filter(|(_, info)| info.data_offsets.1 as u64 > held);
        if let Some((tensor, info)) = cut.min_by_key(|(_, info)| info.data_offsets.1) {
            let end = info.data_offsets.1;
            let detail = format!(
                "cut off: tensor `{tensor}` ends at byte {end} of the data, but there are {held}"
            );
            return Err(fail(detail));
        }
        if list.data_len() as u64 != held {
            return Err(broken(format!("{held} bytes of data, listed are {}", list.data_len())));
        }
        Ok(Self { source, name, opened, list, start })
    }

    /// Names of the tensors, in the order of their data.
    pub(crate) fn names(&self) -> Vec<String> {
        self.list.offset_keys()
    }

    /// Shape of a tensor.
    pub(crate) fn shape(&self, tensor: &str) -> Option<&[usize]> {
        self.list.info(tensor).map(|info| info.shape.as_slice())
    }

    /// Dtype of a tensor; `None` if there is no such tensor or its dtype is not supported.
    pub(crate) fn dtype(&self, tensor: &str) -> Option<DType> {
        dtype_of(self.list.info(tensor)?)
    }

    /// Builds an error about a tensor.
    pub(crate) fn error(&self, tensor: &str, detail: &str) -> PolicyError {
        self.source.error(self.name, format!("tensor `{tensor}`: {detail}"))
    }

    /// Reads a tensor to the CPU, in the dtype of `held`.
    ///
    /// # Errors
    /// If the tensor does not exist, is not a float tensor of a supported dtype, or has a value that is not
    /// finite.
    pub(crate) fn read(&mut self, tensor: &str, held: Held) -> Result<Tensor, PolicyError> {
        let Some(info) = self.list.info(tensor) else {
            return Err(self.error(tensor, "is missing"));
        };
        let (from, to) = info.data_offsets;
        let bytes = self.opened.read(self.start + from as u64, to - from);
        let read = bytes.map_err(|e| e.to_string()).and_then(|b| tensor_of(info, &b, held));
        read.map_err(|detail| self.error(tensor, &detail))
    }
}

impl Opened {
    /// Size of the file in bytes.
    fn len(&self) -> std::io::Result<u64> {
        match self {
            Self::Memory(bytes) => Ok(bytes.len() as u64),
            Self::File(file) => Ok(file.metadata()?.len()),
        }
    }

    /// Reads `n` bytes of the file, beginning at byte `from`.
    fn read(&mut self, from: u64, n: usize) -> std::io::Result<Cow<'static, [u8]>> {
        match self {
            Self::Memory(bytes) => {
                let part = usize::try_from(from).ok().and_then(|from| bytes.get(from..)?.get(..n));
                Ok(Cow::Borrowed(part.ok_or(std::io::ErrorKind::UnexpectedEof)?))
            }
            Self::File(file) => {
                let mut bytes = vec![0; n];
                file.seek(SeekFrom::Start(from))?;
                file.read_exact(&mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }
}

/// Describes the first tensor, by name, whose entry in the header is invalid by itself. The safetensors
/// library says what is wrong with a header, but not always in which tensor.
fn first_fault(list: &[u8]) -> Option<String> {
    let entries: BTreeMap<String, Value> = serde_json::from_slice(list).ok()?;
    let mut tensors = entries.iter().filter(|(name, _)| *name != "__metadata__");
    tensors.find_map(|(name, entry)| {
        let detail = checked(entry).err()?;
        Some(format!("tensor `{name}`: {detail}"))
    })
}

/// Checks the dtype, shape and offsets of an entry, and that they fit each other.
fn checked(entry: &Value) -> Result<(), String> {
    let dtype: Dtype = field(entry, "dtype", "a type of the format, such as F32, F16 or BF16")?;
    let shape: Vec<usize> = field(entry, "shape", "a list of whole numbers from 0")?;
    let expected = "the bytes of the data where it begins and ends, from 0 and in order";
    let (from, to): (usize, usize) = field(entry, "data_offsets", expected)?;
    let Some(held) = to.checked_sub(from) else {
        return Err(format!("`data_offsets` is [{from}, {to}]; expected {expected}"));
    };
    let elements = shape.iter().try_fold(1_usize, |product, n| product.checked_mul(*n));
    let bits = elements.and_then(|n| n.checked_mul(dtype.bitsize()));
    let need = match bits {
        Some(bits) if bits == held.saturating_mul(8) => return Ok(()),
        Some(bits) if bits % 8 == 0 => format!("{} bytes", bits / 8),
        Some(bits) => format!("{bits} bits"),
        None => "more bytes than can be counted".into(),
    };
    let shape = cut(&format!("{shape:?}"));
    Err(format!("dtype {dtype} and shape {shape} need {need}, its offsets hold {held}"))
}

/// Reads a field of an entry.
fn field<T: DeserializeOwned>(entry: &Value, name: &str, expected: &str) -> Result<T, String> {
    let value = entry.get(name).unwrap_or(&Value::Null);
    T::deserialize(value)
        .map_err(|_| format!("`{name}` is {}; expected {expected}", cut(&value.to_string())))
}

/// Maximum number of characters of a header that an error quotes.
const MOST_QUOTED: usize = 80;

fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_QUOTED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

fn dtype_of(info: &TensorInfo) -> Option<DType> {
    match info.dtype {
        Dtype::F32 => Some(DType::F32),
        Dtype::F16 => Some(DType::F16),
        Dtype::BF16 => Some(DType::BF16),
        _ => None,
    }
}

/// Converts bytes of a file to a tensor and checks that all its values are finite.
fn tensor_of(info: &TensorInfo, bytes: &[u8], held: Held) -> Result<Tensor, String> {
    let Some(dtype) = dtype_of(info) else {
        return Err(format!("type {:?}, expected F32, F16 or BF16", info.dtype));
    };
    let read = || {
        let tensor = Tensor::from_raw_buffer(bytes, dtype, &info.shape, &Device::Cpu)?;
        let tensor = held.hold(tensor)?;
        Ok((finite(&tensor)?, tensor))
    };
    match read().map_err(|e: candle_core::Error| e.to_string())? {
        (true, tensor) => Ok(tensor),
        (false, _) => Err("holds values that are not finite numbers".into()),
    }
}

/// Writes tensors to a safetensors file and syncs it. The file gets the mode that the process gives to new
/// files, because the library's temporary file would be readable by its owner only.
///
/// # Errors
/// Errors of the system or the library. A partial file is never left at `path`.
pub fn write_tensors<N, V>(
    path: &Path,
    tensors: impl IntoIterator<Item = (N, V)>,
) -> std::io::Result<()>
where
    N: AsRef<str> + Ord + std::fmt::Display,
    V: safetensors::View,
{
    let mode = std::fs::File::create(path)?.metadata()?.permissions();
    let written = safetensors::serialize_to_file(tensors, Some(metadata()), path);
    if let Err(error) = written {
        std::fs::remove_file(path)?;
        return Err(match error {
            safetensors::SafeTensorError::IoError(error) => error,
            other => std::io::Error::other(other),
        });
    }
    std::fs::set_permissions(path, mode)?;
    std::fs::File::open(path)?.sync_all()
}

/// The metadata that `transformers` requires.
fn metadata() -> std::collections::HashMap<String, String> {
    [("format".to_owned(), "pt".to_owned())].into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Returns the error for a file with this header and 48 bytes of data.
    fn refused(list: &Value) -> String {
        let dir = tempfile::tempdir().unwrap();
        let list = list.to_string().into_bytes();
        let bytes = [&(list.len() as u64).to_le_bytes(), &list[..], &[0; 48]].concat();
        std::fs::write(dir.path().join("w"), bytes).unwrap();
        let source = Source::Folder(dir.path().to_owned());
        TensorFile::open(&source, "w").err().expect("is refused").to_string()
    }

    #[test]
    fn a_list_that_makes_no_sense_names_the_tensor_at_fault() {
        let most = usize::MAX;
        for (field, value, expected) in [
            (
                "dtype",
                json!("F64"),
                "dtype F64 and shape [2, 3] need 48 bytes, its offsets hold 24",
            ),
            ("dtype", json!("F33"), "`dtype` is \"F33\"; expected a type of the format"),
            ("dtype", json!(null), "`dtype` is null"),
            ("shape", json!([2, 4]), "need 32 bytes, its offsets hold 24"),
            ("shape", json!([most, most]), "need more bytes than can be counted"),
            ("shape", json!([most]), "need more bytes than can be counted"),
            ("shape", json!([-2, -3]), "`shape` is [-2,-3]; expected a list of whole numbers"),
            ("data_offsets", json!([24, 40]), "need 24 bytes, its offsets hold 16"),
            ("data_offsets", json!([-24, 0]), "`data_offsets` is [-24,0]; expected the bytes"),
            ("data_offsets", json!([48, 24]), "`data_offsets` is [48, 24]; expected the bytes"),
            ("data_offsets", json!([24]), "`data_offsets` is [24]; expected the bytes"),
        ] {
            let whole = |from: usize| json!({ "dtype": "F32", "shape": [2, 3], "data_offsets": [from, from + 24] });
            let mut list =
                json!({ "__metadata__": { "by": "hand" }, "a": whole(0), "b": whole(24) });
            list["b"][field] = value;
            let error = refused(&list);
            assert!(error.contains("tensor `b`: ") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_list_whose_tensors_are_whole_alone_keeps_the_message_of_the_library() {
        let at = |from: usize| json!({ "dtype": "F32", "shape": [5], "data_offsets": [from, from + 20] });
        let error = refused(&json!({ "a": at(0), "b": at(28) }));
        assert!(error.contains("not a whole safetensors file: invalid offset"), "{error}");
    }
}
