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

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use regrowth_benches::{cpu_seconds, peak_bytes};
use regrowth_datasets::{TokenId, stream_key};
use regrowth_policy::http::HttpPolicy;
use regrowth_policy::{
    Boundary, Call, Policy, PromptOptions, Propose, Request, Response, Sampling, ServerOptions,
    StopAt,
};

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
        let lines = BufReader::new(child.stdout.as_mut().expect("a pipe")).lines();
        let addresses = lines.take(endpoints).map(|line| line.expect("an address")).collect();
        Self { child, addresses }
    }

    /// Ends the endpoints. Returns the seconds for which their slots were in use, divided by the number of slots.
    fn stop(&mut self) -> f64 {
        drop(self.child.stdin.take());
        let mut said = String::new();
        let mut out = BufReader::new(self.child.stdout.as_mut().expect("a pipe"));
        out.read_line(&mut said).expect("the places in use");
        self.child.wait().expect("the end of the endpoints");
        said.trim().parse().expect("a number")
    }
}

/// Serves until stdin is closed.
fn serve(endpoints: usize) {
    let bundled = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/bundled"));
    let ids =
        regrowth_policy::candle::Tokenizer::from_files(bundled.as_path(), &Default::default())
            .and_then(|tokenizer| tokenizer.encode(STEP))
            .expect("ids");
    let logps = vec!["-0.25"; ids.len()].join(",");
    let answer = format!(
        "{{\"choices\": [{{\"text\": \"\", \"token_ids\": {ids:?}, \"finish_reason\": \"stop\", \
         \"stop_reason\": \"\\n\", \"logprobs\": {{\"token_logprobs\": [{logps}]}}}}]}}"
    );
    let (answer, micros) = (Arc::new(answer), Arc::new(AtomicU64::new(0)));
    for _ in 0..endpoints {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        println!("http://{}/v1#tiny", listener.local_addr().expect("an address"));
        let (answer, places) = (answer.clone(), Arc::new(Places::new(micros.clone())));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, places) = (answer.clone(), places.clone());
                let one = move || connection(&stream, &answer, &places);
                std::thread::Builder::new().stack_size(64 << 10).spawn(one).expect("a thread");
            }
        });
    }
    std::io::stdin().lines().for_each(drop);
    println!("{}", micros.load(Ordering::Relaxed) as f64 / 1e6 / (endpoints * PLACES) as f64);
}

/// The slots of an endpoint.
struct Places {
    free: Mutex<usize>,
    freed: Condvar,
    /// Time for which slots were in use, summed over all endpoints.
    micros: Arc<AtomicU64>,
}

impl Places {
    fn new(micros: Arc<AtomicU64>) -> Self {
        Self { free: Mutex::new(PLACES), freed: Condvar::new(), micros }
    }

    /// Processes a request once there is a free slot.
    fn work(&self, time: Duration) {
        let free = self.free.lock().expect("no panic");
        *self.freed.wait_while(free, |free| *free == 0).expect("no panic") -= 1;
        let begun = Instant::now();
        std::thread::sleep(time);
        self.micros.fetch_add(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
        *self.free.lock().expect("no panic") += 1;
        self.freed.notify_one();
    }
}

fn connection(stream: &TcpStream, answer: &str, places: &Places) {
    let mut reader = BufReader::new(stream);
    let (mut line, mut body, mut asked) = (String::new(), Vec::new(), 0u64);
    loop {
        let (mut length, mut path) = (0, String::new());
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap_or_default().to_owned();
            }
            let Some((name, value)) = line.trim().split_once(':') else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        body.resize(length, 0);
        if std::io::Read::read_exact(&mut reader, &mut body).is_err() {
            return;
        }
        let text = match path.as_str() {
            "/v1/completions" => {
                places.work(latency(&body, asked));
                asked += 1;
                answer
            }
            "/v1/models" => {
                r#"{"data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 100000}]}"#
            }
            _ => r#"{"tokens": []}"#,
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", text.len());
        if (&*stream).write_all((head + text).as_bytes()).is_err() {
            return;
        }
    }
}

/// Duration of an answer, with jitter and rare stragglers.
fn latency(body: &[u8], asked: u64) -> Duration {
    let drawn = stream_key(asked, &[body]);
    let straggles = if drawn.is_multiple_of(50) { 4 } else { 1 };
    straggles * Duration::from_millis(400 + drawn / 50 % 400)
}
