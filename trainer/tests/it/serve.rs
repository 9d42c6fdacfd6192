//! `regrowth serve` from a browser's side: requests over a socket, for finished, running and corrupted runs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use regrowth_datasets::FolderLock;
use serde_json::{Value, json};

use crate::common::{command, ok, regrowth, stderr, workshop};

/// A server of some runs.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(dir: &Path, runs: &[&str]) -> Self {
        let mut command = command(dir, &["serve", "--port", "0"]);
        let mut process = command.args(runs).stdout(Stdio::piped()).spawn().expect("starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).expect("a line");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("{line}")).to_owned();
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        Self { process, address }
    }

    /// Returns head and body of the response to this request.
    fn ask(&self, method: &str, path: &str, host: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).expect("connects");
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("asks");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answers");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
        (head.to_owned(), body.to_owned())
    }

    /// Returns the body of an existing page.
    #[track_caller]
    fn get(&self, path: &str) -> String {
        let (head, body) = self.ask("GET", path, &self.address);
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}\n{body}");
        body
    }

    fn live(&self) -> Value {
        serde_json::from_str(&self.get("/live")).expect("JSON")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder with a finished run of two rounds.
fn finished() -> tempfile::TempDir {
    let dir = workshop();
    ok(regrowth(dir.path(), &["iterate", "--config", "tiny.toml", "--run", "run"]));
    dir
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs()
}

fn chart<'a>(run: &'a Value, id: &str) -> Option<&'a Value> {
    run["charts"].as_array().expect("charts").iter().find(|chart| chart["id"] == id)
}

/// Returns a path as escaped by the templates in an attribute.
fn escaped(path: &str) -> String {
    path.replace('/', "&#x2f;")
}

/// Turns the finished run into one that is training in round 2.
fn set_back(run: &Path) {
    let second = run.join("round-0002");
    for path in [run.join("report.json"), run.join("report.html"), second.join("report.json")] {
        std::fs::remove_file(path).expect("is there");
    }
    let progress = json!({ "pid": 1, "command": "regrowth", "started": now() - 90, "updated": now(),
        "phase": "round 2 <b>train</b>", "unit": "steps", "done": 1234, "total": 4321,
        "message": "loss 0.5", "model_calls": 77, "tokens_per_second": 1234.6 });
    std::fs::write(run.join("progress.json"), progress.to_string()).expect("written");
}

#[test]
fn a_finished_run_is_shown_with_its_report_and_trees() {
    let dir = finished();
    let server = Server::start(dir.path(), &["run", "run"]);
    let page = server.get("/");
    assert!(page.contains("2 runs") && page.matches("class=\"run\"").count() == 2, "{page}");
    assert!(page.contains("finished") && page.contains("Rounds side by side"), "{page}");
    let live = server.live();
    assert_eq!(live.as_array().map(Vec::len), Some(2));
    // Base policy and two rounds.
    let accuracy = chart(&live[0], "accuracy").expect("a chart");
    assert_eq!(accuracy["series"][0]["points"].as_array().map(Vec::len), Some(3));
    let links = [("/run/0/report.html", "charts-data"), ("/run/1/trees/1", "class=\"viewer\"")];
    for (run, (link, holds)) in links.into_iter().enumerate() {
        assert!(live[run]["parts"]["rounds"].as_str().expect("markup").contains(&escaped(link)));
        assert!(server.get(link).contains(holds), "{link}");
    }
    // Links of the report point to files.
    let trees = std::fs::read_to_string(dir.path().join("run/round-0001/trees.jsonl")).unwrap();
    assert_eq!(server.get("/run/0/round-0001/trees.jsonl"), trees);
    assert!(server.get("/assets/live.js").contains("DOMParser"));
    assert!(server.get("/assets/live.css").contains(".facts"));
}

#[test]
fn only_reads_from_this_machine_are_answered() {
    let dir = finished();
    let server = Server::start(dir.path(), &["run"]);
    let here = server.address.clone();
    let status = |method: &str, path: &str, host: &str| {
        server.ask(method, path, host).0.split(' ').nth(1).expect("a status").to_owned()
    };
    assert_eq!(status("GET", "/", "localhost:9999"), "200");
    assert_eq!(status("GET", "/", "evil.example"), "403");
    assert_eq!(status("GET", "/live", "evil.example:8089"), "403");
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(status(method, "/", &here), "405", "{method}");
    }
    for path in
        ["/../tiny.toml", "/run/0/../tiny.toml", "/run/0/%2e%2e/tiny.toml", "/run/7/run.json"]
    {
        assert_eq!(status("GET", path, &here), "404", "{path}");
    }
    let (head, body) = server.ask("HEAD", "/", &here);
    assert!(head.starts_with("HTTP/1.1 200") && body.is_empty(), "{head}\n{body}");
    for header in [
        "content-security-policy: default-src 'none'",
        "frame-ancestors 'none'",
        "x-content-type-options: nosniff",
        "cross-origin-resource-policy: same-origin",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "{header}\n{head}");
    }
    assert!(!head.contains("access-control"), "{head}");
}

#[test]
fn a_run_under_way_is_shown_and_not_disturbed() {
    let dir = finished();
    let run = dir.path().join("run");
    set_back(&run);
    // The lock is held as by a running process.
    let lock = FolderLock::hold(&run).expect("a folder").expect("free");
    let second = run.join("round-0002");
    // A search has written some rows and a partial one; training has written one row and a partial one.
    let trees = std::fs::read_to_string(second.join("trees.jsonl")).expect("trees");
    let half = &trees[..trees.len() - 40];
    std::fs::write(second.join("trees.jsonl.part"), half).expect("written");
    std::fs::remove_file(second.join("trees.jsonl")).expect("is there");
    let metrics = std::fs::read_to_string(second.join("metrics.jsonl")).expect("metrics");
    let row = metrics.lines().next().expect("a row");
    std::fs::write(second.join("metrics.jsonl"), format!("{row}\n{}", &row[..9])).expect("written");
    let server = Server::start(dir.path(), &["run"]);
    let live = server.live();
    let facts = live[0]["parts"]["facts"].as_str().expect("markup");
    for told in
        ["running", "1 of 2", "1,234 of 4,321 steps", "loss 0.5", "77", "1,234", "train&lt;"]
    {
        assert!(facts.contains(told), "{told}: {facts}");
    }
    assert!(!facts.contains("<b>"), "{facts}");
    // Accuracy of rounds 0 and 1, and the loss of round 2 so far.
    let accuracy = chart(&live[0], "accuracy").expect("a chart");
    assert_eq!(accuracy["series"][0]["points"].as_array().map(Vec::len), Some(2));
    let loss = chart(&live[0], "loss").expect("a chart");
    let names: Vec<_> = loss["series"].as_array().unwrap().iter().map(|s| &s["name"]).collect();
    assert_eq!(names, ["round 1", "round 2"]);
    assert_eq!(loss["series"][1]["points"].as_array().map(Vec::len), Some(1));
    let rounds = live[0]["parts"]["rounds"].to_string();
    assert!(rounds.contains("trees of round 2 so far") && !rounds.contains("report.html"));
    let whole = trees.lines().count() - 1;
    let page = server.get("/run/0/trees/2");
    assert_eq!(page.matches("\"propose_calls\"").count(), whole, "the half row is left out");
    // An old `progress.json` means that the process has ended, whether or not the lock is held.
    let old = std::fs::read_to_string(run.join("progress.json")).expect("progress");
    let mut old: Value = serde_json::from_str(&old).expect("JSON");
    old["updated"] = json!(now() - 600);
    std::fs::write(run.join("progress.json"), old.to_string()).expect("written");
    assert!(server.live()[0]["parts"]["facts"].to_string().contains("stopped"));
    drop(lock);
    // The run can continue while it is viewed.
    std::fs::write(second.join("trees.jsonl"), &trees).expect("written");
    std::fs::write(second.join("metrics.jsonl"), &metrics).expect("written");
    std::fs::remove_file(second.join("trees.jsonl.part")).expect("removed");
    ok(regrowth(dir.path(), &["iterate", "--config", "tiny.toml", "--run", "run"]));
    assert!(server.live()[0]["parts"]["facts"].to_string().contains("finished"));
}

#[test]
fn damage_costs_its_own_part_alone() {
    let dir = finished();
    let run = dir.path().join("run");
    set_back(&run);
    std::fs::write(run.join("progress.json"), "{\"pid\": 1, ").expect("written");
    let server = Server::start(dir.path(), &["run"]);
    let facts = server.live()[0]["parts"]["facts"].to_string();
    assert!(facts.contains("stopped") && facts.contains("1 of 2"), "{facts}");
    // A corrupted report is reported on the page, which still loads.
    let path = run.join("round-0001/report.json");
    let report = std::fs::read_to_string(&path).expect("a report");
    std::fs::write(&path, &report[..report.len() / 2]).expect("written");
    let facts = server.live()[0]["parts"]["facts"].to_string();
    assert!(facts.contains("role=\\\"alert\\\"") && facts.contains("report.json"), "{facts}");
    std::fs::remove_dir_all(&run).expect("removed");
    assert!(server.get("/").contains("role=\"alert\""));
}

#[test]
fn a_folder_without_a_run_and_a_taken_port_are_refused() {
    let dir = workshop();
    std::fs::create_dir(dir.path().join("empty")).expect("a folder");
    for folder in ["empty", "nowhere"] {
        let output = regrowth(dir.path(), &["serve", folder]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains(folder) && said.contains("expected the folder of a run"), "{said}");
    }
    ok(regrowth(
        dir.path(),
        &["iterate", "--config", "tiny.toml", "--run", "run", "--rounds", "1"],
    ));
    let server = Server::start(dir.path(), &["run"]);
    let port = server.address.rsplit(':').next().expect("a port");
    let output = regrowth(dir.path(), &["serve", "run", "--port", port]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("leave --port out"), "{}", stderr(&output));
}

#[test]
fn a_signal_ends_it() {
    let dir = finished();
    let mut server = Server::start(dir.path(), &["run"]);
    let pid = server.process.id().to_string();
    let sent = std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("sent");
    assert!(sent.success());
    assert_eq!(server.process.wait().expect("ends").code(), Some(0));
}
