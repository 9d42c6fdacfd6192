//! Pairs as a Parquet file: one column per field, lists of token ids and log-probabilities as Parquet lists,
//! compressed with Zstd. One table gives the name, type and value of every column; schema and data are both
//! made from it, so they cannot differ. Reading uses the row reader for any Parquet file.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::{DataError, PreferencePair as Pair, TokenId, atomic_write};

/// Number of pairs per row group; a group is built in memory.
const GROUP: usize = 8192;

/// Type of a column, and the function that reads its value from a pair.
enum Column {
    U32(fn(&Pair) -> u32),
    U64(fn(&Pair) -> u64),
    F64(fn(&Pair) -> f64),
    OptionalF64(fn(&Pair) -> Option<f64>),
    Bool(fn(&Pair) -> bool),
    Text(fn(&Pair) -> &str),
    Ids(fn(&Pair) -> &[TokenId]),
    Logps(fn(&Pair) -> &[f32]),
}

/// Every field of a pair, in the order of the struct.
const COLUMNS: [(&str, Column); 35] = [
    ("version", Column::U32(|p| p.version)),
    ("problem_id", Column::Text(|p| &p.problem_id)),
    ("round", Column::U32(|p| p.round)),
    ("policy", Column::Text(|p| &p.policy)),
    ("oracle", Column::Bool(|p| p.oracle)),
    ("hinted", Column::Bool(|p| p.hinted)),
    ("injected", Column::Bool(|p| p.injected)),
    ("timed", Column::Bool(|p| p.timed)),
    ("depth", Column::U32(|p| p.depth)),
    ("prompt", Column::Text(|p| &p.prompt)),
    ("chosen", Column::Text(|p| &p.chosen)),
    ("rejected", Column::Text(|p| &p.rejected)),
    ("prompt_ids", Column::Ids(|p| &p.prompt_ids)),
    ("chosen_ids", Column::Ids(|p| &p.chosen_ids)),
    ("rejected_ids", Column::Ids(|p| &p.rejected_ids)),
    ("chosen_logps", Column::Logps(|p| &p.chosen_logps)),
    ("rejected_logps", Column::Logps(|p| &p.rejected_logps)),
    ("logps_exact", Column::Bool(|p| p.logps_exact)),
    ("q_chosen", Column::F64(|p| p.q_chosen)),
    ("q_rejected", Column::F64(|p| p.q_rejected)),
    ("advantage_chosen", Column::OptionalF64(|p| p.advantage_chosen)),
    ("advantage_rejected", Column::OptionalF64(|p| p.advantage_rejected)),
    ("n_chosen", Column::U64(|p| p.n_chosen)),
    ("n_rejected", Column::U64(|p| p.n_rejected)),
    ("prior_chosen", Column::F64(|p| p.prior_chosen)),
    ("prior_rejected", Column::F64(|p| p.prior_rejected)),
    ("self_evaluation_chosen", Column::OptionalF64(|p| p.self_evaluation_chosen)),
    ("self_evaluation_rejected", Column::OptionalF64(|p| p.self_evaluation_rejected)),
    ("outcome_chosen", Column::F64(|p| p.outcome_chosen)),
    ("outcome_rejected", Column::F64(|p| p.outcome_rejected)),
    ("terminal_chosen", Column::Bool(|p| p.terminal_chosen)),
    ("terminal_rejected", Column::Bool(|p| p.terminal_rejected)),
    ("alpha", Column::F64(|p| p.alpha)),
    ("margin", Column::F64(|p| p.margin)),
    ("weight", Column::F64(|p| p.weight)),
];

pub(crate) fn write(path: &Path, pairs: &[Pair]) -> std::result::Result<(), DataError> {
    atomic_write(path, |file| write_to(file, pairs).map_err(std::io::Error::other))
}

fn write_to(file: impl Write + Send, pairs: &[Pair]) -> Result<()> {
    let schema = Arc::new(parse_message_type(&schema())?);
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
    for group in pairs.chunks(GROUP) {
        let mut columns = writer.next_row_group()?;
        for (_, column) in &COLUMNS {
            let Some(mut serialized) = columns.next_column()? else { return Err(mismatch()) };
            column.write(serialized.untyped(), group)?;
            serialized.close()?;
        }
        columns.close()?;
    }
    writer.close()?;
    Ok(())
}

/// The columns in Parquet's schema language.
fn schema() -> String {
    let fields: Vec<String> = COLUMNS.iter().map(|(name, column)| column.schema(name)).collect();
    format!("message pair {{ {} }}", fields.join(" "))
}

fn mismatch() -> ParquetError {
    ParquetError::General("schema and columns differ".into())
}

impl Column {
    fn schema(&self, name: &str) -> String {
        let list = |kind: &str, suffix: &str| {
            format!(
                "required group {name} (LIST) \
                 {{ repeated group list {{ required {kind} element{suffix}; }} }}"
            )
        };
        match self {
            Self::U32(_) => format!("required int32 {name} (INTEGER(32,false));"),
            Self::U64(_) => format!("required int64 {name} (INTEGER(64,false));"),
            Self::F64(_) => format!("required double {name};"),
            Self::OptionalF64(_) => format!("optional double {name};"),
            Self::Bool(_) => format!("required boolean {name};"),
            Self::Text(_) => format!("required binary {name} (UTF8);"),
            Self::Ids(_) => list("int32", " (INTEGER(32,false))"),
            Self::Logps(_) => list("float", ""),
        }
    }

    /// Writes this column of `pairs`. Unsigned numbers keep their bits in the signed storage type, as Parquet
    /// requires.
    fn write(&self, writer: &mut ColumnWriter<'_>, pairs: &[Pair]) -> Result<()> {
        match (self, writer) {
            (Self::U32(get), ColumnWriter::Int32ColumnWriter(w)) => {
                let values: Vec<i32> = pairs.iter().map(|p| get(p).cast_signed()).collect();
                w.write_batch(&values, None, None)?;
            }
            (Self::U64(get), ColumnWriter::Int64ColumnWriter(w)) => {
                let values: Vec<i64> = pairs.iter().map(|p| get(p).cast_signed()).collect();
                w.write_batch(&values, None, None)?;
            }
            (Self::F64(get), ColumnWriter::DoubleColumnWriter(w)) => {
                let values: Vec<f64> = pairs.iter().map(get).collect();
                w.write_batch(&values, None, None)?;
            }
            (Self::OptionalF64(get), ColumnWriter::DoubleColumnWriter(w)) => {
                let values: Vec<f64> = pairs.iter().filter_map(get).collect();
                let present: Vec<i16> = pairs.iter().map(|p| get(p).is_some().into()).collect();
                w.write_batch(&values, Some(&present), None)?;
            }
            (Self::Bool(get), ColumnWriter::BoolColumnWriter(w)) => {
                let values: Vec<bool> = pairs.iter().map(get).collect();
                w.write_batch(&values, None, None)?;
            }
            (Self::Text(get), ColumnWriter::ByteArrayColumnWriter(w)) => {
                let values: Vec<ByteArray> = pairs.iter().map(|p| get(p).into()).collect();
                w.write_batch(&values, None, None)?;
            }
            (Self::Ids(get), ColumnWriter::Int32ColumnWriter(w)) => {
                let (present, repeated) = levels(pairs.iter().map(|p| get(p).len()));
                let ids = pairs.iter().flat_map(get).map(|id| id.cast_signed());
                w.write_batch(&ids.collect::<Vec<_>>(), Some(&present), Some(&repeated))?;
            }
            (Self::Logps(get), ColumnWriter::FloatColumnWriter(w)) => {
                let (present, repeated) = levels(pairs.iter().map(|p| get(p).len()));
                let logps: Vec<f32> = pairs.iter().flat_map(get).copied().collect();
                w.write_batch(&logps, Some(&present), Some(&repeated))?;
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }
}

/// Definition and repetition levels of lists of these lengths: a list begins at repetition 0, its
/// other members are at 1; an empty list is one entry at definition 0.
fn levels(lengths: impl Iterator<Item = usize>) -> (Vec<i16>, Vec<i16>) {
    let mut present = Vec::new();
    let mut repeated = Vec::new();
    for length in lengths {
        present.extend(std::iter::repeat_n(i16::from(length > 0), length.max(1)));
        repeated.push(0);
        repeated.extend(std::iter::repeat_n(1, length.saturating_sub(1)));
    }
    (present, repeated)
}
