//! Answers requests: pages, their data, and files of the runs with known names.
//!
//! Sites of other names that resolve to this machine (DNS rebinding) are refused by the `Host` header. Paths
//! are compared with known names and never joined, so no path leads out of a run's folder.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use regrowth_mcts::viewer::CONTENT_POLICY;

use super::trees;
use crate::report::{self, LIVE_SCRIPTS, LIVE_STYLE};

/// Content security policy of the live page: it may load only its own style, script and data.
const LIVE_POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; \
     img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Maximum size of a file that is sent, in bytes (our choice: what a browser can show); users open larger
/// files directly.
const MOST_BYTES: u64 = 64 << 20;

/// The parts of a request that matter here.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) host: String,
    pub(super) path: String,
}

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Media type.
    pub(super) kind: &'static str,
    /// Content security policy.
    pub(super) policy: &'static str,
    pub(super) body: Vec<u8>,
}

impl Answer {
    fn new(kind: &'static str, policy: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, kind, policy, body: body.into() }
    }

    pub(super) fn error(status: u16, why: impl Display) -> Self {
        let body = format!("{why}\n").into_bytes();
        Self { status, kind: "text/plain; charset=utf-8", policy: LIVE_POLICY, body }
    }
}

/// The runs to show.
#[derive(Debug)]
pub(crate) struct Site {
    runs: Vec<PathBuf>,
}

impl Site {
    /// Creates the site of these folders of runs.
    pub(crate) fn new(runs: Vec<PathBuf>) -> Self {
        Self { runs }
    }

    pub(super) fn answer(&self, asked: &Asked) -> Answer {
        if !is_this_machine(&asked.host) {
            return Answer::error(403, "this page is served to localhost and 127.0.0.1 alone");
        }
        if !["GET", "HEAD"].contains(&asked.method.as_str()) {
            return Answer::error(405, "only GET and HEAD: nothing can be changed here");
        }
        match asked.path.as_str() {
            "/" => made(report::live_page(&self.runs), "text/html; charset=utf-8"),
            "/live" => made(report::live_update(&self.runs), "application/json"),
            "/assets/live.css" => Answer::new("text/css", LIVE_POLICY, LIVE_STYLE.join("\n")),
            "/assets/live.js" => {
                Answer::new("text/javascript", LIVE_POLICY, LIVE_SCRIPTS.join("\n"))
            }
            path => self.of_run(path).unwrap_or_else(|| Answer::error(404, "no such page")),
        }
    }

    /// Answers `/run/INDEX/...`.
    fn of_run(&self, path: &str) -> Option<Answer> {
        let (index, name) = path.strip_prefix("/run/")?.split_once('/')?;
        let run = self.runs.get(index.parse::<usize>().ok()?)?;
        if let Some(round) = name.strip_prefix("trees/") {
            return Some(match trees::page(run, round.parse().ok()?)? {
                Ok(page) => Answer::new("text/html; charset=utf-8", CONTENT_POLICY, page),
                Err(why) => Answer::error(500, why),
            });
        }
        let kind = match name {
            "report.html" => "text/html; charset=utf-8",
            name if !report::is_linked(name) => return None,
            name if name.ends_with(".json") => "application/json",
            _ => "text/plain; charset=utf-8",
        };
        file(run, name, kind)
    }
}

fn made(page: Result<String, minijinja::Error>, kind: &'static str) -> Answer {
    match page {
        Ok(page) => Answer::new(kind, LIVE_POLICY, page),
        Err(error) => Answer::error(500, format!("the page cannot be made: {error:#}")),
    }
}

/// Returns a file of a run; `None` if it does not exist or a link leads out of the run's folder.
fn file(run: &Path, name: &str, kind: &'static str) -> Option<Answer> {
    let path = run.join(name).canonicalize().ok()?;
    if !path.starts_with(run.canonicalize().ok()?) || !path.is_file() {
        return None;
    }
    if path.metadata().ok()?.len() > MOST_BYTES {
        return Some(Answer::error(413, format!("too large to be sent: read {}", path.display())));
    }
    Some(Answer::new(kind, CONTENT_POLICY, std::fs::read(&path).ok()?))
}

/// Whether a `Host` header names this machine, with any port.
fn is_this_machine(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => host,
    };
    ["127.0.0.1", "[::1]"].contains(&name) || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine_have_its_names_alone() {
        for host in ["127.0.0.1", "127.0.0.1:8089", "localhost:1", "LOCALHOST", "[::1]:80"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example:8089", "127.0.0.1.nip.io", "127.0.0.1:x"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn no_path_leads_out_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        std::fs::create_dir_all(run.join("round-0001")).unwrap();
        std::fs::write(folder.path().join("secret.json"), "secret").unwrap();
        std::fs::write(run.join("run.json"), "{}").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("../secret.json", run.join("test.jsonl")).unwrap();
        let site = Site::new(vec![run]);
        let status = |path: &str| {
            let (method, host) = ("GET".to_owned(), "localhost".to_owned());
            site.answer(&Asked { method, host, path: path.to_owned() }).status
        };
        assert_eq!(status("/run/0/run.json"), 200);
        for path in [
            "/run/0/../secret.json",
            "/run/0/%2e%2e/secret.json",
            "/run/0//etc/passwd",
            "/run/0/round-0001/../run.json",
            "/run/0/round-0001",
            "/run/0/test.jsonl",
            "/run/1/run.json",
            "/run/-1/run.json",
            "/run/0/.lock",
            "/run/0/trees/../1",
            "/run/0/trees/1",
            "run/0/run.json",
        ] {
            assert_eq!(status(path), 404, "{path}");
        }
    }
}
