//! The API key for a server: read once, sent as a bearer token, never shown.
//!
//! Servers and their proxies may repeat a request's headers in an answer, so every reply passes
//! [`ApiKey::redact`] before anything else reads it.

use std::path::Path;

use reqwest::header::HeaderValue;

use crate::PolicyError;

/// Environment variable with the API key for servers, sent as a bearer token.
pub const API_KEY: &str = "REGROWTH_API_KEY";

/// Replacement for the key in replies.
const REDACTED: &[u8] = b"[API key]";

/// Minimum length, in characters, of a key that is redacted in replies. Local servers are often given shorter
/// keys such as `EMPTY` or `test`, words that a model may write.
const SECRET_CHARS: usize = 16;

/// A key, without any way to print it.
#[derive(Clone)]
pub(super) struct ApiKey {
    header: HeaderValue,
    /// Forms in which a reply may contain the key: plain, and with escaped slashes as some JSON writers do.
    forms: Vec<Vec<u8>>,
}

impl ApiKey {
    /// Reads the key from `file`, or from the environment if no file is given; `None` if the environment has
    /// none.
    ///
    /// # Errors
    /// [`PolicyError::File`] when the file cannot be read or holds no key, [`PolicyError::Request`]
    /// when the environment's key cannot be sent.
    pub(super) fn read(file: Option<&Path>) -> Result<Option<Self>, PolicyError> {
        let Some(path) = file else {
            let key = std::env::var(API_KEY).ok().filter(|key| !key.trim().is_empty());
            let key = key.map(|key| Self::new(&key));
            return key.transpose().map_err(|e| PolicyError::Request(format!("{API_KEY}: {e}")));
        };
        let fail = |detail: String| PolicyError::File { path: path.to_owned(), detail };
        let text = std::fs::read_to_string(path)
            .map_err(|e| fail(format!("{e}; expected a file with the key of the server")))?;
        Self::new(&text).map(Some).map_err(fail)
    }

    fn new(text: &str) -> Result<Self, String> {
        let key = text.trim();
        let expected = "expected one line with the key, of printable ASCII characters";
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(expected.to_owned());
        }
        let mut header =
            HeaderValue::from_str(&format!("Bearer {key}")).map_err(|_| expected.to_owned())?;
        header.set_sensitive(true);
        let mut forms = vec![key.as_bytes().to_vec(), key.replace('/', "\\/").into_bytes()];
        forms.dedup();
        forms.retain(|form| form.len() >= SECRET_CHARS);
        Ok(Self { header, forms })
    }

    /// The value of the header `Authorization`.
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// Replaces the key wherever it occurs in a reply.
    pub(super) fn redact(&self, mut body: Vec<u8>) -> Vec<u8> {
        for form in &self.forms {
            let mut from = 0;
            while let Some(at) = body[from..].windows(form.len()).position(|part| part == form) {
                let start = from + at;
                body.splice(start..start + form.len(), REDACTED.iter().copied());
                from = start + REDACTED.len();
            }
        }
        body
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_cut_out_of_replies_and_debug_output() {
        let key = ApiKey::new(" sk-abc/def-0123456789 \n").unwrap();
        let body = br#"{"a": "Bearer sk-abc/def-0123456789", "b": "sk-abc\/def-0123456789"}"#;
        let redacted = String::from_utf8(key.redact(body.to_vec())).unwrap();
        assert_eq!(redacted, r#"{"a": "Bearer [API key]", "b": "[API key]"}"#);
        assert!(key.redact(b"short".to_vec()) == b"short");
        assert!(!format!("{key:?} {:?}", key.header()).contains("sk-"));
    }

    #[test]
    fn words_that_are_used_as_keys_stay_in_what_a_model_writes() {
        let key = ApiKey::new("test").unwrap();
        assert_eq!(key.redact(b"a test".to_vec()), b"a test");
    }

    #[test]
    fn what_cannot_be_sent_is_refused_and_not_shown() {
        for wrong in ["", " \n", "two keys-in-a-line", "line-one\nline-two", "schl\u{fc}ssel"] {
            let error = ApiKey::new(wrong).unwrap_err();
            assert!(error.contains("printable ASCII") && !error.contains("line-"), "{error}");
        }
    }
}
