//! `regrowth score`: log-probabilities of given completions.
//!
//! Prompt and completion are tokenised apart and their ids joined, so a row's numbers do not depend
//! on where a tokenizer would have merged across the border.

use std::path::PathBuf;
use std::sync::Arc;

use regrowth_datasets::{AnswerKind, JsonlWriter, Problem, TokenId, read_jsonl};
use regrowth_mcts::EngineFlags;
use regrowth_policy::candle::{Files, ModelConfig, PromptForm, Source, Tokenizer};
use regrowth_policy::{Policy, PolicyError, Request, Response, Score};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::engine::policy;
use crate::evaluate::ask_all;
use crate::{TrainError, inputs};

/// Arguments of `regrowth score`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// builtin, a checkpoint folder, http://host:port/v1#model (may be given several times),
    /// scripted[:FILE] or replay:FILE.
    #[arg(long, default_value = "builtin")]
    policy: Vec<String>,
    /// Rows {prompt, completion}, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Begin each row with the tokenizer's BOS.
    #[arg(long)]
    bos: bool,
    /// Put the prompt through the checkpoint's chat template as the user's turn.
    #[arg(long)]
    chat: bool,
    #[command(flatten)]
    engine: EngineFlags,
}

#[derive(Debug, Deserialize)]
struct Row {
    prompt: String,
    completion: String,
}

/// One line of the answer.
#[derive(Debug, Serialize)]
struct Scored {
    logprobs: Vec<f32>,
    sum: f64,
    tokens: Vec<TokenId>,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let rows: Vec<Row> = read_jsonl(&args.input)?;
    let policy = policy(&args.policy, &args.engine)?;
    let front = Front::new(args)?;
    let mut out = JsonlWriter::new(std::io::stdout().lock());
    let width = policy.limits().in_flight.max(1);
    for (chunk_index, chunk) in rows.chunks(width).enumerate() {
        let mut requests = Vec::with_capacity(chunk.len());
        for (index, row) in chunk.iter().enumerate() {
            let index = chunk_index * width + index;
            let request = front.request(&*policy, row, index)?;
            requests.push(Request::Score(request));
        }
        let tokens: Vec<Arc<[TokenId]>> = requests.iter().map(continuation).collect();
        for (tokens, answer) in tokens.into_iter().zip(ask_all(&*policy, requests)?) {
            let Response::Scores(scores) = answer? else {
                return Err(
                    PolicyError::Model("the answer is not of the kind asked for".into()).into()
                );
            };
            let sum = scores.logps.iter().map(|&l| f64::from(l)).sum();
            let scored = Scored { logprobs: scores.logps, sum, tokens: tokens.to_vec() };
            out.write(&scored).map_err(TrainError::io("stdout"))?;
        }
    }
    out.finish().map(drop).map_err(TrainError::io("stdout"))
}

fn continuation(request: &Request) -> Arc<[TokenId]> {
    match request {
        Request::Score(score) => score.continuation.clone(),
        Request::Propose(_) | Request::Judge(_) => Arc::from([]),
    }
}

/// What is put around a prompt.
struct Front {
    bos: Option<TokenId>,
    chat: Option<(PromptForm, Tokenizer)>,
}

impl Front {
    fn new(args: &Args) -> Result<Self, TrainError> {
        if !args.bos && !args.chat {
            return Ok(Self { bos: None, chat: None });
        }
        let name = if args.bos { "bos" } else { "chat" };
        let lacking = |detail: &str| TrainError::Setting { name, detail: detail.to_owned() };
        let tokenizer = match (inputs::weights(&args.policy.join(","))?, args.engine.tokenizer()) {
            (Some(source), _) => tokenizer(&source)?,
            (None, Some(folder)) => Tokenizer::from_files(folder, &Value::Null)?,
            (None, None) => {
                return Err(lacking("needs a checkpoint as --policy, or --tokenizer DIR"));
            }
        };
        let bos = match (args.bos, tokenizer.bos()) {
            (true, None) => return Err(lacking("the tokenizer has no BOS")),
            (true, bos) => bos,
            (false, _) => None,
        };
        if args.chat && tokenizer.chat_template().is_none() {
            return Err(lacking("the checkpoint has no chat template"));
        }
        let plain = "{{ question }}".to_owned();
        let form = PromptForm {
            version: 1,
            prompt: plain,
            judge: String::new(),
            restated: None,
            chat: true,
        };
        Ok(Self { bos, chat: args.chat.then_some((form, tokenizer)) })
    }

    fn request(&self, policy: &dyn Policy, row: &Row, index: usize) -> Result<Score, TrainError> {
        let text = match &self.chat {
            Some((form, tokenizer)) => form.render(&as_problem(&row.prompt), tokenizer)?,
            None => row.prompt.clone(),
        };
        let mut prefix: Vec<TokenId> = self.bos.into_iter().collect();
        prefix.extend(policy.encode(&text)?);
        let continuation = policy.encode(&row.completion)?;
        let empty = |field: &str| TrainError::Example {
            index,
            detail: format!("`{field}` holds no token; expected text"),
        };
        if prefix.is_empty() {
            return Err(empty("prompt"));
        }
        if continuation.is_empty() {
            return Err(empty("completion"));
        }
        Ok(Score { prefix: prefix.into(), continuation: continuation.into() })
    }
}

fn tokenizer(source: &Source) -> Result<Tokenizer, TrainError> {
    let config = ModelConfig::parse(&source.text("config.json")?)
        .map_err(|detail| source.error("config.json", detail))?;
    Ok(Tokenizer::read(source, &config)?)
}

/// A prompt as the one turn of a conversation.
fn as_problem(prompt: &str) -> Problem {
    Problem {
        id: String::new(),
        source: String::new(),
        question: prompt.to_owned(),
        choices: Vec::new(),
        answer: String::new(),
        kind: AnswerKind::Text,
        solution: None,
        level: None,
    }
}
