//! A proxy in front of a server that makes a share of the requests fail, below HTTP: connections that end
//! without an answer or are reset, bytes that are not HTTP or not JSON, and answers of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use regrowth_datasets::stream_key;

/// Number of kinds of faults.
pub const KINDS: usize = 9;

/// State of the proxy's faults.
pub struct Faults {
    seed: u64,
    /// Delay of each answer, in addition to the server's own time.
    pause: Duration,
    /// Whether three of ten requests fail.
    broken: AtomicBool,
    /// Whether no connection is answered any more.
    dead: AtomicBool,
    asked: AtomicU64,
    /// Number of faults so far, by kind.
    made: [AtomicU64; KINDS],
}

/// A proxy that runs until the test ends.
pub struct FaultProxy {
    pub address: String,
    faults: Arc<Faults>,
}

impl FaultProxy {
    /// Starts a proxy in front of `server`, an address with `http://`.
    pub fn before(server: &str, seed: u64, pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let faults = Arc::new(Faults {
            seed,
            pause,
            broken: AtomicBool::new(false),
            dead: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            made: Default::default(),
        });
        let (shared, server) = (faults.clone(), server.trim_start_matches("http://").to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (faults, server) = (shared.clone(), server.clone());
                // A failed connection has simply ended.
                std::thread::spawn(move || faults.serve(stream, &server));
            }
        });
        Self { address, faults }
    }

    /// From now on three of ten requests fail.
    pub fn fail(&self) {
        self.faults.broken.store(true, Ordering::SeqCst);
    }

    /// From now on no connection is answered, permanently.
    pub fn die(&self) {
        self.faults.dead.store(true, Ordering::SeqCst);
    }

    /// Number of requests received, and number of failures of each kind.
    pub fn counts(&self) -> (u64, [u64; KINDS]) {
        let made = std::array::from_fn(|kind| self.faults.made[kind].load(Ordering::SeqCst));
        (self.faults.asked.load(Ordering::SeqCst), made)
    }
}

impl Faults {
    fn serve(&self, client: TcpStream, server: &str) -> Option<()> {
        let mut to_server = BufReader::new(TcpStream::connect(server).ok()?);
        let mut client = BufReader::new(client);
        loop {
            let kind = self.draw(&client)?;
            if kind == Some(0) {
                // Dropping a connection with unread bytes resets it.
                return None;
            }
            let request = message(&mut client)?;
            std::thread::sleep(self.pause);
            let answer = match kind {
                None => forward(&mut to_server, &request)?,
                Some(1) => return None,
                Some(2) => {
                    std::thread::sleep(Duration::from_millis(150));
                    forward(&mut to_server, &request)?
                }
                // The server has processed the request, but its answer is dropped.
                Some(3) => return forward(&mut to_server, &request).map(drop),
                Some(4) => garbled(forward(&mut to_server, &request)?, b'{'),
                Some(5) => garbled(forward(&mut to_server, &request)?, b'T'),
                Some(6) => {
                    let mut whole = forward(&mut to_server, &request)?;
                    whole.truncate(whole.len() / 2);
                    client.get_mut().write_all(&whole).ok()?;
                    return None;
                }
                Some(7) => said("429 Too Many Requests\r\nretry-after: 0"),
                Some(_) => said("502 Bad Gateway"),
            };
            client.get_mut().write_all(&answer).ok()?;
        }
    }

    /// Waits for a request and draws its kind of failure; `None` at the end of the connection.
    fn draw(&self, client: &BufReader<TcpStream>) -> Option<Option<usize>> {
        client.get_ref().peek(&mut [0]).ok().filter(|bytes| *bytes > 0)?;
        if self.dead.load(Ordering::SeqCst) {
            return None;
        }
        let count = self.asked.fetch_add(1, Ordering::SeqCst);
        let drawn = stream_key(self.seed, &[&count.to_le_bytes()]);
        if !self.broken.load(Ordering::SeqCst) || drawn % 10 >= 3 {
            return Some(None);
        }
        let kind = (drawn / 10) as usize % KINDS;
        self.made[kind].fetch_add(1, Ordering::SeqCst);
        Some(Some(kind))
    }
}

fn forward(server: &mut BufReader<TcpStream>, request: &[u8]) -> Option<Vec<u8>> {
    server.get_mut().write_all(request).ok()?;
    message(server)
}

/// The message with the first occurrence of `byte` replaced by a byte that makes it invalid.
fn garbled(mut message: Vec<u8>, byte: u8) -> Vec<u8> {
    if let Some(found) = message.iter_mut().find(|found| **found == byte) {
        *found = 0;
    }
    message
}

/// An answer with this status and without content.
fn said(status: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

/// Reads the bytes of one request or answer with a content length.
fn message(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let (mut bytes, mut length) = (Vec::new(), 0);
    loop {
        let from = bytes.len();
        stream.read_until(b'\n', &mut bytes).ok().filter(|read| *read > 0)?;
        let line = String::from_utf8_lossy(&bytes[from..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let head = bytes.len();
    bytes.resize(head + length, 0);
    stream.read_exact(&mut bytes[head..]).ok()?;
    Some(bytes)
}
