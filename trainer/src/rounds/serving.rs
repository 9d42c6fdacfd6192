//! Policies of a run whose model is served. Each round's weights are loaded into the servers and checked
//! against the trained checkpoint before they are used.
//!
//! An adapter is loaded into the running servers, under its own name. Full weights, or servers that cannot
//! load adapters, need `--serve-command`, which is restarted with each round's checkpoint.

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

/// Minimum number of attempts per request if this program restarts the server: about eight minutes.
const ATTEMPTS: u32 = 64;

/// Folder of weights that are written only for a server: an adapter merged into its base.
const MERGED: &str = "served";

/// The servers of a run.
pub(super) struct Serving<'a> {
    config: &'a RunConfig,
    /// Folder of the run.
    dir: PathBuf,
    /// Command that starts a server with given weights; `None` if the servers are not started by this
    /// program.
    command: Option<&'a ServeCommand>,
    control: &'a Control,
    server: RefCell<Option<StartedServer>>,
    /// Specification of the policy whose weights the started server has.
    spec: RefCell<String>,
    /// Whether the servers can load adapters; `None` until the first connection.
    loads_adapters: Cell<Option<bool>>,
}

/// Checks that the weights that a run trains can be served.
///
/// # Errors
/// [`TrainError::Setting`] that names what is missing.
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

/// Returns the load options of the run's policies. A served model uses the tokenizer in the folder of its
/// weights, unless the options name another one. If this program starts the server (`command`), requests are
/// retried for longer.
pub(super) fn load_options(config: &RunConfig, command: bool, load: LoadOptions) -> LoadOptions {
    let Some(weights) = config.weights.as_deref().map(Path::new) else { return load };
    let own = weights.join("tokenizer.json").is_file().then(|| weights.to_owned());
    let attempts = if command { load.server.attempts.max(ATTEMPTS) } else { load.server.attempts };
    let tokenizer = load.server.tokenizer.clone().or(own);
    let server = ServerOptions { tokenizer, attempts, scores_alone: true, ..load.server };
    LoadOptions { server, ..load }
}

impl<'a> Serving<'a> {
    /// The servers of the run in the folder `dir`; `command` starts a server.
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

    /// Returns the policy `spec` (a checkpoint of the run, or the base policy), connected to servers that
    /// answer with its weights.
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

    /// Returns the revision (hash) of a checkpoint's weights and, if it is an adapter and the servers can
    /// load adapters, the adapter to load.
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
        // The prefix is specific to this run: other runs on the same servers have their own.
        let family =
            format!("regrowth-{:08x}-", stream_key(0, &[dir.as_os_str().as_encoded_bytes()]) >> 32);
        let name = format!("{family}{revision}");
        Ok(ServedWeights { revision, adapter: Some(ServedAdapter { name, folder, family }) })
    }

    /// Starts the server with the weights of `spec`, unless it runs with them already or this program does
    /// not start servers.
    fn serve(&self, spec: &str, log: Option<fn(&str)>) -> Result<(), TrainError> {
        let Some(command) = self.command else { return Ok(()) };
        let mut server = self.server.borrow_mut();
        let has = *self.spec.borrow() == spec;
        if has && server.as_ref().is_some_and(|server| server.failure().is_none()) {
            return Ok(());
        }
        // End the running server first: it holds the port and the memory.
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

/// Hash of the weights of a round's checkpoint, computed from the checksums of its files.
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
