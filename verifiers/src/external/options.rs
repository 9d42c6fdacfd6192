//! How a verifier command is run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a verifier command is run.
#[derive(Clone)]
pub struct CommandOptions {
    /// Command line, run by `sh`.
    pub command: String,
    /// Longest time that the process may take for one answer while it has something to answer.
    pub timeout: Duration,
    /// File that keeps findings by content; `None` keeps them in memory alone.
    pub verdicts: Option<PathBuf>,
    /// Called with each line that the process writes to stderr (bounded), and with each failure. The text
    /// may hold any character.
    pub log: VerifierLog,
}

/// Where lines for people go.
pub type VerifierLog = Arc<dyn Fn(&str) + Send + Sync>;
