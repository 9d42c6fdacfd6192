//! Options for running a verifier command.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Options for running a verifier command.
#[derive(Clone)]
pub struct CommandOptions {
    /// Command line, run by `sh`.
    pub command: String,
    /// Time limit for one answer, while requests are open.
    pub timeout: Duration,
    /// File that stores findings by content; `None` keeps them in memory only.
    pub verdicts: Option<PathBuf>,
    /// Called with each line that the process writes to stderr (bounded), and with each failure. The text
    /// may contain any character.
    pub log: VerifierLog,
}

/// Receives lines for people to read.
pub type VerifierLog = Arc<dyn Fn(&str) + Send + Sync>;
