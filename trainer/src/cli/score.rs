//! `regrowth score`: log-probabilities of given completions.
//!
//! Prompt and completion are tokenised separately and their ids joined, so a row's log-probabilities do not
//! depend on merges across the border.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use regrowth_datasets::{AnswerKind, DataError, JsonlReader, JsonlWriter, Problem, TokenId};
use regrowth_mcts::console::Work;
use regrowth_mcts::flags::EngineFlags;
use regrowth_policy::candle::{Files, ModelConfig, PromptForm, Source, Tokenizer};
use regrowth_policy::decorate::Meter;
use regrowth_policy::{Policy, PolicyError, PromptOptions, Request, Response, Score};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::engine::policy;
use super::progress;
use crate::evaluate::ask_all;
use crate::{TrainError, inputs};

/// Arguments of `regrowth score`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// builtin, a checkpoint folder or .gguf file, http://host:port/v1#model (may be given several times),
    /// scripted[:FILE] or replay:FILE.
    #[arg(long, default_value = "builtin", help_heading = "Policy and problems")]
    policy: Vec<String>,
    /// Rows {prompt, completion}, one JSON object per line.
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    input: PathBuf,
    /// Begin each row with the tokenizer's BOS, unless the prompt already does.
    #[arg(long, help_heading = "Input")]
    bos: bool,
    /// Render the prompt with the checkpoint's chat template as the user's turn, with the BOS if the template
    /// writes it.
    #[arg(long, help_heading = "Input")]
    chat: bool,
    #[command(flatten)]
    engine: EngineFlags,
}

#[derive(Debug, Deserialize)]
struct ScoreRow {
    prompt: String,
    completion: String,
}

/// One output row.
#[derive(Debug, Serialize)]
struct Scored {
    logprobs: Vec<f32>,
    sum: f64,
    tokens: Vec<TokenId>,
}

pub(super) fn run(args: &Args) -> Result<(), TrainError> {
    let rows = read(&args.input)?;
    let meter = Arc::<Meter>::default();
    let policy = policy(&args.policy, &args.engine, PromptOptions::default(), &meter)?;
    let front = Front::new(args)?;
    let progress = progress::over("score", "rows", rows.len(), Work::Items, &meter);
    let mut out = JsonlWriter::new(std::io::stdout().lock());
    for chunk in rows.chunks(policy.limits().in_flight.max(1)) {
        let requests = chunk.iter().map(|(place, row)| front.request(&*policy, row, place));
        let requests: Vec<Request> = requests.collect::<Result<_, _>>()?;
        let tokens: Vec<Arc<[TokenId]>> = requests.iter().map(continuation).collect();
        let answers = ask_all(&*policy, requests)?;
        for (((place, _), tokens), answer) in chunk.iter().zip(tokens).zip(answers) {
            let Response::Scores(scores) = answer.map_err(|error| place.refused(error))? else {
                return Err(
                    PolicyError::Model("the answer is not of the kind asked for".into()).into()
                );
            };
            let sum = scores.logps.iter().map(|&l| f64::from(l)).sum();
            let scored = Scored { logprobs: scores.logps, sum, tokens: tokens.to_vec() };
            if !written(out.write(&scored))? {
                return Ok(());
            }
            progress.advance(1, String::new());
        }
    }
    written(out.finish()).map(drop)
}

/// Whether stdout is still open for writing; it is no error if the reader has closed the pipe.
fn written<T>(result: std::io::Result<T>) -> Result<bool, TrainError> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(TrainError::io("stdout")(error)),
    }
}

/// Reads the rows of a file and their positions.
fn read(path: &Path) -> Result<Vec<(Place<'_>, ScoreRow)>, TrainError> {
    let mut reader = JsonlReader::open(path)?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next() {
        rows.push((Place { path, line: reader.line() }, row?));
    }
    Ok(rows)
}

/// Position of a row.
struct Place<'a> {
    path: &'a Path,
    /// Line number from 1, including blank lines.
    line: usize,
}

impl Place<'_> {
    /// Returns the error of a field with the wrong number of tokens.
    fn field(&self, field: &str, expected: String, got: usize) -> TrainError {
        let (path, field) = (self.path.to_owned(), field.to_owned());
        let got = if got == 0 { "none".into() } else { got.to_string() };
        DataError::Row { path, line: self.line, field, expected, got }.into()
    }

    /// Adds the position of the row to an error of the policy.
    fn refused(&self, error: PolicyError) -> TrainError {
        let place = |detail| format!("{}:{}: {detail}", self.path.display(), self.line);
        match error {
            PolicyError::Request(detail) => PolicyError::Request(place(detail)).into(),
            other => other.into(),
        }
    }
}

fn continuation(request: &Request) -> Arc<[TokenId]> {
    match request {
        Request::Score(score) => score.continuation.clone(),
        Request::Propose(_) | Request::Judge(_) | Request::Hidden(_) => Arc::from([]),
    }
}

/// Tokens and template added to a prompt.
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
            system: None,
            template_kwargs: serde_json::Map::new(),
            shots: vec![],
            turn: None,
            name: None,
        };
        Ok(Self { bos, chat: args.chat.then_some((form, tokenizer)) })
    }

    /// Builds the request for the log-probabilities of a row.
    fn request(
        &self,
        policy: &dyn Policy,
        row: &ScoreRow,
        place: &Place<'_>,
    ) -> Result<Request, TrainError> {
        let refused = |error| place.refused(error);
        let text = match &self.chat {
            Some((form, tokenizer)) => {
                form.render(&as_problem(&row.prompt), tokenizer).map_err(refused)?
            }
            None => row.prompt.clone(),
        };
        let ids = policy.encode(&text).map_err(refused)?;
        // If the template or prompt already begins with the BOS, it is not added again.
        let bos = self.bos.filter(|bos| ids.first() != Some(bos));
        let prefix: Vec<TokenId> = bos.into_iter().chain(ids).collect();
        let continuation = policy.encode(&row.completion).map_err(refused)?;
        fits(prefix.len(), continuation.len(), policy.limits().context, place)?;
        Ok(Request::Score(Score { prefix: prefix.into(), continuation: continuation.into() }))
    }
}

/// Checks that a row's prompt, completion and their sum have allowed numbers of tokens.
fn fits(
    prompt: usize,
    completion: usize,
    context: usize,
    place: &Place<'_>,
) -> Result<(), TrainError> {
    for (field, tokens) in [("prompt", prompt), ("completion", completion)] {
        if tokens == 0 {
            return Err(place.field(field, "text of at least one token".into(), tokens));
        }
    }
    if prompt >= context {
        let expected = format!("fewer tokens than the context of {context}");
        return Err(place.field("prompt", expected, prompt));
    }
    let left = context - prompt;
    if completion > left {
        let expected =
            format!("at most {left} tokens (the context is {context}, the prompt takes {prompt})");
        return Err(place.field("completion", expected, completion));
    }
    Ok(())
}

fn tokenizer(source: &Source) -> Result<Tokenizer, TrainError> {
    let config = ModelConfig::parse(&source.text("config.json")?)
        .map_err(|detail| source.error("config.json", detail))?;
    Ok(Tokenizer::read(source, &config)?)
}

/// Returns the prompt as a conversation with one turn.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit;
    use regrowth_mcts::frontend::Exit;

    #[test]
    fn rows_know_their_lines_and_what_does_not_fit_is_named_as_bad_input() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let row = r#"{"prompt": "p", "completion": "c"}"#;
        std::fs::write(file.path(), format!("\n{row}\n\n \n{row}\n")).unwrap();
        let rows = read(file.path()).unwrap();
        let lines: Vec<usize> = rows.iter().map(|(place, _)| place.line).collect();
        assert_eq!(lines, [2, 5]);
        let place = &rows[1].0;
        assert!(fits(4, 4, 8, place).is_ok());
        for (prompt, completion, expected) in [
            (0, 4, "field `prompt`: expected text of at least one token, got none"),
            (4, 0, "field `completion`: expected text of at least one token, got none"),
            (8, 1, "field `prompt`: expected fewer tokens than the context of 8, got 8"),
            (4, 5, "field `completion`: expected at most 4 tokens"),
        ] {
            let error = fits(prompt, completion, 8, place).unwrap_err();
            assert_eq!(exit(&error), Exit::File);
            let expected = format!("{}:5: {expected}", file.path().display());
            assert!(error.to_string().starts_with(&expected), "{error}");
        }
    }
}
