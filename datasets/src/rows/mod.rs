//! Containers: file types that hold rows. A row is a set of named JSON values with its line number, so
//! that each format is one function of a row and every format may come in every container. `open` recognises
//! the container in this order: Parquet by its first bytes, CSV by the extension, XML and JSON by the
//! extension or the first characters, CSV by a separator in the first line. (Publishers also name JSON lines
//! `.json`; they are read as concatenated objects.)

mod csv;
mod exact;
mod json;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(not(feature = "parquet"))]
#[path = "parquet_off.rs"]
mod parquet;
mod row;
mod xml;

use std::path::Path;

use crate::fault::quote;
use crate::lines::read_start;
use crate::{DataError, Notices};

#[cfg(test)]
pub(crate) use row::tests;
pub(crate) use row::{Row, is_empty, scalar};

/// Rows in the order of the file.
pub(crate) struct Rows {
    rows: Box<dyn Iterator<Item = Result<Row, DataError>>>,
    /// Whether the rows after a bad one can still be read.
    resumes: bool,
}

impl Rows {
    /// Rows of a container in which each row is found independently of the one before.
    fn apart(rows: impl Iterator<Item = Result<Row, DataError>> + 'static) -> Self {
        Self { rows: Box::new(rows), resumes: true }
    }

    /// Calls `take` for every row. A bad row is recorded in `notices` and skipped, as long as that is
    /// allowed and the rows after it can still be read.
    pub fn each(
        self,
        notices: &mut Notices,
        mut take: impl FnMut(Row, &mut Notices) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        for row in self.rows {
            let taken = match row {
                Err(error) if !self.resumes => return Err(error),
                Err(error) => Err(error),
                Ok(row) => take(row, notices),
            };
            if let Err(error) = taken {
                notices.skip(error)?;
            }
        }
        Ok(())
    }

    /// Rows of a container that cannot be read past a damaged row.
    fn in_one(rows: impl Iterator<Item = Result<Row, DataError>> + 'static) -> Self {
        Self { rows: Box::new(rows), resumes: false }
    }
}

impl Iterator for Rows {
    type Item = Result<Row, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

/// Opens `path`, whichever container it is.
pub(crate) fn open(path: &Path) -> Result<Rows, DataError> {
    let start = read_start(path, 4096)?;
    if start.starts_with(b"PAR1") {
        return parquet::rows(path);
    }
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let extension = extension.to_string_lossy();
    let content = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&start).trim_ascii_start();
    match (extension.as_ref(), content.first()) {
        (_, None) => Err(DataError::Empty { path: path.to_owned() }),
        ("parquet", _) => Err(DataError::Damaged {
            path: path.to_owned(),
            format: "Parquet",
            detail: "it does not begin with `PAR1`".into(),
        }),
        ("csv" | "tsv", _) => csv::rows(path),
        ("xml", _) | (_, Some(b'<')) => xml::rows(path),
        ("json", _) | (_, Some(b'[')) => json::document(path),
        // An object over several lines.
        _ if content.starts_with(b"{\n") || content.starts_with(b"{\r") => json::document(path),
        ("jsonl" | "ndjson", _) | (_, Some(b'{')) => json::lines(path),
        _ if content.iter().take_while(|&&b| b != b'\n').any(|b| csv::DELIMITERS.contains(b)) => {
            csv::rows(path)
        }
        _ => Err(DataError::UnknownFormat {
            path: path.to_owned(),
            detail: format!("it begins with {}", quote(&String::from_utf8_lossy(content))),
            known: crate::Format::names(),
        }),
    }
}
