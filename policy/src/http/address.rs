//! Address of a server and name of the model to use there: `http://host:port/v1#model`, or `https://`.
//!
//! Addresses of several servers of one model are separated by commas.

use std::fmt;

use crate::PolicyError;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// `http://host:port` or `https://host`, and any path before `/v1`; no slash at the end.
    pub(super) root: String,
    /// Name of the model, after the `#`; `None` if the address has none.
    pub(super) model: Option<String>,
}

/// URL of a path below a server's root. It is formatted only if it is displayed.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathUrl<'a> {
    pub(super) root: &'a str,
    /// Begins with a slash.
    pub(super) path: &'a str,
}

impl fmt::Display for PathUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.root, self.path)
    }
}

/// Parses the addresses in `spec`; all must name the same model.
pub(super) fn parse(spec: &str) -> Result<Vec<Address>, PolicyError> {
    let fail = |detail: String| PolicyError::Spec { spec: spec.into(), detail };
    let addresses = spec.split(',').map(|one| address(one.trim()).map_err(fail));
    let addresses: Vec<Address> = addresses.collect::<Result<_, _>>()?;
    if addresses.windows(2).any(|pair| pair[0].model != pair[1].model) {
        return Err(fail("several servers must serve one model, named alike behind each #".into()));
    }
    Ok(addresses)
}

fn address(text: &str) -> Result<Address, String> {
    let (url, model) = match text.split_once('#') {
        Some((url, model)) => (url, Some(model.to_owned()).filter(|m| !m.is_empty())),
        None => (text, None),
    };
    let expected =
        || format!("`{text}`: expected http://host:port/v1#model or https://host/v1#model");
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let rest = rest.ok_or_else(expected)?;
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || rest.contains(['?', ' ', '@']) {
        return Err(expected());
    }
    let root = url.trim_end_matches('/');
    let root = root.strip_suffix("/v1").unwrap_or(root);
    Ok(Address { root: root.to_owned(), model })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_and_several() {
        let one = parse("http://localhost:8000/v1#org/model").unwrap();
        assert_eq!(one[0].root, "http://localhost:8000");
        assert_eq!(one[0].model.as_deref(), Some("org/model"));
        let two = parse("http://a:1/v1/, http://b:2/x/v1").unwrap();
        assert_eq!((two[0].root.as_str(), two[1].root.as_str()), ("http://a:1", "http://b:2/x"));
        assert_eq!(two[0].model, None);
        let behind_tls = parse("https://api.example/v1#m").unwrap();
        assert_eq!(behind_tls[0].root, "https://api.example");
    }

    #[test]
    fn what_is_no_address_says_what_is_one() {
        for bad in ["http://", "http://a:1,ftp://b", "http://u:p@host/v1", "http://a:1/v1?x=1"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("http://host:port/v1#model"), "{error}");
        }
        assert!(parse("http://a:1#x,http://b:1#y").unwrap_err().to_string().contains("one model"));
    }
}
