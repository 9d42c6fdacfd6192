//! Treatment of columns that a format does not read. Columns that a problem may depend on are refused,
//! columns known to be irrelevant are ignored, and every other column gives a warning. docs/formats.md
//! lists both tables below; a test compares them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::Notices;
use crate::fault::Fault;
use crate::formats::Format;
use crate::rows::Row;

/// Columns that a question may depend on: pictures, texts to be read first, options. A row is refused if
/// such a column holds a value and the row's format does not read it. A number after the name (`image_1`)
/// is ignored.
pub(crate) const NEEDED: [&str; 24] = [
    "image",
    "images",
    "img",
    "decoded_image",
    "picture",
    "figure",
    "figures",
    "diagram",
    "audio",
    "video",
    "passage",
    "context",
    "article",
    "paragraph",
    "premise",
    "table",
    "document",
    "body",
    "option",
    "options",
    "choice",
    "choices",
    "endings",
    "distractor",
];

/// Columns that hold a row's origin, its subject, or a way to solve it.
pub(crate) const IGNORED: [&str; 61] = [
    // Names.
    "id",
    "_id",
    "idx",
    "ind",
    "index",
    "Unnamed: 0",
    "__index_level_0__",
    "uuid",
    "unique_id",
    "question_id",
    "problem_id",
    "original_id",
    "instance",
    "source_id",
    "task_id",
    "Problem Number",
    "Part",
    // Origin.
    "source",
    "src",
    "data_source",
    "dataset",
    "url",
    "link",
    "year",
    "exam",
    "split",
    "split_type",
    "license",
    "canary",
    "meta",
    "metadata",
    "meta_info",
    "extra_info",
    // Subject and kind.
    "subject",
    "subject_name",
    "topic",
    "topic_name",
    "category",
    "type",
    "kind",
    "question_type",
    "problem_type",
    "choice_type",
    "domain",
    "field",
    "subfield",
    "tags",
    "ability",
    "modality",
    "language",
    "lang",
    "grade",
    "level",
    "difficulty",
    // Explanations.
    "explanation",
    "exp",
    "rationale",
    "equation",
    "expression",
    "chain",
    "cot",
];

/// How a reader of rows treats the columns that it does not read.
#[derive(Debug)]
pub(crate) struct Columns {
    /// Name of the reader of the rows, for messages.
    pub reader: String,
    /// Columns that must be empty.
    pub refused: &'static [&'static str],
    /// Columns that are ignored besides [`IGNORED`]. A name that ends in `*` matches all names with that
    /// beginning.
    pub ignored: &'static [&'static str],
}

impl Columns {
    pub fn of(format: Format) -> Self {
        Self { reader: format!("format `{format}`"), refused: &NEEDED, ignored: format.ignored() }
    }

    fn is_refused(&self, name: &str) -> bool {
        is_listed(self.refused, name)
    }

    fn is_ignored(&self, name: &str) -> bool {
        let of_reader = self.ignored.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => pattern.eq_ignore_ascii_case(name),
        });
        of_reader || is_listed(&IGNORED, name)
    }
}

/// Whether the list contains this name, its last part (`extra_info.index`), or the name without its
/// number (`image_1`).
fn is_listed(list: &[&str], name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let bare = last.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    list.iter().any(|listed| listed.eq_ignore_ascii_case(last) || listed.eq_ignore_ascii_case(bare))
}

/// Whether `value` is a row number, which pandas writes into a CSV column without a name.
fn is_index(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<u64>().is_ok())
}

/// Line of the first affected row, and number of affected rows.
type Places = (usize, usize);

/// Notes about the rows of a file, and the columns that were left unread.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    columns: BTreeMap<String, Places>,
    notes: BTreeMap<String, Places>,
}

impl Unread {
    /// Adds the notes and the unread columns of a row that was read.
    ///
    /// # Errors
    /// A fault of the first column that must be empty and is not.
    pub fn add(&mut self, row: &Row, columns: &Columns) -> Result<(), Fault> {
        let unread = row.unread();
        if let Some((name, value)) = unread.iter().find(|(name, _)| columns.is_refused(name)) {
            let expected = format!(
                "nothing: {} does not read this column, and a question may depend on it; leave the \
                 row out, or empty the column if it does not",
                columns.reader
            );
            return Err(Fault::of(name, expected, Some(*value)));
        }
        let count = |found: &mut Places| found.1 += 1;
        for (name, value) in unread.iter().filter(|(name, _)| !columns.is_ignored(name)) {
            if name.is_empty() && is_index(value) {
                continue;
            }
            let name = (*name).to_owned();
            self.columns.entry(name).and_modify(count).or_insert((row.line, 1));
        }
        for note in row.take_notes() {
            self.notes.entry(note).and_modify(count).or_insert((row.line, 1));
        }
        Ok(())
    }

    /// Warns of each note and each unread column, once per file.
    pub fn warn(&self, path: &Path, columns: &Columns, notices: &mut Notices) {
        let path = path.display();
        for (note, (line, rows)) in &self.notes {
            notices.warn(format!("{path}:{line}: {note} ({rows} rows)"));
        }
        let Some((line, _)) = self.columns.values().min() else { return };
        let named = |(name, (_, rows)): (&String, &Places)| format!("`{name}` ({rows} rows)");
        let names: Vec<String> = self.columns.iter().map(named).collect();
        let (reader, names) = (&columns.reader, names.join(", "));
        notices.warn(format!("{path}:{line}: {reader} does not read these columns: {names}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    fn names(format: Format, json: &str) -> Result<Vec<String>, String> {
        let row = row(json);
        format.problem(&row).unwrap();
        let mut unread = Unread::default();
        unread.add(&row, &Columns::of(format)).map_err(|fault| fault.field)?;
        Ok(unread.columns.into_keys().collect())
    }

    #[test]
    fn every_listed_column_is_documented() {
        let docs = include_str!("../../docs/formats.md");
        let of_formats = Format::ALL.iter().flat_map(|format| format.ignored());
        for name in NEEDED.iter().chain(&IGNORED).chain(of_formats) {
            assert!(docs.contains(&format!("`{name}`")), "{name}");
        }
        for format in Format::ALL {
            assert!(docs.contains(&format!("| `{format}` |")), "{format}");
        }
    }

    #[test]
    fn columns_are_refused_passed_over_or_named() {
        let with = |columns: &str| {
            names(Format::Generic, &format!(r#"{{"question": "Q", "answer": 1, {columns}}}"#))
        };
        assert_eq!(
            with(r#""Subject": "s", "year": 2024, "image": null, "context": """#),
            Ok(vec![])
        );
        assert_eq!(with(r#""remark": "r", "hint": "h""#), Ok(vec!["hint".into(), "remark".into()]));
        for column in ["image", "Image_2", "images", "passage", "CONTEXT", "distractor3"] {
            let refused = with(&format!(r#""{column}": "x", "remark": "r""#));
            assert_eq!(refused, Err(column.into()));
        }
    }

    #[test]
    fn options_of_a_format_without_options_are_refused() {
        let json = r##"{"question": "Q", "answer": "so\n#### 1", "options": ["1", "2"]}"##;
        assert_eq!(names(Format::Gsm8k, json), Err("options".into()));
    }

    #[test]
    fn a_format_has_columns_of_its_own_to_pass_over() {
        let gpqa = r#"{"Question": "Q", "Correct Answer": "a", "Incorrect Answer 1": "b",
            "Incorrect Answer 2": "c", "Incorrect Answer 3": "d", "Writer's Difficulty Estimate": "x"}"#;
        assert_eq!(names(Format::Gpqa, gpqa), Ok(vec![]));
        let svamp = r#"{"Body": "b", "Question": "q", "Answer": 1, "Equation": "1", "Other": "o"}"#;
        assert_eq!(names(Format::Svamp, svamp), Ok(vec!["Other".into()]));
    }
}
