//! Hand-off to an external trainer: one command, told where everything is by variables.
//!
//! The command runs through the shell with `REGROWTH_PAIRS` (preference pairs, JSON lines),
//! `REGROWTH_POLICY` (checkpoint folder that the round starts from, or `builtin`),
//! `REGROWTH_OUT` (folder to write), `REGROWTH_ROUND` and `REGROWTH_SEED`. It must leave a
//! checkpoint in Hugging Face layout in `REGROWTH_OUT` and end with 0.

use std::path::Path;
use std::process::{Command, Stdio};

use regrowth_policy::candle::{Checkpoint, Source};

use crate::TrainError;

/// What an external trainer is told.
pub(super) struct Hand<'a> {
    /// Folder of the round; the command's working directory stays the caller's.
    pub(super) dir: &'a Path,
    pub(super) round: u32,
    pub(super) policy: &'a str,
    pub(super) pairs: &'a Path,
    pub(super) out: &'a Path,
    pub(super) seed: u64,
}

/// Runs the command and moves what it leaves into place once it is a whole checkpoint.
pub(super) fn hand_off(command: &str, hand: &Hand) -> Result<(), TrainError> {
    let failed = |detail: String| TrainError::Setting { name: "trainer_command", detail };
    let staged = hand.dir.join("checkpoint.tmp");
    for folder in [&staged, hand.out] {
        if folder.exists() {
            std::fs::remove_dir_all(folder).map_err(TrainError::io(folder))?;
        }
    }
    std::fs::create_dir_all(&staged).map_err(TrainError::io(&staged))?;
    let absolute = |path: &Path| std::path::absolute(path).map_err(TrainError::io(path));
    // stdout belongs to this program's result; a trainer's chatter goes to stderr.
    let status = Command::new("sh")
        .args(["-c", command])
        .env("REGROWTH_PAIRS", absolute(hand.pairs)?)
        .env("REGROWTH_POLICY", hand.policy)
        .env("REGROWTH_OUT", absolute(&staged)?)
        .env("REGROWTH_ROUND", hand.round.to_string())
        .env("REGROWTH_SEED", hand.seed.to_string())
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .map_err(|e| failed(format!("`{command}` cannot be started: {e}")))?;
    if !status.success() {
        return Err(failed(format!("`{command}` ended with {status}")));
    }
    Checkpoint::read(Source::folder(&staged)?, &candle_core::Device::Cpu)
        .map_err(|e| failed(format!("`{command}` left no usable checkpoint: {e}")))?;
    std::fs::rename(&staged, hand.out).map_err(TrainError::io(hand.out))?;
    std::fs::File::open(hand.dir).and_then(|d| d.sync_all()).map_err(TrainError::io(hand.dir))
}
