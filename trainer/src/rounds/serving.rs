//! Policies of a run whose model is served: each round's weights are put on the servers, compared with
//! what was trained, and only then searched with.
//!
//! An adapter is loaded under a name of its own while the servers run. All weights, or a server that
//! loads no adapters, need `--serve-command`, which is started anew with each round's checkpoint.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;

use regrowth_datasets::stream_key;
use regrowth_policy::candle::Source;
use regrowth_policy::decorate::Metered;
use regrowth_policy::http::HttpPolicy;
use regrowth_policy::{LoadOptions, Policy, ServedAdapter, ServedWeights, ServerOptions};

use super::config::{Objective, RunConfig};
use super::context::RunContext;
use super::external;
use super::serve_command::{ServeCall, StartedServer};
use super::served_check;
use super::training::{self, TrainDone};
use crate::TrainError;
use crate::artefact::read_checksummed;

/// Times that a request is tried at least where this program starts the server again if it ends: about
/// eight minutes.
const ATTEMPTS: u32 = 64;

/// Folder of weights that are written for a server alone: an adapter merged into its base.
const MERGED: &str = "served";

/// What a run knows of its servers.
#[derive(Default)]
pub(super) struct Serving {
    /// Starts a server with given weights.
    command: Option<String>,
    server: RefCell<Option<StartedServer>>,
    /// The policy whose weights that server has.
    spec: RefCell<String>,
    /// Whether the servers load adapters, once they were asked.
    loads_adapters: Cell<Option<bool>>,
}

impl Serving {
    /// Checks that what a run trains can be served.
    ///
    /// # Errors
    /// [`TrainError::Setting`] that says what is missing.
    pub(super) fn new(config: &RunConfig, command: Option<String>) -> Result<Self, TrainError> {
        let served = config.weights.is_some();
        let fail =
            |name, detail: &str| Err(TrainError::Setting { name, detail: detail.to_owned() });
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
        if let Some(weights) = &config.weights
            && Source::named(weights)?.is_adapter()
        {
            return fail(
                "weights",
                "is an adapter, and adapters of rounds are loaded on the served model itself; name the \
                 model that the server was started with",
            );
        }
        Ok(Self { command, ..Self::default() })
    }
}

/// How the run's policies are loaded: a served model is tokenised by the folder of its weights, unless
/// another one is named, and is waited for where this program starts it.
pub(super) fn load_options(config: &RunConfig, command: bool, load: LoadOptions) -> LoadOptions {
    let Some(weights) = config.weights.as_deref().map(Path::new) else { return load };
    let own = weights.join("tokenizer.json").is_file().then(|| weights.to_owned());
    let attempts = if command { load.server.attempts.max(ATTEMPTS) } else { load.server.attempts };
    let tokenizer = load.server.tokenizer.clone().or(own);
    LoadOptions { server: ServerOptions { tokenizer, attempts, ..load.server }, ..load }
}

/// The policy of a checkpoint of the run, or the base policy, behind servers that answer with it.
pub(super) fn policy(run: &RunContext, spec: &str) -> Result<Arc<dyn Policy>, TrainError> {
    let (config, serving) = (&run.config, &run.serving);
    let trained = (spec != config.policy).then_some(Path::new(spec));
    let weights = trained.map(|checkpoint| served_weights(run, checkpoint)).transpose()?;
    let adapter = weights.as_ref().is_some_and(|weights| weights.adapter.is_some());
    serve(run, if adapter { &config.policy } else { spec })?;
    let server = ServerOptions { weights, log: run.load.log, ..run.load.server.clone() };
    let policy = HttpPolicy::connect(&config.policy, &server, &run.load.prompt)?;
    serving.loads_adapters.set(Some(policy.loads_adapters()));
    if let Some(round) = trained.and_then(Path::parent) {
        served_check::check(round, &policy, run.load.log)?;
    }
    let policy: Arc<dyn Policy> = Arc::new(policy);
    Ok(match &run.load.meter {
        Some(meter) => Arc::new(Metered::new(policy, meter.clone())),
        None => policy,
    })
}

/// What tells the weights of a checkpoint from all others, and the adapter that the servers load, where
/// it is one and they can.
fn served_weights(run: &RunContext, checkpoint: &Path) -> Result<ServedWeights, TrainError> {
    let revision = revision(checkpoint)?;
    let loads = run.serving.loads_adapters.get().unwrap_or(true);
    if !Source::folder(checkpoint)?.is_adapter() || !loads {
        if run.serving.command.is_none() {
            return Err(TrainError::Setting {
                name: "serve_command",
                detail: format!(
                    "is needed to serve {}: {}",
                    checkpoint.display(),
                    if loads {
                        "it holds all weights, and a running server loads adapters alone"
                    } else {
                        "this server loads no adapter while it runs"
                    }
                ),
            });
        }
        return Ok(ServedWeights { revision, adapter: None });
    }
    let absolute = |path: &Path| std::path::absolute(path).map_err(TrainError::io(path));
    let folder = absolute(checkpoint)?;
    let dir = absolute(run.dir.path())?;
    // Of one run: another one on the same servers has its own.
    let family =
        format!("regrowth-{:08x}-", stream_key(0, &[dir.as_os_str().as_encoded_bytes()]) >> 32);
    let name = format!("{family}{revision}");
    Ok(ServedWeights { revision, adapter: Some(ServedAdapter { name, folder, family }) })
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

/// Starts the server with these weights, unless it runs with them or is not ours to start.
fn serve(run: &RunContext, spec: &str) -> Result<(), TrainError> {
    let Some(command) = &run.serving.command else { return Ok(()) };
    let mut server = run.serving.server.borrow_mut();
    let has = *run.serving.spec.borrow() == spec;
    if has && server.as_ref().is_some_and(|server| server.failure().is_none()) {
        return Ok(());
    }
    // Ends the one that runs: it holds the port and the memory.
    *server = None;
    let Some(source) = run.config.weights_of(spec)? else { return Ok(()) };
    let folder = match &source {
        Source::Gguf(_) => source.name(),
        _ => external::as_folder(&source, &run.dir.path().join(MERGED))?,
    };
    if let Some(log) = run.load.log {
        log(&format!("starting the server with {folder}"));
    }
    let call = ServeCall {
        command,
        run: run.dir.path(),
        checkpoint: &folder,
        policy: &run.config.policy,
        log: run.load.log,
    };
    *server = Some(StartedServer::start(&call, run.control)?);
    run.serving.spec.replace(spec.to_owned());
    Ok(())
}
