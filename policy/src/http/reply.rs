//! A server's reply: reads fields of JSON, and reports server, field, expected and received value in errors.
//!
//! This file does not know the dialects. The size of a reply is limited before it is parsed; here numbers must be
//! finite, and log-probabilities at most 0.

use std::fmt::Write;

use regrowth_datasets::TokenId;
use serde_json::Value;

use super::address::PathUrl;
use super::fault::Fault;

/// Maximum number of characters of a value in an error message.
const SHOWN: usize = 80;

/// What vLLM writes for an infinite or missing log-probability.
const NO_LOGP: f64 = -9999.0;

/// Tolerance for log-probabilities that rounding has pushed above 0.
const LOGP_SLACK: f64 = 1e-3;

/// A value within a reply. Its path is found only if an error message needs it: replies have many fields, and
/// nearly all of them are as expected.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reply<'a> {
    value: &'a Value,
    whole: &'a Value,
    url: PathUrl<'a>,
}

impl<'a> Reply<'a> {
    /// The whole reply of `url`.
    pub(super) fn new(url: PathUrl<'a>, whole: &'a Value) -> Self {
        Self { value: whole, whole, url }
    }

    fn part(&self, value: &'a Value) -> Self {
        Self { value, ..*self }
    }

    /// A field that may be absent or null.
    pub(super) fn optional(&self, name: &str) -> Option<Self> {
        Some(self.part(self.value.get(name).filter(|v| !v.is_null())?))
    }

    /// A required field.
    pub(super) fn field(&self, name: &str) -> Result<Self, Fault> {
        self.optional(name).ok_or_else(|| {
            let got = shown(self.value.get(name).unwrap_or(self.value));
            Fault::Reply(format!("{}: field `{name}` is missing or null; got {got}", self.path()))
        })
    }

    /// A required element of a list.
    pub(super) fn at(&self, index: usize) -> Result<Self, Fault> {
        let list = self.array()?;
        let element = list.get(index).map(|value| self.part(value));
        element.ok_or_else(|| {
            self.bad(&format!("at least {} elements, not {}", index + 1, list.len()))
        })
    }

    fn array(&self) -> Result<&'a Vec<Value>, Fault> {
        self.value.as_array().ok_or_else(|| self.bad("a list"))
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Result<Vec<Self>, Fault> {
        Ok(self.array()?.iter().map(|value| self.part(value)).collect())
    }

    /// The elements of a list that must have `count` elements.
    pub(super) fn list_of(&self, count: usize) -> Result<Vec<Self>, Fault> {
        let list = self.list()?;
        if list.len() == count {
            Ok(list)
        } else {
            Err(self.bad(&format!("{count} elements, not {}", list.len())))
        }
    }

    /// Names and values of an object.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Self)>, Fault> {
        let object = self.value.as_object().ok_or_else(|| self.bad("an object"))?;
        Ok(object.iter().map(|(name, value)| (name.as_str(), self.part(value))).collect())
    }

    /// The only element of a list.
    pub(super) fn only(&self) -> Result<Self, Fault> {
        let mut list = self.list_of(1)?;
        list.pop().ok_or_else(|| self.bad("one element"))
    }

    /// Reads each element of a list with `read`. If it returns `None`, the error says that `expected` was expected.
    fn all<T>(&self, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, Fault> {
        let element = |value| read(value).ok_or_else(|| self.part(value).bad(expected));
        self.array()?.iter().map(element).collect()
    }

    /// A list of finite numbers.
    pub(super) fn numbers(&self) -> Result<Vec<f64>, Fault> {
        self.all("a finite number", |value| value.as_f64().filter(|number| number.is_finite()))
    }

    /// A boolean.
    pub(super) fn truth(&self) -> Result<bool, Fault> {
        self.value.as_bool().ok_or_else(|| self.bad("true or false"))
    }

    /// A string.
    pub(super) fn text(&self) -> Result<&'a str, Fault> {
        self.value.as_str().ok_or_else(|| self.bad("a string"))
    }

    /// A whole number of at least 0.
    pub(super) fn count(&self) -> Result<u64, Fault> {
        self.value.as_u64().ok_or_else(|| self.bad("a whole number of at least 0"))
    }

    /// A token id.
    pub(super) fn id(&self) -> Result<TokenId, Fault> {
        id(self.value).ok_or_else(|| self.bad("a token id"))
    }

    /// A list of token ids.
    pub(super) fn ids(&self) -> Result<Vec<TokenId>, Fault> {
        self.all("a token id", id)
    }

    /// A log-probability: finite and at most 0.
    pub(super) fn logp(&self) -> Result<f64, Fault> {
        logp(self.value).ok_or_else(|| self.bad("a finite log-probability of at most 0"))
    }

    /// The log-probability of a sampled or scored token. -9999 is refused: vLLM writes it if there is none.
    pub(super) fn sampled_logp(&self) -> Result<f64, Fault> {
        sampled_logp(self.value).ok_or_else(|| self.bad(SAMPLED))
    }

    /// A list of log-probabilities of sampled tokens.
    pub(super) fn sampled_logps(&self) -> Result<Vec<f32>, Fault> {
        self.all(SAMPLED, |value| sampled_logp(value).map(|logp| logp as f32))
    }

    /// An error about this part.
    pub(super) fn bad(&self, expected: &str) -> Fault {
        Fault::Reply(format!("{}: expected {expected}, got {}", self.path(), shown(self.value)))
    }

    /// URL and fields that lead to this value, such as `http://host:1/x: the reply.choices[0].text`.
    fn path(&self) -> String {
        let mut path = format!("{}: the reply", self.url);
        append_path(self.whole, self.value, &mut path);
        path
    }
}

/// Appends the path from `from` to `to`, which is a part of it, found by its address. Returns false and leaves
/// `path` unchanged if it is not. serde_json limits the depth of a value, and therefore the recursion.
fn append_path(from: &Value, to: &Value, path: &mut String) -> bool {
    if std::ptr::eq(from, to) {
        return true;
    }
    let length = path.len();
    let mut leads = |name: std::fmt::Arguments<'_>, value: &Value| {
        // Writing to a string cannot fail.
        let _ = path.write_fmt(name);
        let found = append_path(value, to, path);
        if !found {
            path.truncate(length);
        }
        found
    };
    match from {
        Value::Array(list) => {
            list.iter().enumerate().any(|(i, value)| leads(format_args!("[{i}]"), value))
        }
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| leads(format_args!(".{name}"), value))
        }
        _ => false,
    }
}

/// What [`Reply::sampled_logp`] expects.
const SAMPLED: &str = "a finite log-probability above -9999 and at most 0";

fn id(value: &Value) -> Option<TokenId> {
    TokenId::try_from(value.as_u64()?).ok()
}

fn logp(value: &Value) -> Option<f64> {
    value.as_f64().filter(|l| l.is_finite() && *l <= LOGP_SLACK).map(|l| l.min(0.0))
}

fn sampled_logp(value: &Value) -> Option<f64> {
    logp(value).filter(|l| *l > NO_LOGP)
}

/// The beginning of a value.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const URL: PathUrl<'static> = PathUrl { root: "http://h:1", path: "/x" };

    fn message<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn errors_name_place_expected_and_got() {
        let value = json!({"choices": [{"logp": 0.5, "ids": [1, -2]}], "none": null});
        let reply = Reply::new(URL, &value);
        let choice = reply.field("choices").unwrap().at(0).unwrap();
        let text = message(choice.field("logp").unwrap().logp());
        assert_eq!(
            text,
            "http://h:1/x: the reply.choices[0].logp: expected a finite log-probability of at \
             most 0, got 0.5"
        );
        assert!(
            message(choice.field("ids").unwrap().ids()).contains("ids[1]: expected a token id")
        );
        assert!(message(reply.field("none")).contains("field `none` is missing or null"));
        let none = json!(-9999.0);
        assert_eq!(Reply::new(URL, &none).logp(), Ok(-9999.0));
        assert!(message(Reply::new(URL, &none).sampled_logp()).contains("above -9999"));
        assert!(message(reply.field("choices").unwrap().at(3)).contains("at least 4 elements"));
        assert!(message(reply.field("choices").unwrap().list_of(2)).contains("2 elements, not 1"));
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let value = json!("é".repeat(500));
        assert!(message(Reply::new(URL, &value).count()).len() < 300);
    }
}
