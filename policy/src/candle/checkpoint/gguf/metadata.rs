//! Metadata of a GGUF file, read with the expected type of each key.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;

/// Values by key.
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

    /// Returns a string.
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, String> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let wrong = || format!("metadata `{key}` is {}; expected a text", shown(value));
        text(value).map(Some).ok_or_else(wrong)
    }

    /// Returns a whole number of at least 0.
    pub(super) fn number(&self, key: &str) -> Result<Option<u64>, String> {
        self.get(key, "a whole number from 0", whole)
    }

    /// Returns a whole number of at least 0; a list must have the same number for every layer.
    pub(super) fn uniform(&self, key: &str) -> Result<Option<u64>, String> {
        self.get(key, "one whole number, the same for all layers", |value| match value {
            Value::Array(values) => {
                let first = whole(values.first()?)?;
                values.iter().all(|v| whole(v) == Some(first)).then_some(first)
            }
            one => whole(one),
        })
    }

    /// Returns a number that may have a fraction. An f32 is read as the shortest decimal that rounds to it.
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

    /// Returns a boolean.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, String> {
        self.get(key, "true or false", |value| match value {
            Value::Bool(v) => Some(*v),
            _ => None,
        })
    }

    /// Returns a list of strings.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<&str>>, String> {
        let Some(value) = self.0.get(key) else { return Ok(None) };
        let texts = match value {
            Value::Array(values) => values.iter().map(text).collect(),
            _ => None,
        };
        let wrong = || format!("metadata `{key}` is {}; expected a list of texts", shown(value));
        texts.map(Some).ok_or_else(wrong)
    }

    /// Returns a list of numbers.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>, String> {
        self.get(key, "a list of numbers", |value| match value {
            Value::Array(values) => values.iter().map(number).collect(),
            _ => None,
        })
    }

    /// Unwraps a value that must exist.
    pub(super) fn need<T>(key: &str, value: Result<Option<T>, String>) -> Result<T, String> {
        value?.ok_or_else(|| format!("metadata `{key}` is missing"))
    }

    /// Returns the keys that begin with `prefix`, sorted, each with the rest of its name.
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

/// Formats a value for an error message; the result is short, whatever the value's length.
fn shown(value: &Value) -> String {
    /// Maximum number of characters of a string to show.
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
