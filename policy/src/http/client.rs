//! HTTP clients: trusted certificates, proxies, and the classification of failed connections.
//!
//! Proxies come from the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), but servers on
//! this machine are always connected to directly.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::ErrorKind::UnexpectedEof;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, Url};
use rustls::CertificateError;

use super::address::Address;
use super::fault::Fault;
use crate::{PolicyError, ServerOptions};

/// Longest time that opening a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Environment variables that set a proxy; their lower-case forms are read, too.
const PROXIES: [&str; 3] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];

/// Features that a client needs for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Needs {
    tls: bool,
    proxy: bool,
}

impl Needs {
    fn of(address: &Address) -> Self {
        Self { tls: address.root.starts_with("https:"), proxy: !is_loopback(&address.root) }
    }
}

/// One client for each kind of address, built on first use. System certificates are read for TLS only.
pub(super) struct Clients<'a> {
    options: &'a ServerOptions,
    built: BTreeMap<Needs, Client>,
}

impl<'a> Clients<'a> {
    pub(super) fn new(options: &'a ServerOptions) -> Self {
        Self { options, built: BTreeMap::new() }
    }

    /// Returns the client for an address.
    pub(super) fn of(&mut self, address: &Address) -> Result<Client, PolicyError> {
        let needs = Needs::of(address);
        if let Some(client) = self.built.get(&needs) {
            return Ok(client.clone());
        }
        let client = build(needs, self.options)?;
        self.built.insert(needs, client.clone());
        Ok(client)
    }
}

fn build(needs: Needs, options: &ServerOptions) -> Result<Client, PolicyError> {
    // reqwest uses the default crypto provider of the process. If the host program has already set a
    // provider, that one is kept.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .connect_timeout(options.timeout.min(CONNECT))
        .timeout(options.timeout)
        .redirect(reqwest::redirect::Policy::none());
    if !needs.proxy {
        builder = builder.no_proxy();
    }
    let given = options.ca_file.as_deref().map(authorities).transpose()?.unwrap_or_default();
    builder = match needs.tls {
        true => builder.tls_certs_merge(given),
        // Avoids the system's certificates, which a small container may not have. An https proxy is then
        // checked against the given certificates only.
        false => builder.tls_certs_only(given),
    };
    builder.build().map_err(|e| {
        PolicyError::Request(format!(
            "TLS cannot be set up: {}; install the system's CA certificates (package \
             `ca-certificates`), or give --server-ca FILE",
            causes(&e)
        ))
    })
}

/// Reads the certificates of a PEM file.
fn authorities(path: &Path) -> Result<Vec<Certificate>, PolicyError> {
    const EXPECTED: &str = "expected certificates in PEM form (-----BEGIN CERTIFICATE-----)";
    let fail =
        |why: String| PolicyError::File { path: path.into(), detail: format!("{why}; {EXPECTED}") };
    let pem = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|e| fail(causes(&e)))?;
    if found.is_empty() { Err(fail("no certificate".into())) } else { Ok(found) }
}

/// Whether the host of `url` is this machine: `localhost` or a loopback IP address.
fn is_loopback(url: &str) -> bool {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let number = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || number.is_ok_and(|ip| ip.is_loopback())
}

/// Classifies a failed exchange with `url`.
pub(super) fn lost(url: &str, error: &reqwest::Error) -> Fault {
    let detail = format!("{url}: {}", causes(error));
    if let Some(error) = causes_of::<rustls::Error>(error).first() {
        return Fault::Protocol(format!("{detail}; {}", tls_advice(error)));
    }
    let unread = causes_of::<hyper::Error>(error).iter().any(|e| e.is_parse());
    if url.starts_with("http:") && unread {
        return Fault::Protocol(format!(
            "{detail}; what answers there does not speak HTTP: if the server is behind TLS, write \
             https:// in its address"
        ));
    }
    let ended = causes_of::<std::io::Error>(error).iter().any(|e| e.kind() == UnexpectedEof);
    if url.starts_with("https:") && error.is_connect() && ended {
        return Fault::Down(format!(
            "{detail}; the connection was closed before TLS was agreed on: if it is a plain server, \
             write http:// in its address"
        ));
    }
    match proxy_of_environment() {
        Some(name) if error.is_connect() && !is_loopback(url) => Fault::Down(format!(
            "{detail} (the environment names a proxy, {name}; NO_PROXY lists hosts that are \
             connected to directly)"
        )),
        _ => Fault::Down(detail),
    }
}

fn proxy_of_environment() -> Option<&'static str> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    PROXIES.into_iter().find(|name| is_set(name) || is_set(&name.to_lowercase()))
}

/// Advice to the user after a TLS failure.
fn tls_advice(error: &rustls::Error) -> &'static str {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, NotValidForName, NotValidForNameContext,
        NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    use rustls::Error::{InvalidCertificate, InvalidMessage};
    match error {
        // `BadSignature`: an authority of that name is trusted, but with another key.
        InvalidCertificate(UnknownIssuer | BadSignature) => {
            "nobody that this system trusts has signed the server's certificate: give --server-ca \
             FILE with the certificate of the authority that has (PEM)"
        }
        InvalidCertificate(NotValidForName | NotValidForNameContext { .. }) => {
            "the certificate is for another host: write the name that it is for in the address"
        }
        InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. },
        ) => "renew the server's certificate, or set the clock of this machine",
        InvalidCertificate(_) => {
            "the server needs a certificate of its own that is no authority's \
             (basicConstraints=CA:FALSE)"
        }
        InvalidMessage(_) => {
            "what answers there does not speak TLS: if it is a plain server, write http:// in its \
             address"
        }
        _ => "the server and this program agree on no TLS (versions 1.2 and 1.3 are spoken here)",
    }
}

/// Returns all errors of type `T` in the chain of causes. `source` skips the error inside an `io::Error`, so
/// that error is searched as well.
fn causes_of<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Vec<&'a T> {
    let (mut found, mut at) = (Vec::new(), Some(error));
    while let Some(error) = at {
        found.extend(error.downcast_ref::<T>());
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(carried) = carried {
            found.extend(causes_of::<T>(carried));
        }
        at = error.source();
    }
    found
}

/// Text of an error and of all its causes, down to the message of the operating system.
pub(super) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_this_machine_are_known_by_name_and_number() {
        for near in ["http://localhost:1", "https://127.0.0.3", "http://[::1]:8000/v1"] {
            assert!(is_loopback(near), "{near}");
        }
        for far in ["http://localhost.example:1", "https://10.0.0.1", "http://[fe80::1]:8000"] {
            assert!(!is_loopback(far), "{far}");
        }
    }

    #[test]
    fn files_without_certificates_say_what_is_expected() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("ca.pem");
        std::fs::write(&empty, "-----BEGIN NOTHING-----").unwrap();
        for path in [empty.as_path(), dir.path()] {
            let error = authorities(path).unwrap_err().to_string();
            assert!(error.contains("BEGIN CERTIFICATE"), "{error}");
        }
    }
}
