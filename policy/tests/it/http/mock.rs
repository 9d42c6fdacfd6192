//! An HTTP server for tests: a listener, a thread per connection, and a handler that answers.
//!
//! Requests need a length; the handler checks their content. A connection can be cut instead of answered,
//! and all requests are recorded.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// A request: path, header lines and body (null if there is none).
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub head: String,
    pub body: Value,
}

/// Reaction to a request.
pub enum Answer {
    Json(Value),
    Status(u16, &'static str),
    /// A status with this body.
    Says(u16, String),
    /// A status with `Retry-After`.
    Wait(u16, &'static str),
    /// A redirect.
    Moved(&'static str),
    Raw(&'static str),
    Cut,
    Late(Duration),
}

type Handler = dyn Fn(&Asked) -> Answer + Send + Sync;

/// A server that runs until it is dropped.
pub struct Mock {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    down: Arc<AtomicBool>,
}

impl Mock {
    pub fn start(handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", handler)
    }

    /// Starts a server at a given address.
    pub fn start_at(
        address: &str,
        handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::serve(address, |stream| stream, handler)
    }

    /// Starts a server whose connections are wrapped by `layer`.
    pub fn over<S: Read + Write>(
        layer: impl Fn(TcpStream) -> S + Clone + Send + 'static,
        handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::serve("127.0.0.1:0", layer, handler)
    }

    fn serve<S: Read + Write>(
        address: &str,
        layer: impl Fn(TcpStream) -> S + Clone + Send + 'static,
        handler: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (asked, down) = (Arc::new(Mutex::new(vec![])), Arc::new(AtomicBool::new(false)));
        let handler: Arc<Handler> = Arc::new(handler);
        let (log, closed) = (asked.clone(), down.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (handler, log, closed) = (handler.clone(), log.clone(), closed.clone());
                let layer = layer.clone();
                std::thread::spawn(move || serve(layer(stream), &*handler, &log, &closed));
            }
        });
        Self { address, asked, down }
    }

    /// Cuts every connection from now on.
    pub fn stop(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    /// Answers connections again from now on.
    pub fn resume(&self) {
        self.down.store(false, Ordering::SeqCst);
    }

    /// Returns the requests to a path so far.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|a| a.path == path).cloned().collect()
    }
}

fn serve(stream: impl Read + Write, handler: &Handler, log: &Mutex<Vec<Asked>>, down: &AtomicBool) {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        if down.load(Ordering::SeqCst) {
            return;
        }
        let answer = handler(&asked);
        log.lock().unwrap().push(asked);
        let (status, body) = match answer {
            Answer::Json(value) => (200, value.to_string()),
            Answer::Status(status, body) => (status, body.to_owned()),
            Answer::Says(status, body) => (status, body),
            Answer::Wait(status, seconds) => {
                let head = format!("HTTP/1.1 {status} X\r\nretry-after: {seconds}");
                let _ = reader.get_mut().write_all(without_body(&head).as_bytes());
                return;
            }
            Answer::Moved(to) => {
                let head = format!("HTTP/1.1 308 X\r\nlocation: {to}");
                let _ = reader.get_mut().write_all(without_body(&head).as_bytes());
                return;
            }
            Answer::Raw(body) => (200, body.to_owned()),
            Answer::Cut => return,
            Answer::Late(pause) => {
                std::thread::sleep(pause);
                return;
            }
        };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
        let stream = reader.get_mut();
        if stream.write_all((head + &body).as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

/// A response with these header lines and no body, which ends the connection.
fn without_body(head: &str) -> String {
    format!("{head}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
}

fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut head) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        head.push_str(&header);
        let Some((name, value)) = header.trim().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { path, head, body: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}
