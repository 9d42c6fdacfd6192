//! LoRA adapters that a running server loads: the weights of later rounds of a run.
//!
//! vLLM and SGLang can load a folder in PEFT's layout under a name while they serve. A restarted server has
//! no adapters, so the adapter is loaded again when the server refuses a request for it. llama.cpp's server
//! only scales adapters that it was started with, which is of no use here.

use serde_json::json;
use tokio::sync::Mutex;

use super::fault::Fault;
use super::reply::Reply;
use super::server::{MODELS, Server};
use crate::{Dialect, PolicyError, ServedAdapter};

/// Advice if a server does not load an adapter.
const ADVICE: &str = "the server must read that folder at that path, and be started for adapters: \
     vLLM with --enable-lora, --max-lora-rank of at least the adapter's `r` and the environment variable \
     VLLM_ALLOW_RUNTIME_LORA_UPDATING=True, SGLang with --enable-lora and --max-lora-rank";

/// An adapter that every server of a fleet must load.
pub(super) struct Lora {
    adapter: ServedAdapter,
    dialect: Dialect,
    /// Held while a server loads the adapter, so that requests that fail together load it only once.
    turn: Mutex<()>,
}

impl Lora {
    /// Prepares an adapter for servers of this dialect. [`Self::ensure`] loads it.
    ///
    /// # Errors
    /// [`PolicyError::Server`] for a dialect whose server loads no adapters while it runs.
    pub(super) fn new(adapter: ServedAdapter, dialect: Dialect) -> Result<Self, PolicyError> {
        if !loads_adapters(dialect) {
            return Err(PolicyError::Server(format!(
                "a {dialect} server loads no adapter while it runs; let --serve-command start it with \
                 the weights of each round, or serve the model with vLLM or SGLang"
            )));
        }
        Ok(Self { adapter, dialect, turn: Mutex::new(()) })
    }

    /// Loads the adapter if the server does not have it. Before that, unloads adapters of the same family
    /// that are no longer needed.
    pub(super) async fn ensure(&self, server: &Server) -> Result<(), Fault> {
        let _turn = self.turn.lock().await;
        let ServedAdapter { name, family, .. } = &self.adapter;
        let listed = listed(server).await?;
        for other in listed.iter().filter(|n| n.starts_with(family.as_str()) && *n != name) {
            self.unload(server, other).await?;
        }
        if listed.contains(name) { Ok(()) } else { self.load(server).await }
    }

    async fn load(&self, server: &Server) -> Result<(), Fault> {
        let ServedAdapter { name, folder, .. } = &self.adapter;
        let body = json!({ "lora_name": name, "lora_path": folder });
        let told = server.tell(self.paths()[0], &body).await;
        told.map(drop).map_err(|fault| match fault {
            Fault::Refused(detail) => Fault::Refused(format!(
                "{detail}; the adapter {} was not loaded: {ADVICE}",
                folder.display()
            )),
            passing => passing,
        })
    }

    /// Unloads an adapter. A refusal counts as success: the adapter is not there any more.
    async fn unload(&self, server: &Server, name: &str) -> Result<(), Fault> {
        let body = json!({ "lora_name": name });
        match server.tell(self.paths()[1], &body).await {
            Ok(_) | Err(Fault::Refused(_)) => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Paths for loading and for unloading adapters.
    fn paths(&self) -> [&'static str; 2] {
        match self.dialect {
            Dialect::Vllm => ["/v1/load_lora_adapter", "/v1/unload_lora_adapter"],
            _ => ["/load_lora_adapter", "/unload_lora_adapter"],
        }
    }
}

/// Whether a server of this kind loads adapters while it runs.
pub(super) fn loads_adapters(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::Vllm | Dialect::Sglang)
}

/// Names of the models and adapters that the server offers.
async fn listed(server: &Server) -> Result<Vec<String>, Fault> {
    let value = server.get(MODELS).await?;
    let reply = Reply::new(server.url(MODELS), &value);
    let models = reply.field("data")?.list()?;
    models.iter().map(|model| Ok(model.field("id")?.text()?.to_owned())).collect()
}
