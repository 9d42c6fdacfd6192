//! Numbered lines of a text file, bounded in length and checked to be UTF-8. A byte order mark, carriage
//! returns and blank lines are dropped. A line without a line feed is marked, because an interrupted
//! write leaves one.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use crate::DataError;
use crate::fault::Fault;

/// Longest line in bytes. The longest known rows, whole search trees, stay under 4 MiB; the bound only
/// keeps a wrong file from filling the memory.
pub(crate) const MAX_LINE: usize = 64 << 20;

/// Largest file, in bytes, of formats that are read as one document (JSON array, CSV, XML).
const MAX_DOCUMENT: u64 = 1 << 30;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// One line without its line feed.
#[derive(Debug)]
pub(crate) struct Line {
    pub text: String,
    /// From 1.
    pub number: usize,
    /// Whether a line feed followed.
    pub ended: bool,
}

/// Iterator over the lines of a file that are not blank.
pub(crate) struct Lines {
    path: PathBuf,
    source: BufReader<File>,
    number: usize,
    limit: usize,
}

impl Lines {
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let file = open(path)?;
        Ok(Self { path: path.to_owned(), source: BufReader::new(file), number: 0, limit: MAX_LINE })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the last line that was read, from 1; 0 before the first.
    pub fn number(&self) -> usize {
        self.number
    }

    fn read(&mut self) -> Result<Option<Line>, DataError> {
        let mut bytes = Vec::new();
        let read = (&mut self.source)
            .take(self.limit as u64 + 1)
            .read_until(b'\n', &mut bytes)
            .map_err(|source| io_error(&self.path, source))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let ended = bytes.last() == Some(&b'\n');
        if !ended && bytes.len() > self.limit {
            let expected = format!("a line of at most {} MiB", self.limit >> 20);
            return Err(Fault::new("row", expected, "a longer one").at(&self.path, self.number));
        }
        let mut text = utf8(bytes, &self.path, self.number)?;
        text.truncate(text.trim_end_matches(['\n', '\r']).len());
        // Concatenated files have a byte order mark in the middle.
        if text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(Some(Line { text, number: self.number, ended }))
    }
}

impl Iterator for Lines {
    type Item = Result<Line, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Ok(Some(line)) if line.text.trim().is_empty() => {}
                other => return other.transpose(),
            }
        }
    }
}

/// The text of a whole file of bounded size, without its byte order mark.
pub(crate) fn read_document(path: &Path) -> Result<String, DataError> {
    let mut bytes = Vec::new();
    open(path)?
        .take(MAX_DOCUMENT + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| io_error(path, source))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        let expected = format!("a file of at most {} MiB; use JSON lines", MAX_DOCUMENT >> 20);
        return Err(Fault::new("row", expected, "a larger one").at(path, 1));
    }
    let mut text = utf8(bytes, path, 1)?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(text)
}

/// The first `length` bytes of a file, or all of a shorter file.
pub(crate) fn read_start(path: &Path, length: u64) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    open(path)?.take(length).read_to_end(&mut bytes).map_err(|source| io_error(path, source))?;
    Ok(bytes)
}

/// A type of file that no reader accepts, and how to make it readable.
type Kind = (&'static str, &'static str);

const FOLDER: Kind = (
    "a folder; expected a file",
    "name a file in it, or export what `datasets` saved with `Dataset.to_json(FILE)`",
);

const WEB_PAGE: Kind = ("a web page, not the file itself", "download the raw file");

const ARROW: Kind =
    ("an Arrow file", "export it as Parquet or JSON lines, with `Dataset.to_json(FILE)`");

/// First bytes of such files.
const OTHER_KINDS: [(&[u8], Kind); 10] = [
    (b"\x1f\x8b", ("a gzip archive", "unpack it with `gunzip`")),
    (b"\x28\xb5\x2f\xfd", ("a Zstandard archive", "unpack it with `zstd -d`")),
    (b"\xfd7zXZ\0", ("an xz archive", "unpack it with `unxz`")),
    (b"PK\x03\x04", ("a zip archive or spreadsheet", "unpack it, or export it as CSV")),
    (b"SQLite format 3\0", ("an SQLite database", "export its rows as CSV or JSON lines")),
    (b"ARROW1", ARROW),
    (b"\xff\xff\xff\xff", ARROW),
    (b"\xff\xfe", ("UTF-16 text", "save it as UTF-8, with `iconv -f UTF-16 -t UTF-8`")),
    (b"\xfe\xff", ("UTF-16 text", "save it as UTF-8, with `iconv -f UTF-16 -t UTF-8`")),
    (b"\x80\x04\x95", ("a Python pickle", "export its rows as JSON lines")),
];

/// First bytes of a Git LFS pointer.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Opens a file for reading. A Git LFS pointer, or a file of a type that no reader accepts, is reported
/// as such.
pub(crate) fn open(path: &Path) -> Result<File, DataError> {
    let failed = |source| io_error(path, source);
    let other = |(what, remedy)| DataError::OtherFile { path: path.to_owned(), what, remedy };
    let mut file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(other(FOLDER));
    }
    let mut start = Vec::with_capacity(LFS.len());
    (&mut file).take(LFS.len() as u64).read_to_end(&mut start).map_err(failed)?;
    if start == LFS {
        return Err(DataError::LfsPointer { path: path.to_owned() });
    }
    if let Some((_, kind)) = OTHER_KINDS.iter().find(|(sign, _)| start.starts_with(sign)) {
        return Err(other(*kind));
    }
    if [&b"<!doctype html"[..], b"<html"]
        .iter()
        .any(|sign| start.get(..sign.len()).is_some_and(|start| start.eq_ignore_ascii_case(sign)))
    {
        return Err(other(WEB_PAGE));
    }
    file.rewind().map_err(failed)?;
    Ok(file)
}

pub(crate) fn io_error(path: &Path, source: std::io::Error) -> DataError {
    DataError::Io { path: path.to_owned(), source }
}

/// Decodes `bytes`, which begin at line `first` of the file.
fn utf8(bytes: Vec<u8>, path: &Path, first: usize) -> Result<String, DataError> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..valid];
        let line = first + before.iter().filter(|&&b| b == b'\n').count();
        let column = valid - before.iter().rposition(|&b| b == b'\n').map_or(0, |p| p + 1) + 1;
        let got = format!("byte 0x{:02x} at column {column}", error.as_bytes()[valid]);
        Fault::new("row", "UTF-8 text", got).at(path, line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(bytes: &[u8], limit: usize) -> Vec<Result<Line, String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut lines = Lines::open(file.path()).unwrap();
        lines.limit = limit;
        let name = file.path().display().to_string();
        lines.map(|l| l.map_err(|e| e.to_string().replace(&name, "F"))).take(10).collect()
    }

    #[test]
    fn mark_carriage_returns_and_blank_lines_are_no_content() {
        let lines = lines_of("\u{feff}one\r\n\r\n  \n\u{feff}two\nthree".as_bytes(), 100);
        let seen: Vec<_> = lines
            .iter()
            .map(|l| l.as_ref().map(|l| (l.text.as_str(), l.number, l.ended)).unwrap())
            .collect();
        assert_eq!(seen, [("one", 1, true), ("two", 4, true), ("three", 5, false)]);
    }

    #[test]
    fn long_lines_are_refused_without_reading_them_whole() {
        let mut bytes = b"short\n".to_vec();
        bytes.extend(vec![b'x'; 3 << 20]);
        let lines = lines_of(&bytes, 1 << 20);
        assert!(lines[0].is_ok());
        let message = lines[1].as_ref().unwrap_err();
        assert!(message.starts_with("F:2:") && message.contains("at most 1 MiB"), "{message}");
    }

    #[test]
    fn wrong_bytes_are_named_with_line_and_column() {
        let lines = lines_of(b"good\nab\xffcd\n", 100);
        let message = lines[1].as_ref().unwrap_err();
        assert!(message.starts_with("F:2:") && message.contains("0xff at column 3"), "{message}");
    }
}
