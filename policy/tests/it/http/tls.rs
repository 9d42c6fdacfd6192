//! Servers with TLS, with certificate authorities and certificates made here, and servers that require a
//! key.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::dialects;
use super::mock::{Answer, Asked, Mock};
use super::{options, propose};
use regrowth_policy::http::HttpPolicy;
use regrowth_policy::{Boundary, Policy, PolicyError, PromptOptions, ServerOptions};

/// A server with TLS, and the certificate (PEM) of its authority.
struct Served {
    mock: Mock,
    authority: String,
}

/// A vLLM with TLS whose certificate is for `host`, signed by its own authority.
fn served(host: &str) -> Served {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, format!("authority of {host}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &issuer).unwrap();
    Served { mock: behind_tls(certificate.der().clone(), &key), authority }
}

fn behind_tls(certificate: CertificateDer<'static>, key: &KeyPair) -> Mock {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    let layer = move |stream: TcpStream| {
        StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)
    };
    Mock::over(layer, dialects::vllm(Arc::new(|_: &str, _| "x\n".into())))
}

fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn meet(spec: &str, options: &ServerOptions) -> Result<HttpPolicy, PolicyError> {
    HttpPolicy::connect(spec, options, &PromptOptions::default())
}

fn https(mock: &Mock, host: &str) -> String {
    format!("{}/v1", mock.address.replace("http://127.0.0.1", &format!("https://{host}")))
}

#[test]
fn servers_behind_tls_are_asked_if_their_authority_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let served = served("localhost");
    let ca = Some(file(dir.path(), "ca.pem", &served.authority));
    let trusting = ServerOptions { ca_file: ca, ..options() };
    let policy = meet(&https(&served.mock, "localhost"), &trusting).unwrap();
    assert_eq!(propose(&policy, "Q", Boundary::Newline)[0].step.text, "x\n");
    // A self-signed certificate is its own authority.
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let ca = Some(file(dir.path(), "own.pem", &own.pem()));
    let mock = behind_tls(own.der().clone(), &key);
    let policy = meet(&https(&mock, "localhost"), &ServerOptions { ca_file: ca, ..options() });
    assert!(policy.is_ok());
}

#[test]
fn what_is_wrong_with_a_certificate_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let (served, other) = (served("localhost"), served("elsewhere.example"));
    let url = https(&served.mock, "localhost");
    let error = |url: &str, ca: Option<&str>| {
        let ca_file = ca.map(|pem| file(dir.path(), "ca.pem", pem));
        let options = ServerOptions { ca_file, attempts: 8, ..options() };
        meet(url, &options).err().unwrap().to_string()
    };
    let unknown = error(&url, Some(&other.authority));
    assert!(unknown.contains("UnknownIssuer") && unknown.contains("--server-ca FILE"), "{unknown}");
    let name = error(&https(&other.mock, "localhost"), Some(&other.authority));
    assert!(name.contains("elsewhere.example") && name.contains("another host"), "{name}");
    let none = error(&url, Some("no certificate"));
    assert!(none.contains("ca.pem") && none.contains("PEM"), "{none}");
    // No request was sent to a server that is not trusted.
    assert!(served.mock.asked("/v1/models").is_empty());
}

#[test]
fn plain_http_and_tls_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let served = served("localhost");
    let ca_file = Some(file(dir.path(), "ca.pem", &served.authority));
    let options = ServerOptions { ca_file, ..options() };
    let error = meet(&served.mock.address, &options).err().unwrap().to_string();
    assert!(error.contains("write https://"), "{error}");
    let plain = Mock::start(dialects::vllm(Arc::new(|_: &str, _| "x".into())));
    let error = meet(&https(&plain, "localhost"), &options).err().unwrap().to_string();
    assert!(error.contains("write http://"), "{error}");
    // Like most servers, this one answers data that it cannot parse.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 64]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let error = meet(&format!("https://localhost:{port}"), &options).err().unwrap();
    assert!(matches!(error, PolicyError::Spec { .. }), "{error}");
    assert!(error.to_string().contains("write http://"), "{error}");
}

const KEY: &str = "sk-secret/0123456789abcdef";

/// A vLLM that requires [`KEY`]; `wrong` may replace its answers to completions, for example by the
/// request's headers.
fn asking_for_a_key(wrong: fn(&Asked) -> Option<Answer>) -> Mock {
    let vllm = dialects::vllm(Arc::new(|_: &str, _| "x\n".into()));
    Mock::start(move |asked| match asked.head.contains(&format!("Bearer {KEY}")) {
        false => Answer::Says(401, format!("no key in {}", asked.head)),
        true => wrong(asked).filter(|_| asked.path.ends_with("completions")).unwrap_or(vllm(asked)),
    })
}

#[test]
fn a_key_comes_from_a_file_and_shows_up_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let key_file = Some(file(dir.path(), "key", &format!("{KEY}\n")));
    let options = ServerOptions { key_file, attempts: 2, ..options() };
    assert!(!format!("{options:?}").contains("sk-secret"));
    let echoes: [fn(&Asked) -> Option<Answer>; 4] = [
        |asked| Some(Answer::Says(400, asked.head.clone())),
        |asked| Some(Answer::Says(503, asked.head.clone())),
        // The length is chosen so that the message would be truncated within the key.
        |asked| Some(Answer::Says(400, "x".repeat(390) + &asked.head)),
        |asked| Some(Answer::Says(200, format!("{{\"choices\": {:?}}}", asked.head))),
    ];
    for echo in echoes {
        let mock = asking_for_a_key(echo);
        let policy = meet(&mock.address, &options).unwrap();
        let request = regrowth_policy::Request::Propose(super::request("Q", Boundary::Newline));
        let error = regrowth_policy::call(&policy, request).unwrap_err();
        let shown = format!("{error} {error:?} {:?}", policy.notes());
        assert!(!shown.contains("sk-"), "{shown}");
        assert!(!mock.asked("/v1/completions").is_empty());
    }
    let working = meet(&asking_for_a_key(|_| None).address, &options).unwrap();
    assert_eq!(propose(&working, "Q", Boundary::Newline)[0].step.text, "x\n");
}

#[test]
fn a_missing_or_unusable_key_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mock = asking_for_a_key(|_| None);
    let error = meet(&mock.address, &options()).err().unwrap().to_string();
    assert!(error.contains("REGROWTH_API_KEY") && error.contains("--server-key-file"), "{error}");
    for key_file in [file(dir.path(), "empty", "\n"), dir.path().join("missing")] {
        let name = key_file.file_name().unwrap().to_str().unwrap().to_owned();
        let options = ServerOptions { key_file: Some(key_file), ..options() };
        let error = meet(&mock.address, &options).err().unwrap().to_string();
        assert!(error.contains(&name) && error.contains("key"), "{error}");
    }
}

#[test]
fn where_a_server_has_moved_to_is_told() {
    let mock = Mock::start(|_| Answer::Moved("https://elsewhere.example/v1/models"));
    let error = meet(&mock.address, &options()).err().unwrap().to_string();
    assert!(error.contains("https://elsewhere.example/v1/models"), "{error}");
}
