//! Policies of a run whose model is served: each round's weights are put on the servers, compared with
//! what was trained, and only then searched with.
//!
//! An adapter is loaded under a name of its own while the servers run. All weights, or a server that
//! loads no adapters, need `--serve-command`, which is started anew with each round's checkpoint.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regrowth_datasets::stream_key;
use regrowth_policy::candle::Source;
use regrowth_policy::decorate::Metered;
use regrowth_policy::http::HttpPolicy;
use regrowth_policy::{LoadOptions, Policy, ServedAdapter, ServedWeights, ServerOptions};

use super::config::{Objective, RunConfig};
use super::external;
use super::observer::Control;
use super::serve_command::{ServeCall, ServeCommand, StartedServer};
use super::served_check;
use super::training::{self, TrainDone};
use crate::TrainError;
use crate::artefact::read_checksummed;

/// Times that a request is tried at least where this program starts the server again if it ends: about
/// eight minutes.
const ATTEMPTS: u32 = 64;

/// Folder of weights that are written for a server alone: an adapter merged into its base.
const MERGED: &str = "served";

/// The servers of a run.
pub(super) struct Serving<'a> {
    config: &'a RunConfig,
    /// Folder of the run.
    dir: PathBuf,
    /// Starts a server with given weights.
    command: Option<&'a ServeCommand>,
    control: &'a Control,
    server: RefCell<Option<StartedServer>>,
    /// The policy whose weights that server has.
    spec: RefCell<String>,
    /// Whether the servers load adapters, once they were asked.
    loads_adapters: Cell<Option<bool>>,
}

/// Checks that what a run trains can be served.
///
/// # Errors
/// [`TrainError::Setting`] that says what is missing.
pub(super) fn check(config: &RunConfig, command: Option<&ServeCommand>) -> Result<(), TrainError> {
    let served = config.weights.is_some();
    let fail = |name, detail: &str| Err(TrainError::Setting { name, detail: detail.to_owned() });
    if command.is_some() && !served {
        return fail("serve_command", "serves --weights, which is missing; give both");
    }
    let lora = match config.objective {
        Objective::Preferences => &config.dpo.lora,
        Objective::ChosenSteps | Objective::CorrectSolutions => &config.sft.lora,
    };
    let trains_adapter = lora.is_some() || config.trainer_command.is_some();
    if served && !trains_adapter && command.is_none() {
        return fail(
            "weights",
            "all weights are trained, and a running server cannot load those; train an adapter with \
             --lora RANK, or start the server with --serve-command",
        );
    }
    if let (Some(weights), Some(_)) = (&config.weights, command)
        && Source::named(weights)?.is_adapter()
    {
        return fail(
            "weights",
            "is an adapter, and --serve-command starts a server with whole weights; start the server \
             yourself with the adapter (vLLM: --lora-modules NAME=DIR) and name it behind the # of \
             --policy",
        );
    }
    Ok(())
}

/// How the run's policies are loaded: a served model is tokenised by the folder of its weights, unless
/// another one is named, and is waited for where this program starts it.
pub(super) fn load_options(config: &RunConfig, command: bool, load: LoadOptions) -> LoadOptions {
    let Some(weights) = config.weights.as_deref().map(Path::new) else { return load };
    let own = weights.join("tokenizer.json").is_file().then(|| weights.to_owned());
    let attempts = if command { load.server.attempts.max(ATTEMPTS) } else { load.server.attempts };
    let tokenizer = load.server.tokenizer.clone().or(own);
    let server = ServerOptions { tokenizer, attempts, scores_alone: true, ..load.server };
    LoadOptions { server, ..load }
}

impl<'a> Serving<'a> {
    /// The servers of the run in the folder `dir`; `command` starts one.
    pub(super) fn new(
        config: &'a RunConfig,
        dir: &Path,
        command: Option<&'a ServeCommand>,
        control: &'a Control,
    ) -> Self {
        Self {
            config,
            dir: dir.to_owned(),
            command,
            control,
            server: RefCell::new(None),
            spec: RefCell::default(),
            loads_adapters: Cell::new(None),
        }
    }

    /// The policy of a checkpoint of the run, or the base policy, behind servers that answer with it.
    pub(super) fn policy(
        &self,
        spec: &str,
        load: &LoadOptions,
    ) -> Result<Arc<dyn Policy>, TrainError> {
        let base = &self.config.policy;
        let trained = (spec != base).then_some(Path::new(spec));
        let weights = trained.map(|checkpoint| self.weights(checkpoint)).transpose()?;
        let adapter = weights.as_ref().is_some_and(|weights| weights.adapter.is_some());
        self.serve(if adapter { base } else { spec }, load.log)?;
        let server = ServerOptions { weights, log: load.log, ..load.server.clone() };
        let policy = HttpPolicy::connect(base, &server, &load.prompt)?;
        self.loads_adapters.set(Some(policy.loads_adapters()));
        if let Some(round) = trained.and_then(Path::parent) {
            served_check::check(round, &policy, load.log)?;
        }
        let policy: Arc<dyn Policy> = Arc::new(policy);
        Ok(match &load.meter {
            Some(meter) => Arc::new(Metered::new(policy, meter.clone())),
            None => policy,
        })
    }

    /// What tells the weights of a checkpoint from all others, and the adapter that the servers load,
    /// where it is one and they can.
    fn weights(&self, checkpoint: &Path) -> Result<ServedWeights, TrainError> {
        let revision = revision(checkpoint)?;
        let loads = self.loads_adapters.get().unwrap_or(true);
        if !Source::folder(checkpoint)?.is_adapter() || !loads {
            if self.command.is_none() {
                return Err(needs_command(checkpoint, loads));
            }
            return Ok(ServedWeights { revision, adapter: None });
        }
        let absolute = |path: &Path| std::path::absolute(path).map_err(TrainError::io(path));
        let folder = absolute(checkpoint)?;
        let dir = absolute(&self.dir)?;
        // Of one run: another one on the same servers has its own.
        let family =
            format!("regrowth-{:08x}-", stream_key(0, &[dir.as_os_str().as_encoded_bytes()]) >> 32);
        let name = format!("{family}{revision}");
        Ok(ServedWeights { revision, adapter: Some(ServedAdapter { name, folder, family }) })
    }

    /// Starts the server with these weights, unless it runs with them or is not ours to start.
    fn serve(&self, spec: &str, log: Option<fn(&str)>) -> Result<(), TrainError> {
        let Some(command) = self.command else { return Ok(()) };
        let mut server = self.server.borrow_mut();
        let has = *self.spec.borrow() == spec;
        if has && server.as_ref().is_some_and(|server| server.failure().is_none()) {
            return Ok(());
        }
        // Ends the one that runs: it holds the port and the memory.
        *server = None;
        let Some(source) = self.config.weights_of(spec)? else { return Ok(()) };
        let folder = match &source {
            Source::Gguf(_) => source.name(),
            _ => external::as_folder(&source, &self.dir.join(MERGED))?,
        };
        if let Some(log) = log {
            log(&format!("starting the server with {folder}"));
        }
        let (run, policy) = (self.dir.as_path(), self.config.policy.as_str());
        let call = ServeCall { command, run, checkpoint: &folder, policy, log };
        *server = Some(StartedServer::start(&call, self.control)?);
        self.spec.replace(spec.to_owned());
        Ok(())
    }
}

fn needs_command(checkpoint: &Path, loads_adapters: bool) -> TrainError {
    let why = if loads_adapters {
        "it holds all weights, and a running server loads adapters alone"
    } else {
        "this server loads no adapter while it runs"
    };
    let detail = format!("is needed to serve {}: {why}", checkpoint.display());
    TrainError::Setting { name: "serve_command", detail }
}

/// Hash of the weights of a round's checkpoint, from the checksums of its files.
fn revision(checkpoint: &Path) -> Result<String, TrainError> {
    let path = checkpoint.with_file_name(training::DONE);
    let done: Option<TrainDone> = read_checksummed(&path)?;
    let done = done.ok_or_else(|| TrainError::File {
        path: path.clone(),
        detail: "is missing: the round was not trained to its end".into(),
    })?;
    let counts = |name: &str| {
        name.ends_with(".safetensors") || ["config.json", "adapter_config.json"].contains(&name)
    };
    let mut parts = Vec::new();
    for (name, sum) in &done.checksums {
        if name.strip_prefix("checkpoint/").is_some_and(counts) {
            parts.extend([name.as_bytes(), sum.as_bytes()]);
        }
    }
    Ok(format!("{:016x}", stream_key(0, &parts)))
}
