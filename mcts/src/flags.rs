//! Flags of both binaries that say how servers are spoken to.
//!
//! It knows nothing of servers; none of these flags changes what a server answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use regrowth_policy::{Dialect, ServerOptions};

/// How servers are spoken to.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerFlags {
    /// Folder with the tokenizer.json of a served model [default: the server tokenises]
    #[arg(long, value_name = "DIR")]
    tokenizer: Option<PathBuf>,
    /// What the server speaks [default: it is asked]
    #[arg(long, value_name = "vllm|sglang|llama.cpp|llama-cpp-python")]
    server_dialect: Option<Dialect>,
    /// Requests in flight at each server [default: 64]
    #[arg(long, value_name = "N")]
    server_in_flight: Option<usize>,
    /// Longest time of one request [default: 600]
    #[arg(long, value_name = "SECONDS")]
    server_timeout: Option<u64>,
    /// Times that a request is tried before the run ends [default: 8]
    #[arg(long, value_name = "N")]
    server_attempts: Option<u32>,
    /// Tokens of prompt and solution, where the server does not tell [default: 4096]
    #[arg(long, value_name = "TOKENS")]
    server_context: Option<usize>,
}

impl ServerFlags {
    /// The folder with the tokenizer of a served model.
    #[must_use]
    pub fn tokenizer(&self) -> Option<&Path> {
        self.tokenizer.as_deref()
    }

    /// The options, with defaults where there is no flag.
    #[must_use]
    pub fn options(&self) -> ServerOptions {
        let base = ServerOptions::default();
        ServerOptions {
            tokenizer: self.tokenizer.clone(),
            dialect: self.server_dialect,
            in_flight: self.server_in_flight.unwrap_or(base.in_flight).max(1),
            timeout: self.server_timeout.map_or(base.timeout, |s| Duration::from_secs(s.max(1))),
            attempts: self.server_attempts.unwrap_or(base.attempts).max(1),
            context: self.server_context,
        }
    }
}
