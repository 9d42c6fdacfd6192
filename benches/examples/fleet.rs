//! Cost of the client of many servers: simulated endpoints on loopback, many trees in flight.
//!
//!     cargo run --release -p regrowth-benches --example fleet -- [TREES] [STEPS] [ENDPOINTS...]
//!
//! For each number of endpoints (1, 4 and 32 by default), starts the endpoints in a separate process and grows TREES
//! trees (10,000) of STEPS expansions each (6). Prints requests per second, this process's CPU time per request
//! and peak memory, the share of the endpoints' slots that were in use, and the smallest and largest limit of
//! requests in flight that the client found for an endpoint.
//!
//! An endpoint answers like vLLM. It processes 64 requests at once and queues the others; an answer takes
//! 0.4 to 0.8 seconds, every fiftieth four times as long. The client does not know the number 64.

use std::io::BufRead;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use regrowth_benches::{cpu_seconds, peak_bytes};
use regrowth_datasets::{TokenId, stream_key};
use regrowth_policy::http::HttpPolicy;
use regrowth_policy::{
    Boundary, Call, Policy, PromptOptions, Propose, Request, Response, Sampling, ServerOptions,
    StopAt,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;

/// The same allocator as in the programs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests that an endpoint processes at once.
const PLACES: usize = 64;
/// Candidates of an expansion; each is one request.
const BREADTH: u64 = 4;
/// Text of every step.
const STEP: &str = "He gives 4 of the 12 stones to Dan: 12 - 4 = 8 stones are left for him\n";

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == "serve") {
        return serve(args[1].parse().expect("a number of endpoints"));
    }
    let number =
        |at: usize, default| args.get(at).map_or(default, |n| n.parse().expect("a number"));
    let (trees, steps) = (number(0, 10_000), number(1, 6));
    let counts: Vec<usize> = args.iter().skip(2).map(|n| n.parse().expect("a number")).collect();
    let counts = if counts.is_empty() { vec![1, 4, 32] } else { counts };
    println!(
        "endpoints  requests  seconds  requests/s  CPU us/request  peak MiB  busy    in flight"
    );
    counts.into_iter().for_each(|endpoints| measure(endpoints, trees, steps));
}

/// Prints one line of the table.
fn measure(endpoints: usize, trees: usize, steps: usize) {
    let mut fleet = Fleet::start(endpoints);
    let bundled = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/bundled"));
    let options = ServerOptions { tokenizer: Some(bundled), ..Default::default() };
    let policy =
        HttpPolicy::connect(&fleet.addresses.join(","), &options, &PromptOptions::default())
            .expect("the endpoints answer");
    // Fewer trees with fewer endpoints, so that all lines take the same time.
    let trees = trees * endpoints.min(32) / 32;
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let expansions = grow(&policy, trees.max(1), steps);
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    assert!(policy.in_flight().iter().all(|n| *n == 0), "requests are left over");
    let (requests, found) = (expansions * BREADTH, policy.concurrency());
    println!(
        "{endpoints:9}  {requests:8}  {seconds:7.1}  {:10.0}  {:14.1}  {:8}  {:4.1} %  {} to {}",
        requests as f64 / seconds,
        1e6 * cpu / requests as f64,
        peak_bytes() >> 20,
        100.0 * fleet.stop() / seconds,
        found.iter().min().expect("an endpoint"),
        found.iter().max().expect("an endpoint"),
    );
}

/// Grows `trees` trees at once, each a chain of expansions. Returns the number of expansions.
fn grow(policy: &HttpPolicy, trees: usize, steps: usize) -> u64 {
    let (reply, answers) = crossbeam::channel::unbounded();
    let mut prefixes: Vec<Vec<TokenId>> =
        (0..trees).map(|tree| policy.encode(&format!("Problem {tree}:\n")).expect("ids")).collect();
    let submit = |tree: usize, prefix: &[TokenId]| {
        let key =
            |i: u64| stream_key(i, &[&(tree as u64).to_le_bytes(), &prefix.len().to_le_bytes()]);
        let propose = Propose {
            prefix: prefix.into(),
            keys: (0..BREADTH).map(key).collect(),
            sampling: Sampling::default(),
            greedy_first: false,
            boundary: Boundary::Newline,
            stop_at: StopAt::default(),
            max_tokens: 48,
        };
        policy.submit(Call::new(tree as u64, Request::Propose(propose), reply.clone()));
    };
    let mut left = vec![steps; trees];
    (0..trees).for_each(|tree| submit(tree, &prefixes[tree]));
    for _ in 0..trees * steps {
        let answered = answers.recv().expect("an answer");
        let tree = answered.request_id as usize;
        let Ok(Response::Candidates(found)) = answered.result else { panic!("{answered:?}") };
        assert_eq!(found.candidates.len() as u64, BREADTH);
        prefixes[tree].extend(&found.candidates[0].step.ids);
        left[tree] -= 1;
        if left[tree] > 0 {
            submit(tree, &prefixes[tree]);
        }
    }
    (trees * steps) as u64
}

/// The endpoints, in a separate process.
struct Fleet {
    child: Child,
    addresses: Vec<String>,
}

impl Fleet {
    fn start(endpoints: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["serve", &endpoints.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the endpoints");
        let lines = std::io::BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
        let addresses = lines.take(endpoints).map(|line| line.expect("an address")).collect();
        Self { child, addresses }
    }

    /// Ends the endpoints. Returns the seconds for which their slots were in use, divided by the number of slots.
    fn stop(&mut self) -> f64 {
        drop(self.child.stdin.take());
        let mut said = String::new();
        let mut out = std::io::BufReader::new(self.child.stdout.as_mut().expect("a pipe"));
        out.read_line(&mut said).expect("the places in use");
        self.child.wait().expect("the end of the endpoints");
        said.trim().parse().expect("a number")
    }
}

/// Serves until stdin is closed: all endpoints on one thread, each an event loop like vLLM's API server.
fn serve(endpoints: usize) {
    let micros = Arc::new(AtomicU64::new(0));
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        std::io::stdin().lines().for_each(drop);
        ended.send(()).expect("the endpoints run");
    });
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let answer: Arc<str> = completion().into();
        for _ in 0..endpoints {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            println!("http://{}/v1#tiny", listener.local_addr().expect("an address"));
            tokio::spawn(endpoint(listener, answer.clone(), micros.clone()));
        }
        end.await.expect("stdin is read to its end");
    });
    println!("{}", micros.load(Ordering::Relaxed) as f64 / 1e6 / (endpoints * PLACES) as f64);
}

/// The reply to a completion, in vLLM's form.
fn completion() -> String {
    let bundled = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/bundled"));
    let ids =
        regrowth_policy::candle::Tokenizer::from_files(bundled.as_path(), &Default::default())
            .and_then(|tokenizer| tokenizer.encode(STEP))
            .expect("ids");
    let logps = vec!["-0.25"; ids.len()].join(",");
    format!(
        "{{\"choices\": [{{\"text\": \"\", \"token_ids\": {ids:?}, \"finish_reason\": \"stop\", \
         \"stop_reason\": \"\\n\", \"logprobs\": {{\"token_logprobs\": [{logps}]}}}}]}}"
    )
}

/// Accepts the connections of one endpoint.
async fn endpoint(listener: TcpListener, answer: Arc<str>, micros: Arc<AtomicU64>) {
    let slots = Arc::new(Slots { free: Semaphore::new(PLACES), micros });
    while let Ok((stream, _)) = listener.accept().await {
        let (answer, slots) = (answer.clone(), slots.clone());
        tokio::spawn(async move {
            // An error is a connection that the client has closed.
            let _ = connection(stream, &answer, &slots).await;
        });
    }
}

/// The slots of an endpoint.
struct Slots {
    free: Semaphore,
    /// Time for which slots were in use, summed over all endpoints.
    micros: Arc<AtomicU64>,
}

impl Slots {
    /// Processes a request once there is a free slot.
    async fn work(&self, time: Duration) {
        let _slot = self.free.acquire().await.expect("never closed");
        let begun = Instant::now();
        tokio::time::sleep(time).await;
        self.micros.fetch_add(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
    }
}

/// Answers the requests of one connection until it is closed.
async fn connection(stream: TcpStream, answer: &str, slots: &Slots) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut asked = 0;
    while let Some((path, body)) = request(&mut stream).await? {
        let text = match path.as_str() {
            "/v1/completions" => {
                slots.work(latency(&body, asked)).await;
                asked += 1;
                answer
            }
            "/v1/models" => {
                r#"{"data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 100000}]}"#
            }
            _ => r#"{"tokens": []}"#,
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
        stream.write_all((head + text).as_bytes()).await?;
    }
    Ok(())
}

/// Reads path and body of a request; `None` once the connection is closed.
async fn request(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
    while stream.read_line(&mut line).await? > 0 {
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        if line.trim().is_empty() {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            return Ok(Some((path, body)));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    Ok(None)
}

/// Duration of an answer, with jitter and rare stragglers.
fn latency(body: &[u8], asked: u64) -> Duration {
    let drawn = stream_key(asked, &[body]);
    let straggles = if drawn.is_multiple_of(50) { 4 } else { 1 };
    straggles * Duration::from_millis(400 + drawn / 50 % 400)
}
