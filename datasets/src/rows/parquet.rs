//! Rows of a Parquet file, as the Hugging Face hub publishes sets. Columns and nested groups and
//! lists become JSON values of the same names. It knows no field names; codecs are Snappy and Zstd,
//! which published files use.

use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use serde_json::Value;

use super::{Row, Rows};
use crate::DataError;
use crate::fault::Fault;
use crate::lines::open;

pub(super) fn rows(path: &Path) -> Result<Rows, DataError> {
    let reader = SerializedFileReader::new(open(path)?).map_err(|e| damaged(path, &e))?;
    let columns = reader.metadata().file_metadata().schema_descr().num_columns();
    if columns == 0 {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    let path = path.to_owned();
    let rows = RowIter::from_file_into(Box::new(reader));
    Ok(Box::new(rows.enumerate().map(move |(i, row)| {
        match row.map_err(|e| damaged(&path, &e))?.to_json_value() {
            Value::Object(fields) => Ok(Row { line: i + 1, fields }),
            other => Err(Fault::of("row", "named columns", Some(&other)).at(&path, i + 1)),
        }
    })))
}

fn damaged(path: &Path, error: &parquet::errors::ParquetError) -> DataError {
    DataError::Damaged { path: path.to_owned(), format: "Parquet", detail: error.to_string() }
}
