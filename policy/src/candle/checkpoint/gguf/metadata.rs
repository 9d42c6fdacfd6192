//! Metadata of a GGUF file, with the kind of value that each key must have.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;

/// Values by their keys.
pub(super) struct Metadata(HashMap<String, Value>);

impl Metadata {
    pub(super) fn new(values: HashMap<String, Value>) -> Self {
        Self(values)
    }

    fn get<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let wrong = || format!("metadata `{key}` is {}; expected {expected}", shown(value));
        read(value).map(Some).ok_or_else(wrong)
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, String> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let wrong = || format!("metadata `{key}` is {}; expected a text", shown(value));
        text(value).map(Some).ok_or_else(wrong)
    }

    /// A whole number from 0 on.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, String> {
        self.get(key, "a whole number from 0", whole)
    }

    /// A number from 0 on, the same for every layer where it is a list.
    pub(super) fn uniform(&self, key: &str) -> Result<Option<u64>, String> {
        self.get(key, "one whole number, the same for all layers", |value| match value {
            Value::Array(values) => {
                let first = whole(values.first()?)?;
                values.iter().all(|v| whole(v) == Some(first)).then_some(first)
            }
            one => whole(one),
        })
    }

    /// A number with a fraction. An f32 is read as the shortest decimal that gives it.
    pub(super) fn fraction(&self, key: &str) -> Result<Option<f64>, String> {
        self.get(key, "a finite number", |value| {
            let number = match value {
                Value::F32(v) => v.to_string().parse().ok()?,
                Value::F64(v) => *v,
                other => whole(other)? as f64,
            };
            number.is_finite().then_some(number)
        })
    }

    /// Yes or no.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, String> {
        self.get(key, "true or false", |value| match value {
            Value::Bool(v) => Some(*v),
            _ => None,
        })
    }

    /// A list of texts.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, String> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let texts = match value {
            Value::Array(values) => values.iter().map(text).collect(),
            _ => None,
        };
        let wrong = || format!("metadata `{key}` is {}; expected a list of texts", shown(value));
        texts.map(Some).ok_or_else(wrong)
    }

    /// A list of numbers.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, String> {
        self.get(key, "a list of numbers", |value| match value {
            Value::Array(values) => values.iter().map(number).collect(),
            _ => None,
        })
    }

    /// A value that must be there.
    pub(super) fn need<T>(key: &str, value: Result<Option<T>, String>) -> Result<T, String> {
        value?.ok_or_else(|| format!("metadata `{key}` is missing"))
    }

    /// Keys that begin with `prefix`, in order, each with the rest of its name.
    pub(super) fn below<'a>(&'a self, prefix: &str) -> Vec<(&'a str, &'a str)> {
        let mut keys: Vec<_> = self
            .0
            .keys()
            .filter_map(|key| Some((key.as_str(), key.strip_prefix(prefix)?)))
            .collect();
        keys.sort_unstable();
        keys
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<u64> {
    match *value {
        Value::U8(v) => Some(v.into()),
        Value::U16(v) => Some(v.into()),
        Value::U32(v) => Some(v.into()),
        Value::U64(v) => Some(v),
        Value::I8(v) => v.try_into().ok(),
        Value::I16(v) => v.try_into().ok(),
        Value::I32(v) => v.try_into().ok(),
        Value::I64(v) => v.try_into().ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<f64> {
    match *value {
        Value::F32(v) => Some(v.into()),
        Value::F64(v) => Some(v),
        Value::I8(v) => Some(v.into()),
        Value::I16(v) => Some(v.into()),
        Value::I32(v) => Some(v.into()),
        ref other => whole(other).map(|v| v as f64),
    }
}

/// A value as a message shows it: short, whatever its length.
fn shown(value: &Value) -> String {
    /// Most characters of a value that are shown.
    const MOST: usize = 60;
    match value {
        Value::Array(values) => format!("a list of {} values", values.len()),
        Value::String(text) => format!("{:?}", text.chars().take(MOST).collect::<String>()),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_another_kind_are_refused_with_the_key() {
        let values = [
            ("text", Value::String("a".into())),
            ("minus", Value::I32(-1)),
            ("heads", Value::Array(vec![Value::U32(2), Value::U32(2)])),
            ("mixed", Value::Array(vec![Value::U32(2), Value::U32(3)])),
            ("eps", Value::F32(1e-5)),
            ("endless", Value::F32(f32::INFINITY)),
        ];
        let metadata = Metadata::new(values.map(|(k, v)| (k.to_owned(), v)).into());
        assert_eq!(metadata.uniform("heads"), Ok(Some(2)));
        assert_eq!(metadata.fraction("eps"), Ok(Some(1e-5)));
        assert_eq!(metadata.number("absent"), Ok(None));
        for (said, key) in [
            (metadata.number("text").unwrap_err(), "text"),
            (metadata.number("minus").unwrap_err(), "minus"),
            (metadata.uniform("mixed").unwrap_err(), "mixed"),
            (metadata.fraction("endless").unwrap_err(), "endless"),
            (metadata.texts("heads").unwrap_err(), "heads"),
            (metadata.flag("eps").unwrap_err(), "eps"),
            (Metadata::need("absent", metadata.text("absent")).unwrap_err(), "absent"),
        ] {
            assert!(said.contains(&format!("`{key}`")), "{said}");
        }
    }
}
