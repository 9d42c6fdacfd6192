//! External trainers: runs the trainer command, which receives its inputs in environment variables.
//!
//! The command runs through the shell with `REGROWTH_PAIRS` (preference pairs to train on, JSON lines),
//! `REGROWTH_POLICY` (checkpoint folder that the round starts from), `REGROWTH_REFERENCE` (checkpoint folder
//! of the reference policy: the same, or the base policy's), `REGROWTH_OUT` (output folder),
//! `REGROWTH_ROUND`, `REGROWTH_SEED` and `REGROWTH_RUN` (folder of the run). It must write a checkpoint in
//! Hugging Face layout, or a PEFT adapter of `REGROWTH_POLICY`, to `REGROWTH_OUT` and exit with status 0.
//! Tokenizer files that it does not write are copied from `REGROWTH_POLICY`.

use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use candle_core::DType;
use regrowth_policy::candle::{Adapter, Checkpoint, SaveOptions, Source, save_checkpoint};

use super::left_behind::{GroupRecord, RUN, TRAINER};
use super::observer::Control;
use super::process::{GRACE, POLL, ProcessGroup};
use crate::TrainError;

/// Inputs of an external trainer.
pub(super) struct TrainerCall<'a> {
    /// Folder of the run.
    pub(super) run: &'a Path,
    /// Folder of the round. The command's working directory stays that of this process.
    pub(super) dir: &'a Path,
    pub(super) round: u32,
    /// Checkpoint folder, or the name of a policy without weights.
    pub(super) policy: &'a str,
    /// Checkpoint folder or name of the reference policy.
    pub(super) reference: &'a str,
    pub(super) pairs: &'a Path,
    pub(super) out: &'a Path,
    pub(super) seed: u64,
    /// If the model is served: the weights that the round starts from. An adapter that the command writes is
    /// then kept as an adapter of the served model. `None` if not served: the adapter is merged.
    pub(super) served: Option<&'a Source>,
}

/// Runs the command and, if its output is a complete checkpoint, moves the output to `hand.out`.
pub(super) fn run_trainer(
    command: &str,
    hand: &TrainerCall,
    control: &Control,
) -> Result<(), TrainError> {
    // The name contains this process's id: if a trainer of a killed run could not be ended, it writes into
    // another folder.
    let staged = hand.dir.join(format!("checkpoint.{}.tmp", std::process::id()));
    for folder in [&staged, hand.out] {
        if folder.exists() {
            std::fs::remove_dir_all(folder).map_err(TrainError::io(folder))?;
        }
    }
    std::fs::create_dir_all(&staged).map_err(TrainError::io(&staged))?;
    let mut trainer = start(command, hand, &staged)?;
    let record = GroupRecord::write(hand.run, TRAINER, &trainer);
    let record = record.inspect_err(|_| drop(trainer.kill()))?;
    let status = wait(&mut trainer, control).map_err(|e| failed(command, &e.to_string()))?;
    drop(record);
    control.check()?;
    if !status.success() {
        return Err(failed(command, &format!("ended with {status}")));
    }
    let policy = Path::new(hand.policy);
    if policy.is_dir() {
        fill_in(&staged, policy)?;
    }
    let left = Source::folder(&staged)
        .and_then(Checkpoint::read)
        .map_err(|e| failed(command, &format!("left no usable checkpoint: {e}")))?;
    if left.source.is_adapter() {
        match hand.served {
            Some(start) => keep_adapter(&left.source, start, hand.out)?,
            // Merge the adapter, so that the round's checkpoint needs no other folder.
            None => save(&left, hand.out)?,
        }
        return std::fs::remove_dir_all(&staged).map_err(TrainError::io(&staged));
    }
    for entry in std::fs::read_dir(&staged).map_err(TrainError::io(&staged))? {
        let file = entry.map_err(TrainError::io(&staged))?.path();
        std::fs::File::open(&file).and_then(|f| f.sync_all()).map_err(TrainError::io(&file))?;
    }
    std::fs::rename(&staged, hand.out).map_err(TrainError::io(hand.out))?;
    std::fs::File::open(hand.dir).and_then(|d| d.sync_all()).map_err(TrainError::io(hand.dir))
}

/// Copies files from the start policy that the trainer left out because it did not change them, such as the
/// tokenizer and the chat template.
fn fill_in(staged: &Path, policy: &Path) -> Result<(), TrainError> {
    for entry in std::fs::read_dir(policy).map_err(TrainError::io(policy))? {
        let file = entry.map_err(TrainError::io(policy))?.path();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_text = [".json", ".jinja", ".txt", ".model"].iter().any(|end| name.ends_with(end));
        let is_shape = name == "config.json" || name.ends_with(".index.json");
        let target = staged.join(&name);
        if is_text && !is_shape && !target.exists() {
            std::fs::copy(&file, &target).map_err(TrainError::io(&target))?;
        }
    }
    Ok(())
}

fn save(checkpoint: &Checkpoint, to: &Path) -> Result<(), TrainError> {
    let Checkpoint { source, config, tensors, .. } = checkpoint;
    Ok(save_checkpoint(to, config, tensors, source, SaveOptions::default())?)
}

/// Saves an adapter of the round's start policy as an adapter of the served model. If the start policy is
/// itself an adapter, the two are combined into one.
fn keep_adapter(left: &Source, start: &Source, out: &Path) -> Result<(), TrainError> {
    let mut adapter = Adapter::read(left)?;
    let base = match start {
        Source::Adapter { base, .. } => {
            adapter = Adapter::read(start)?.plus(&adapter)?;
            base
        }
        base => base,
    };
    adapter.config.base_model_name_or_path = Some(base.name());
    Ok(adapter.save(out, base, DType::F32)?)
}

fn start(command: &str, hand: &TrainerCall, staged: &Path) -> Result<ProcessGroup, TrainError> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(TrainError::io(path));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .env("REGROWTH_PAIRS", absolute(hand.pairs)?)
        .env("REGROWTH_POLICY", hand.policy)
        .env("REGROWTH_REFERENCE", hand.reference)
        .env("REGROWTH_OUT", absolute(staged)?)
        .env("REGROWTH_ROUND", hand.round.to_string())
        .env("REGROWTH_SEED", hand.seed.to_string())
        .env(RUN, absolute(hand.run)?)
        .stdin(Stdio::null())
        // stdout is reserved for this program's result, so the trainer's output goes to stderr.
        .stdout(std::io::stderr());
    ProcessGroup::start(&mut shell).map_err(|e| failed(command, &format!("cannot be started: {e}")))
}

/// Waits until the trainer ends. If the run is cancelled, sends SIGTERM, and SIGKILL after [`GRACE`].
fn wait(trainer: &mut ProcessGroup, control: &Control) -> std::io::Result<ExitStatus> {
    let mut asked: Option<Instant> = None;
    loop {
        if let Some(status) = trainer.ended()? {
            return Ok(status);
        }
        if control.is_cancelled() && asked.is_none() {
            trainer.ask_to_end()?;
            asked = Some(Instant::now());
        }
        if asked.is_some_and(|at| at.elapsed() > GRACE) {
            return trainer.kill();
        }
        std::thread::sleep(POLL);
    }
}

fn failed(command: &str, detail: &str) -> TrainError {
    TrainError::Setting { name: "trainer_command", detail: format!("`{command}` {detail}") }
}

/// Returns the absolute path of a checkpoint folder with the weights of `source`. If `source` is bundled, a
/// GGUF file or an adapter, its weights are saved to `written` first.
pub(super) fn as_folder(source: &Source, written: &Path) -> Result<String, TrainError> {
    let folder = match source {
        Source::Folder(folder) => folder,
        Source::Embedded | Source::Gguf(_) | Source::Adapter { .. } => {
            save(&Checkpoint::read(source.clone())?, written)?;
            written
        }
    };
    let folder = std::path::absolute(folder).map_err(TrainError::io(folder))?;
    Ok(folder.to_string_lossy().into_owned())
}
