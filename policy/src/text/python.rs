//! Python features that chat templates use beyond minijinja: `tojson` as in `json.dumps`, tests for
//! iterables and sequences, and string methods.

use std::io;

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

/// Jinja's test `iterable`; minijinja's version is also true for `none`.
pub(super) fn is_iterable(value: &Value) -> bool {
    is_sequence(value) || value.kind() == ValueKind::Iterable
}

/// Jinja's test `sequence`, which is also true for strings and mappings: anything that has a length and
/// items.
pub(super) fn is_sequence(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Map | ValueKind::Seq | ValueKind::String | ValueKind::Undefined => true,
        // A range has a length; the result of a filter that iterates lazily has none.
        ValueKind::Iterable => value.len().is_some(),
        _ => false,
    }
}

/// The filter `tojson` of transformers: `json.dumps` with its arguments, without HTML escapes.
pub(super) fn to_json(value: &Value, options: Kwargs) -> Result<String, Error> {
    let failed = |e: String| Error::new(ErrorKind::InvalidOperation, format!("tojson: {e}"));
    let indent: Option<usize> = options.get("indent")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    let sorted: Option<bool> = options.get("sort_keys")?;
    let separators: Option<Vec<String>> = options.get("separators")?;
    options.assert_all_used()?;
    let separators = match separators.as_deref() {
        None => [if indent.is_some() { "," } else { ", " }, ": "].map(str::to_owned),
        Some([item, key]) => [item.clone(), key.clone()],
        Some(other) => return Err(failed(format!("`separators` are {other:?}; expected two"))),
    };
    let blanks = " ".repeat(indent.unwrap_or(0));
    let pretty = indent.map(|_| PrettyFormatter::with_indent(blanks.as_bytes()));
    let formatter = Dumps { pretty, separators, ascii: ascii.unwrap_or(false) };
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, formatter);
    let written = if sorted.unwrap_or(false) {
        serde_json::to_value(value).and_then(|sorted| sorted.serialize(&mut serializer))
    } else {
        value.serialize(&mut serializer)
    };
    written.map_err(|e| failed(e.to_string()))?;
    String::from_utf8(out).map_err(|e| failed(e.to_string()))
}

/// Formats JSON as Python's `json.dumps`.
struct Dumps<'a> {
    /// Adds line breaks and indents, if requested.
    pretty: Option<PrettyFormatter<'a>>,
    /// Text between items, and between a key and its value.
    separators: [String; 2],
    ascii: bool,
}

type Out<'w, W> = &'w mut W;

impl Dumps<'_> {
    /// Writes the separator before an item, and the line break that a pretty formatter writes before a
    /// first item.
    fn before<W: ?Sized + io::Write>(
        &mut self,
        out: Out<'_, W>,
        first: bool,
        array: bool,
    ) -> io::Result<()> {
        if !first {
            out.write_all(self.separators[0].as_bytes())?;
        }
        match (&mut self.pretty, array) {
            (Some(pretty), true) => pretty.begin_array_value(out, true),
            (Some(pretty), false) => pretty.begin_object_key(out, true),
            (None, _) => Ok(()),
        }
    }
}

/// Calls the pretty formatter if there is one, otherwise writes plain text.
macro_rules! shaped {
    ($($call:ident $plain:literal),*) => {
        $(fn $call<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
            match &mut self.pretty {
                Some(pretty) => pretty.$call(out),
                None => out.write_all($plain),
            }
        })*
    };
}

impl Formatter for Dumps<'_> {
    shaped!(begin_array b"[", end_array b"]", end_array_value b"", begin_object b"{",
            end_object b"}", end_object_value b"");

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.before(out, first, true)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.before(out, first, false)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.separators[1].as_bytes())
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if !self.ascii {
            return out.write_all(text.as_bytes());
        }
        text.encode_utf16().try_for_each(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => out.write_all(&[byte]),
            _ => write!(out, "\\u{unit:04x}"),
        })
    }
}

/// Methods of Python values: the methods that minijinja-contrib supports, and some more for strings.
pub(super) fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args);
    };
    match name {
        "removeprefix" | "removesuffix" => {
            let (part,): (&str,) = from_args(args)?;
            let rest = if name == "removeprefix" {
                text.strip_prefix(part)
            } else {
                text.strip_suffix(part)
            };
            Ok(Value::from(rest.unwrap_or(text)))
        }
        "partition" | "rpartition" => {
            let (part,): (&str,) = from_args(args)?;
            let (left, right) = (name == "partition", text);
            let cut = if left { text.split_once(part) } else { text.rsplit_once(part) };
            let parts = match cut {
                Some((before, after)) => [before, part, after],
                None if left => [right, "", ""],
                None => ["", "", right],
            };
            Ok(Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>()))
        }
        "title" => {
            let () = from_args(args)?;
            Ok(Value::from(titled(text)))
        }
        "rsplit" => {
            let (part, most): (Option<&str>, Option<i64>) = from_args(args)?;
            rsplit(text, part, most)
        }
        "index" => {
            let (part,): (&str,) = from_args(args)?;
            let at = text.find(part).map(|at| text[..at].chars().count());
            at.map(Value::from)
                .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "substring not found"))
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// Capitalises the first letter of every run of letters.
fn titled(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        if inside {
            titled.extend(c.to_lowercase());
        } else {
            titled.extend(c.to_uppercase());
        }
        inside = c.is_alphabetic();
    }
    titled
}

/// Splits a text from the right, with at most `most` splits unless `most` is negative.
fn rsplit(text: &str, part: Option<&str>, most: Option<i64>) -> Result<Value, Error> {
    let cuts = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX - 1);
    let mut parts: Vec<&str> = match part {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(part) => text.rsplitn(cuts + 1, part).collect(),
        None => {
            let (mut parts, mut rest) = (vec![], text.trim_end());
            while parts.len() < cuts
                && let Some(at) = rest.rfind(char::is_whitespace)
            {
                let after = rest[at..].trim_start();
                parts.push(after);
                rest = rest[..at].trim_end();
            }
            parts.extend(Some(rest).filter(|rest| !rest.is_empty()));
            parts
        }
    };
    parts.reverse();
    Ok(Value::from(parts.into_iter().map(Value::from).collect::<Vec<_>>()))
}
