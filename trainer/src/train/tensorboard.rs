//! Writes scalars as TensorBoard event files.
//!
//! A file is a sequence of records (length, masked CRC of the length, data, masked CRC of the data). Each
//! record is an `Event` message of TensorFlow's `event.proto`. Only the few fields of scalars are needed, so
//! they are encoded by hand: the published crates depend on an image library.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::TrainError;

/// Writer of one event file. Its times come from the clock and are not part of any result.
pub(super) struct EventFile {
    out: BufWriter<File>,
    path: PathBuf,
}

impl EventFile {
    /// Creates a file in the folder `dir` for a run that continues after `step`. TensorBoard then ignores
    /// later steps in older files of the folder.
    pub(super) fn create(dir: &Path, step: usize) -> Result<Self, TrainError> {
        std::fs::create_dir_all(dir).map_err(TrainError::io(dir))?;
        let seconds = now() as u64;
        let name = format!("events.out.tfevents.{seconds:010}.regrowth.{step}");
        let path = dir.join(name);
        let out = BufWriter::new(File::create(&path).map_err(TrainError::io(&path))?);
        let mut file = Self { out, path };
        let mut version = head(0);
        bytes_field(&mut version, 3, b"brain.Event:2");
        file.record(&version)?;
        if step > 0 {
            // SessionLog { status: START } at the next step: TensorBoard discards later steps of older files.
            let mut start = head(step as u64 + 1);
            bytes_field(&mut start, 7, &[1 << 3, 1]);
            file.record(&start)?;
        }
        Ok(file)
    }

    /// Writes the scalars of a step and flushes them.
    pub(super) fn write(&mut self, step: usize, row: &[(&str, f64)]) -> Result<(), TrainError> {
        let mut summary = Vec::new();
        for (tag, value) in row {
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, format!("train/{tag}").as_bytes());
            entry.push(2 << 3 | 5);
            entry.extend((*value as f32).to_le_bytes());
            bytes_field(&mut summary, 1, &entry);
        }
        let mut event = head(step as u64);
        bytes_field(&mut event, 5, &summary);
        self.record(&event)
    }

    fn record(&mut self, data: &[u8]) -> Result<(), TrainError> {
        let length = (data.len() as u64).to_le_bytes();
        let mut record = length.to_vec();
        record.extend(masked_crc(&length).to_le_bytes());
        record.extend(data);
        record.extend(masked_crc(data).to_le_bytes());
        let written = self.out.write_all(&record).and_then(|()| self.out.flush());
        written.map_err(TrainError::io(&self.path))
    }
}

/// Returns the fields that every event has: time and step.
fn head(step: u64) -> Vec<u8> {
    let mut event = vec![1 << 3 | 1];
    event.extend(now().to_le_bytes());
    event.push(2 << 3);
    varint(&mut event, step);
    event
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// Appends a length-delimited field.
fn bytes_field(out: &mut Vec<u8>, number: u8, data: &[u8]) {
    out.push(number << 3 | 2);
    varint(out, data.len() as u64);
    out.extend(data);
}

/// Appends a varint: seven bits per byte, lowest bits first.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// CRC-32C with TensorFlow's masking, which keeps the CRC of data that contains CRCs reliable.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xA282_EAD8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_packed_as_protobuf_packs_them() {
        let mut out = Vec::new();
        varint(&mut out, 300);
        assert_eq!(out, [0xAC, 0x02]);
        let mut out = Vec::new();
        bytes_field(&mut out, 3, b"abc");
        assert_eq!(out, [0x1A, 3, b'a', b'b', b'c']);
    }

    #[test]
    fn records_are_framed_with_masked_checksums() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = EventFile::create(dir.path(), 0).unwrap();
        file.write(1, &[("loss", 0.5)]).unwrap();
        let bytes = std::fs::read(&file.path).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(bytes[8..12], masked_crc(&bytes[..8]).to_le_bytes());
        assert_eq!(
            bytes[12 + length..16 + length],
            masked_crc(&bytes[12..12 + length]).to_le_bytes()
        );
        assert!(bytes.windows(10).any(|w| w == b"train/loss"));
        // CRC-32C of the published test vector "123456789".
        assert_eq!(crc32c::crc32c(b"123456789"), 0xE306_9283);
    }
}
