//! The header of a GGUF file: metadata and the list of tensors, read by candle's reader.
//!
//! Lengths and offsets in the header are checked against the size of the file before memory is allocated
//! for them, so that a corrupted or hostile file gives an error.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, TensorInfo};
use candle_core::{DType, Device, Shape, Tensor};

use super::metadata::Metadata;

const MAGIC: &[u8; 4] = b"GGUF";
const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// Content of the header of a file.
pub(super) struct Header {
    pub(super) metadata: Metadata,
    pub(super) tensors: BTreeMap<String, Entry>,
}

/// Position of a tensor, and the type in which its values are stored.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    dtype: GgmlDType,
    shape: Vec<usize>,
    /// Position of its first byte in the file.
    start: u64,
}

/// Whether the file begins with the magic number of GGUF.
pub(in crate::candle) fn is_gguf(path: &Path) -> bool {
    let mut magic = [0; MAGIC.len()];
    File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && &magic == MAGIC
}

/// Reads the header of a file. The error message does not contain the path.
pub(super) fn read(path: &Path) -> Result<Header, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let length = file.metadata().map_err(|e| e.to_string())?.len();
    let mut file = BufReader::new(file);
    check_magic(&mut file)?;
    file.seek_relative(-(MAGIC.len() as i64)).map_err(|e| e.to_string())?;
    // An alignment of zero in the metadata causes a division by zero in the library.
    let content = catch_unwind(AssertUnwindSafe(|| Content::read(&mut file)))
        .map_err(|_| "`general.alignment` is 0; expected a power of two".to_owned())?
        .map_err(|e| unreadable(&e.to_string()))?;
    let Content { metadata, tensor_infos, tensor_data_offset, .. } = content;
    let metadata = Metadata::new(metadata);
    check_whole_model(path, &metadata)?;
    let mut tensors = BTreeMap::new();
    for (name, info) in tensor_infos {
        let entry = Entry::new(&info, tensor_data_offset)
            .and_then(|entry| entry.check_inside(length).map(|()| entry))
            .map_err(|detail| format!("tensor `{name}`: {detail}"))?;
        tensors.insert(name, entry);
    }
    Ok(Header { metadata, tensors })
}

fn check_magic(file: &mut impl Read) -> Result<(), String> {
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic).map_err(|_| "is empty or cut off; expected a GGUF file")?;
    if &magic == MAGIC {
        return Ok(());
    }
    if LFS_POINTER.starts_with(&magic) {
        return Err("is a Git LFS pointer, not the file itself: run `git lfs pull` in its \
                    repository, or download the file"
            .into());
    }
    Err("is not a GGUF file: it does not begin with `GGUF`".into())
}

/// Rewords an error of the library for users.
fn unreadable(said: &str) -> String {
    let first = said.lines().next().unwrap_or(said);
    let unknown = first.strip_prefix("unknown dtype for tensor ");
    if let Some(number) = unknown.and_then(|number| number.parse().ok()) {
        return format!(
            "holds tensors of type {}, which is not supported; take a file of the same model with \
             F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 or Q2_K to Q6_K (such as Q4_K_M or Q8_0)",
            type_name(number)
        );
    }
    if first.contains("unsupported magic/version") {
        return format!("is a GGUF file of an unknown version ({first}); expected 1, 2 or 3");
    }
    format!("is cut off or damaged: {first}; download it again")
}

/// Returns the llama.cpp name of a type that this reader does not support.
fn type_name(number: u32) -> String {
    let known = match number {
        16 => "IQ2_XXS",
        17 => "IQ2_XS",
        18 => "IQ3_XXS",
        19 => "IQ1_S",
        20 => "IQ4_NL",
        21 => "IQ3_S",
        22 => "IQ2_S",
        23 => "IQ4_XS",
        24..=28 => "a plain integer or F64 kind",
        29 => "IQ1_M",
        34 => "TQ1_0",
        35 => "TQ2_0",
        39 => "MXFP4",
        _ => return format!("number {number}"),
    };
    known.to_owned()
}

/// Refuses a part of a split model, and files that are not language models.
fn check_whole_model(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let parts = metadata.number("split.count")?.unwrap_or(1);
    if parts > 1 {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return Err(format!(
            "is one of {parts} parts of a split model; join them with llama.cpp \
             (`llama-gguf-split --merge` with the first part, `...-00001-of-{parts:05}.gguf`, and \
             the name of the new file) and give that file in place of {name}"
        ));
    }
    match metadata.text("general.type")? {
        None | Some("model") => Ok(()),
        Some(other) => Err(format!(
            "holds a `{other}` (`general.type`), not a model; expected the file of a language model"
        )),
    }
}

impl Entry {
    fn new(info: &TensorInfo, data: u64) -> Result<Self, String> {
        let start = data.checked_add(info.offset);
        let start = start.ok_or_else(|| format!("its offset is {}", info.offset))?;
        let shape = info.shape.dims().to_vec();
        Ok(Self { dtype: info.ggml_dtype, shape, start })
    }

    /// Size of the tensor in bytes; `None` if it overflows.
    fn bytes(&self) -> Option<u64> {
        let elements = self.shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d))?;
        let blocks = elements.div_ceil(self.dtype.block_size());
        u64::try_from(blocks.checked_mul(self.dtype.type_size())?).ok()
    }

    fn check_inside(&self, length: u64) -> Result<(), String> {
        let end = self.bytes().and_then(|bytes| self.start.checked_add(bytes));
        match end {
            Some(end) if end <= length => Ok(()),
            Some(end) => Err(format!(
                "ends at byte {end}, but the file has {length}; it is cut off: download it again"
            )),
            None => Err(format!("shape {:?} has more bytes than can be counted", self.shape)),
        }
    }

    /// Returns the dtype that represents the values exactly: f32 for quantised types.
    pub(super) fn dtype(&self) -> DType {
        match self.dtype {
            GgmlDType::F16 => DType::F16,
            GgmlDType::BF16 => DType::BF16,
            _ => DType::F32,
        }
    }

    /// Returns the shape, rows before columns.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Reads all values of a small tensor.
    pub(super) fn values(&self, path: &Path) -> Result<Vec<f32>, String> {
        let mut file = File::open(path).map_err(|e| e.to_string())?;
        let tensor = self.read(&self.shape, &mut file)?;
        tensor.flatten_all().and_then(|t| t.to_vec1()).map_err(|e| e.to_string())
    }

    /// Reads the values in f32. Fails if the tensor does not have the expected shape.
    pub(super) fn read(&self, expected: &[usize], file: &mut File) -> Result<Tensor, String> {
        if self.shape != expected {
            return Err(format!("shape {:?}, expected {expected:?}", self.shape));
        }
        let last = expected.last().copied().unwrap_or(0);
        if !last.is_multiple_of(self.dtype.block_size()) {
            return Err(format!("rows of {last} values cannot be stored as {:?}", self.dtype));
        }
        let info = TensorInfo {
            ggml_dtype: self.dtype,
            shape: Shape::from(self.shape.clone()),
            offset: self.start,
        };
        let read = info.read(file, 0, &Device::Cpu).and_then(|t| t.dequantize(&Device::Cpu));
        read.map_err(|e| e.to_string())
    }
}
