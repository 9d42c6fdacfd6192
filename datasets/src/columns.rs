//! What becomes of the columns that a format does not read: a problem may depend on some, those are
//! refused; some are known to say nothing of it, those are passed over; every other one is a warning.
//! docs/formats.md lists both tables below, and a test holds it to them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::Notices;
use crate::fault::Fault;
use crate::formats::Format;
use crate::rows::Row;

/// Columns that a question may depend on: pictures, texts to be read first, options. A row is refused
/// where one holds something and its format does not read it. A number behind the name (`image_1`)
/// makes no difference.
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

/// Columns that say where a row comes from, what it is about, or how it may be solved.
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

/// What a reader of rows does with the columns that it does not ask for.
#[derive(Debug)]
pub(crate) struct Columns {
    /// What reads the rows, as a message names it.
    pub reader: String,
    /// Columns that must hold nothing.
    pub refused: &'static [&'static str],
    /// Columns that are passed over besides [`IGNORED`]; a name that ends in `*` stands for all that
    /// begin so.
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

/// Whether a list has this name, its last part (`extra_info.index`), or it without a number (`image_1`).
fn is_listed(list: &[&str], name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let bare = last.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_');
    list.iter().any(|listed| listed.eq_ignore_ascii_case(last) || listed.eq_ignore_ascii_case(bare))
}

/// Whether this is a row's number, which pandas writes into a CSV column without a name.
fn is_index(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<u64>().is_ok())
}

/// Line of the first row, and number of rows.
type Places = (usize, usize);

/// What the rows of a file noted and left unread.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    columns: BTreeMap<String, Places>,
    notes: BTreeMap<String, Places>,
}

impl Unread {
    /// Takes what a row, which was read, left.
    ///
    /// # Errors
    /// The first column that must hold nothing.
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

    /// Says it, each once for the file.
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
