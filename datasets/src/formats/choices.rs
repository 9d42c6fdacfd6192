//! Options of a multiple-choice row in every published form: all in one column, or one column per option.
//! The right option is determined in `reference`.

use serde_json::{Map, Value};

use crate::Choice;
use crate::fault::Fault;
use crate::rows::{Row, is_empty, scalar};

const EXPECTED: &str = "a list of texts, a list of {label, text}, {text: [..], label: [..]} or an \
                        object from label to text, without null; in a CSV column as JSON";

/// Columns that hold all options of a row.
const WHOLE: [&str; 3] = ["choices", "options", "endings"];

/// Columns that hold one option each (CMMLU; MedMCQA; PIQA; users' own rows). Columns that count from
/// one, such as `option1` (WinoGrande), label their options.
const SPREAD: [&[&str]; 10] = [
    &["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"],
    &["opa", "opb", "opc", "opd", "ope"],
    &["option_a", "option_b", "option_c", "option_d", "option_e"],
    &["option_A", "option_B", "option_C", "option_D", "option_E"],
    &["optionA", "optionB", "optionC", "optionD", "optionE"],
    &["choice_a", "choice_b", "choice_c", "choice_d", "choice_e"],
    &["choice_A", "choice_B", "choice_C", "choice_D", "choice_E"],
    &["option1", "option2", "option3", "option4", "option5"],
    &["option_1", "option_2", "option_3", "option_4", "option_5"],
    &["sol1", "sol2"],
];

/// Prefixes of columns whose options are labelled with the number after the prefix.
const NUMBERED: [&str; 2] = ["option", "option_"];

/// The options of a row.
#[derive(Debug, PartialEq)]
pub(super) struct Options {
    /// In the order of the file.
    pub choices: Vec<Choice>,
    /// Whether the file labels the options; if false, the labels are A, B, C, ... by position.
    pub labelled: bool,
}

/// The options of a row, in any of the known columns; `None` for an open question.
pub(super) fn of_row(row: &Row) -> Result<Option<Options>, Fault> {
    let mut found: Option<(&str, Options)> = None;
    let whole = WHOLE.into_iter().filter(|name| row.filled(name).is_some());
    let spread = SPREAD.into_iter().filter(|names| row.exact(names[0]).is_some());
    let spread = spread.filter(|names| row.exact(names[1]).is_some());
    let columns = whole.map(|name| (name, None)).chain(spread.map(|names| (names[0], Some(names))));
    for (name, names) in columns {
        let options = match names {
            None => read(row, name)?,
            Some(names) => one_a_column(row, names)?,
        };
        match &found {
            None => found = Some((name, options)),
            Some((other, before)) if before.choices != options.choices => {
                let got = format!("others in column `{other}`");
                return Err(Fault::new(name, "the options of a row in one place", got));
            }
            Some(_) => {}
        }
    }
    Ok(found.map(|(_, options)| options))
}

/// The options in column `name`, in one of these forms:
///
/// * `["red", "blue"]`, labelled A, B, ...
/// * `["A) red", "(B) blue"]`, with their letters (AQuA, AGIEval)
/// * `[{"label": "A", "text": "red"}, ...]` (ARC as released), `{"key", "value"}` (MedQA)
/// * `{"text": ["red", ..], "label": ["A", ..]}` (ARC on the hub)
/// * `{"A": "red", "B": "blue"}` (MedQA); empty options are left out
/// * any of these forms as JSON in a text (a CSV column).
pub(super) fn read(row: &Row, name: &str) -> Result<Options, Fault> {
    let value = row.get(name);
    let fault = || Fault::of(name, EXPECTED, value);
    match value {
        Some(Value::String(text)) => {
            let inner: Value = serde_json::from_str(text).map_err(|_| fault())?;
            from_value(&inner).ok_or_else(fault)
        }
        Some(value) => from_value(value).ok_or_else(fault),
        None => Err(fault()),
    }
}

/// Labels `texts` A, B, C, ...; `None` if there are more than 26.
pub(super) fn lettered(texts: impl IntoIterator<Item = String>) -> Option<Vec<Choice>> {
    let letters = ('A'..='Z').map(String::from);
    let mut texts = texts.into_iter();
    let choices = letters.zip(texts.by_ref()).map(|(label, text)| Choice { label, text }).collect();
    texts.next().is_none().then_some(choices)
}

/// Splits "A)32400", "(A) 32400" or "A. 32400" into label and text.
pub(super) fn split_label(option: &str) -> Option<Choice> {
    let option = option.trim();
    let inner = option.strip_prefix('(').unwrap_or(option);
    let (label, text) = inner.split_once([')', '.', ':'])?;
    let label = label.trim();
    let fits = !label.is_empty() && label.len() <= 2 && label.chars().all(char::is_alphanumeric);
    fits.then(|| Choice { label: label.to_owned(), text: text.trim().to_owned() })
}

/// Reads one column per option. Empty columns after the last filled one are options that the row does not
/// have.
fn one_a_column(row: &Row, names: &[&str]) -> Result<Options, Fault> {
    let values: Vec<Option<&Value>> = names.iter().map(|name| row.exact(name)).collect();
    let count = values.iter().rposition(|v| v.is_some_and(|v| !is_empty(v))).map_or(0, |i| i + 1);
    let texts = names.iter().zip(&values).take(count).map(|(name, value)| {
        value.and_then(scalar).ok_or_else(|| Fault::of(name, "the text of an option", *value))
    });
    let mut choices = lettered(texts.collect::<Result<Vec<_>, _>>()?).unwrap_or_default();
    let numbered = names[0].strip_suffix('1').is_some_and(|start| NUMBERED.contains(&start));
    if numbered {
        for (i, choice) in choices.iter_mut().enumerate() {
            choice.label = (i + 1).to_string();
        }
    }
    Ok(Options { choices, labelled: numbered })
}

fn from_value(value: &Value) -> Option<Options> {
    match value {
        Value::Array(items) if items.iter().all(Value::is_object) => {
            let one = |item: &Value| {
                let field = |a, b| item.get(a).or_else(|| item.get(b));
                choice(field("label", "key")?, field("text", "value")?)
            };
            Some(labelled(items.iter().map(one).collect::<Option<_>>()?))
        }
        Value::Array(items) => from_texts(items.iter().map(scalar).collect::<Option<Vec<_>>>()?),
        Value::Object(fields) => match (fields.get("text"), fields.get("label")) {
            (Some(Value::Array(texts)), Some(Value::Array(labels))) => {
                if texts.len() != labels.len() {
                    return None;
                }
                let choices = labels.iter().zip(texts).map(|(label, text)| choice(label, text));
                Some(labelled(choices.collect::<Option<_>>()?))
            }
            _ => by_label(fields),
        },
        _ => None,
    }
}

fn labelled(choices: Vec<Choice>) -> Options {
    Options { choices, labelled: true }
}

/// If all texts begin with their letters, in order, removes the letters from the texts.
fn from_texts(texts: Vec<String>) -> Option<Options> {
    let split: Option<Vec<Choice>> = texts.iter().map(|text| split_label(text)).collect();
    let in_order = |choices: &[Choice]| {
        let mut labels = choices.iter().zip('A'..='Z');
        let fits = |(choice, letter): (&Choice, char)| {
            choice.label == letter.to_string() && !choice.text.is_empty()
        };
        (2..=26).contains(&choices.len()) && labels.all(fits)
    };
    match split.filter(|choices| in_order(choices)) {
        Some(choices) => Some(labelled(choices)),
        None => Some(Options { choices: lettered(texts)?, labelled: false }),
    }
}

/// Reads an object from label to text. It is sorted, A to Z or 1 to 10, because an object has no order.
fn by_label(fields: &Map<String, Value>) -> Option<Options> {
    let filled = fields.iter().filter(|(_, text)| !is_empty(text));
    let mut choices: Vec<Choice> = filled
        .map(|(label, text)| choice(&Value::String(label.clone()), text))
        .collect::<Option<_>>()?;
    choices.sort_by(|a, b| (a.label.len(), &a.label).cmp(&(b.label.len(), &b.label)));
    Some(labelled(choices))
}

fn choice(label: &Value, text: &Value) -> Option<Choice> {
    Some(Choice { label: scalar(label)?, text: scalar(text)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::row;

    fn shown(options: &Options) -> Vec<(&str, &str)> {
        options.choices.iter().map(|c| (c.label.as_str(), c.text.as_str())).collect()
    }

    #[test]
    fn every_published_form_reads_the_same() {
        let forms = [
            r#"["red", "blue"]"#,
            r#"["A) red", "B)blue"]"#,
            r#"["(A) red", "(B) blue"]"#,
            r#"["A. red", "B: blue"]"#,
            r#"[{"label": "A", "text": "red"}, {"text": "blue", "label": "B"}]"#,
            r#"[{"key": "A", "value": "red"}, {"key": "B", "value": "blue"}]"#,
            r#"{"text": ["red", "blue"], "label": ["A", "B"]}"#,
            r#"{"B": "blue", "A": "red", "C": null}"#,
            r#""[\"red\", \"blue\"]""#,
        ];
        for form in forms {
            for name in WHOLE {
                let row = row(&format!(r#"{{"{name}": {form}, "choices_note": 1}}"#));
                let options = of_row(&row).unwrap().unwrap();
                assert_eq!(shown(&options), [("A", "red"), ("B", "blue")], "{form}");
            }
        }
        for names in SPREAD {
            let json = format!(r#"{{"{}": "red", "{}": "blue"}}"#, names[0], names[1]);
            let options = of_row(&row(&json)).unwrap().unwrap();
            let labels = if names[0].starts_with("option") && names[0].ends_with('1') {
                ["1", "2"]
            } else {
                ["A", "B"]
            };
            assert_eq!(shown(&options), [(labels[0], "red"), (labels[1], "blue")]);
            assert_eq!(options.labelled, labels[0] == "1");
        }
        assert_eq!(of_row(&row(r#"{"choices": [], "options": null}"#)).unwrap(), None);
    }

    #[test]
    fn texts_that_only_look_labelled_stay_whole() {
        for form in [r#"["A) red", "C) blue"]"#, r#"["1.5", "2.5"]"#, r#"["A)", "B)"]"#] {
            let options = read(&row(&format!(r#"{{"options": {form}}}"#)), "options").unwrap();
            assert!(!options.labelled && options.choices[0].text.len() > 1, "{form}");
        }
    }

    #[test]
    fn other_forms_are_faults() {
        let forms =
            ["3", "[[1]]", r#"{"text": ["a"], "label": []}"#, r#"[{"text": "a"}]"#, r#""x""#];
        for form in forms {
            let row = row(&format!(r#"{{"choices": {form}}}"#));
            assert_eq!(read(&row, "choices").unwrap_err().field, "choices", "{form}");
        }
        assert!(lettered((0..27).map(|i| i.to_string())).is_none());
        let gap = row(r#"{"A": "a", "B": "b", "C": "", "D": "d"}"#);
        assert_eq!(of_row(&gap).unwrap_err().field, "C");
        let two = row(r#"{"choices": ["a", "b"], "options": ["a", "c"]}"#);
        assert_eq!(of_row(&two).unwrap_err().field, "options");
    }
}
