//! Reward models served by vLLM and SGLang: a score of a text instead of tokens.
//!
//! This file contains the requests to a served reward model at the start and the meaning of its scores, like
//! `candle/reward_model.rs` for reward models in this process; the request fields are in the dialects' files.
//! Scores must be raw: with one label, C = sigmoid(r); with two labels, C is the softmax probability of the
//! second.

use regrowth_datasets::TokenId;

use super::fault::Fault;
use super::model::Model;
use super::server::Server;
use super::{sglang, vllm};
use crate::Dialect;

/// Texts that are scored to find out how the server behaves.
const PROBES: [&str; 3] = ["1 + 1 = 2", "The answer is 7.", "No"];

/// Number of labels of the served reward model; `None` if the model generates, or if servers of this dialect
/// serve no reward models.
pub(super) async fn find(model: &Model, server: &Server) -> Result<Option<usize>, Fault> {
    let labels = match model.dialect {
        Dialect::Vllm => match vllm_scores(model, server).await? {
            Some(scores) => scores.first().map_or(0, Vec::len),
            None => return Ok(None),
        },
        Dialect::Sglang if !sglang::generates(server).await? => {
            let ids = model.encode(server, PROBES[0]).await?;
            sglang::classify(server, &ids).await?.len()
        }
        _ => return Ok(None),
    };
    match labels {
        1 | 2 => Ok(Some(labels)),
        _ => Err(Fault::Unsupported(format!(
            "{}: `{}` gives {labels} numbers for a text; expected a reward model with the score of one label, or two \
             labels of which the second means correct",
            server.address.root, model.name
        ))),
    }
}

/// Raw scores of the probes; `None` if the server does not classify.
async fn vllm_scores(model: &Model, server: &Server) -> Result<Option<Vec<Vec<f64>>>, Fault> {
    let mut raw = Vec::new();
    for probe in PROBES {
        match vllm::classify(model, server, &probe.into(), false).await {
            Err(Fault::Refused(_)) if raw.is_empty() => return Ok(None),
            scores => raw.push(scores?),
        }
    }
    let is_share = |score: &f64| (0.0..=1.0).contains(score);
    if raw.iter().flatten().all(is_share) {
        // Raw scores may be in [0, 1] by chance, so compare them with activated scores.
        let activated = vllm::classify(model, server, &PROBES[0].into(), true).await?;
        if activated == raw[0] {
            return Err(Fault::Unsupported(format!(
                "{}: this server gives probabilities whatever `use_activation` says, and the scores behind them \
                 are needed; use a newer vLLM",
                server.address.root
            )));
        }
    }
    Ok(Some(raw))
}

/// C of a text that ends with the judged step.
pub(super) async fn probability(
    model: &Model,
    server: &Server,
    ids: &[TokenId],
    labels: usize,
) -> Result<f64, Fault> {
    let scores = match model.dialect {
        Dialect::Sglang => sglang::classify(server, ids).await?,
        _ => vllm::classify(model, server, &ids.into(), false).await?,
    };
    let reward = match scores.as_slice() {
        [reward] if labels == 1 => *reward,
        [wrong, right] if labels == 2 => right - wrong,
        other => {
            return Err(Fault::Reply(format!(
                "{}: expected {labels} scores, as at the start, got {}",
                server.address.root,
                other.len()
            )));
        }
    };
    Ok(1.0 / (1.0 + (-reward).exp()))
}
