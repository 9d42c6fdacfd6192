//! Checked access to the JSON of a server's reply. Every error states server, field, expectation and value.
//!
//! Independent of the dialect. The size of a reply is limited before it is parsed (`server.rs`). Here,
//! numbers must be finite, and log-probabilities must be finite and at most 0.

use regrowth_datasets::TokenId;
use serde_json::Value;

use super::fault::Fault;

/// Maximum number of characters of a value in an error message.
const SHOWN: usize = 80;

/// vLLM's replacement for an infinite or missing log-probability.
const NO_LOGP: f64 = -9999.0;

/// A log-probability may exceed 0 by this much because of rounding; it is then set to 0.
const LOGP_SLACK: f64 = 1e-3;

/// Part of a reply, with its path.
#[derive(Debug, Clone)]
pub(super) struct Reply<'a> {
    value: &'a Value,
    /// Address and the fields down to this part, for error messages.
    path: String,
}

impl<'a> Reply<'a> {
    /// The whole reply of `url`.
    pub(super) fn new(url: &str, value: &'a Value) -> Self {
        Self { value, path: format!("{url}: the reply") }
    }

    /// A field that may be absent or null.
    pub(super) fn optional(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|v| !v.is_null())?;
        Some(Self { value, path: format!("{}.{name}", self.path) })
    }

    /// A field that must be there.
    pub(super) fn field(&self, name: &str) -> Result<Self, Fault> {
        self.optional(name).ok_or_else(|| {
            let got = shown(self.value.get(name).unwrap_or(self.value));
            Fault::Reply(format!("{}: field `{name}` is missing or null; got {got}", self.path))
        })
    }

    /// An element that must be there.
    pub(super) fn at(&self, index: usize) -> Result<Self, Fault> {
        let list = self.list()?;
        let count = list.len();
        list.into_iter()
            .nth(index)
            .ok_or_else(|| self.bad(&format!("at least {} elements, not {count}", index + 1)))
    }

    /// The elements of a list.
    pub(super) fn list(&self) -> Result<Vec<Self>, Fault> {
        let list = self.value.as_array().ok_or_else(|| self.bad("a list"))?;
        let element = |(i, value)| Self { value, path: format!("{}[{i}]", self.path) };
        Ok(list.iter().enumerate().map(element).collect())
    }

    /// The elements of a list that must have `count` of them.
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
        let entry = |(name, value): (&'a String, &'a Value)| {
            (name.as_str(), Self { value, path: format!("{}.{name}", self.path) })
        };
        Ok(object.iter().map(entry).collect())
    }

    /// The one element of a list.
    pub(super) fn only(&self) -> Result<Self, Fault> {
        let mut list = self.list_of(1)?;
        list.pop().ok_or_else(|| self.bad("one element"))
    }

    /// Reads all elements of a list with `read`. If `read` returns `None` for an element, the error says that
    /// `expected` was expected. The element's path is formatted only then, because lists of tokens are long.
    fn all<T>(&self, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, Fault> {
        let list = self.value.as_array().ok_or_else(|| self.bad("a list"))?;
        let element = |(i, value)| {
            let path = || format!("{}[{i}]", self.path);
            read(value).ok_or_else(|| Self { value, path: path() }.bad(expected))
        };
        list.iter().enumerate().map(element).collect()
    }

    /// A list of finite numbers.
    pub(super) fn numbers(&self) -> Result<Vec<f64>, Fault> {
        self.all("a finite number", |value| value.as_f64().filter(|number| number.is_finite()))
    }

    /// True or false.
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

    /// The log-probability of a sampled or scored token: as [`Self::logp`], and above -9999, because vLLM
    /// writes -9999 if the value is infinite or missing.
    pub(super) fn sampled_logp(&self) -> Result<f64, Fault> {
        sampled_logp(self.value).ok_or_else(|| self.bad(SAMPLED))
    }

    /// A list of log-probabilities of sampled or scored tokens.
    pub(super) fn sampled_logps(&self) -> Result<Vec<f32>, Fault> {
        self.all(SAMPLED, |value| sampled_logp(value).map(|logp| logp as f32))
    }

    /// An error about this part.
    pub(super) fn bad(&self, expected: &str) -> Fault {
        Fault::Reply(format!("{}: expected {expected}, got {}", self.path, shown(self.value)))
    }
}

/// Expectation of [`Reply::sampled_logp`] in error messages.
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

    fn message<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn errors_name_place_expected_and_got() {
        let value = json!({"choices": [{"logp": 0.5, "ids": [1, -2]}], "none": null});
        let reply = Reply::new("http://h:1/x", &value);
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
        assert_eq!(Reply::new("u", &none).logp(), Ok(-9999.0));
        assert!(message(Reply::new("u", &none).sampled_logp()).contains("above -9999"));
        assert!(message(reply.field("choices").unwrap().at(3)).contains("at least 4 elements"));
        assert!(message(reply.field("choices").unwrap().list_of(2)).contains("2 elements, not 1"));
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let value = json!("é".repeat(500));
        assert!(message(Reply::new("u", &value).count()).len() < 300);
    }
}
