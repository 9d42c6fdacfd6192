//! Tokenises demonstrations and problems for supervised training.
//!
//! A prompt and a completion given as text are tokenised separately and joined. A conversation is rendered by
//! the chat template with and without its last turn; the completion begins where the two differ, as in TRL.

use std::path::Path;

use regrowth_datasets::{
    DataError, Demonstration, Demonstrations, Notices, Problem, TokenId, Turn,
};
use regrowth_policy::PolicyError;
use regrowth_policy::candle::{PromptForm, Tokenizer};

use super::collate::common_prefix;
use super::sft::Example;
use crate::TrainError;

/// Tokenises the rows of the file at `path`. Problems are formatted as prompts by `form`. Bad rows are
/// skipped as far as `notices` allows.
///
/// # Errors
/// [`DataError::Row`] with file and line if a row cannot be rendered, has an empty prompt or completion, or
/// exceeds the context; [`TrainError::Example`] for a problem with such a fault.
pub fn tokenise_demonstrations(
    path: &Path,
    demonstrations: &Demonstrations,
    (tokenizer, form): (&Tokenizer, &PromptForm),
    context: usize,
    notices: &mut Notices,
) -> Result<Vec<Example>, TrainError> {
    match demonstrations {
        Demonstrations::Rows(rows) => {
            let mut examples = Vec::with_capacity(rows.len());
            for (line, row) in rows {
                match tokenised(row, tokenizer).and_then(|ids| example(ids, row.weight, context)) {
                    Ok(example) => examples.push(example),
                    Err(wrong) => notices.skip(wrong.at(path, *line))?,
                }
            }
            Ok(examples)
        }
        Demonstrations::Problems(problems) => {
            let worked = problems.iter().enumerate().map(|(index, problem)| {
                let ids = worked(problem, tokenizer, form);
                ids.and_then(|ids| example(ids, 1.0, context)).map_err(|wrong| wrong.of(index))
            });
            worked.collect()
        }
    }
}

/// An invalid field: its name, what was expected, and what was found.
struct Wrong(&'static str, String, String);

impl Wrong {
    fn at(self, path: &Path, line: usize) -> DataError {
        let Self(field, expected, got) = self;
        DataError::Row { path: path.to_owned(), line, field: field.to_owned(), expected, got }
    }

    fn of(self, index: usize) -> TrainError {
        let Self(field, expected, got) = self;
        TrainError::Example { index, detail: format!("`{field}`: {got}; expected {expected}") }
    }
}

/// Token ids of a prompt and of its completion.
struct Ids {
    prompt: Vec<TokenId>,
    completion: Vec<TokenId>,
}

fn tokenised(row: &Demonstration, tokenizer: &Tokenizer) -> Result<Ids, Wrong> {
    let rendered = |field| {
        move |error: PolicyError| {
            Wrong(field, "text that can be rendered and tokenised".into(), error.to_string())
        }
    };
    match (&row.prompt, &row.completion) {
        (Turn::Text(prompt), Turn::Text(completion)) => {
            let end = if row.eos { tokenizer.eos() } else { None };
            text(prompt, completion, tokenizer, Frame { opening: tokenizer.opening(), end })
                .map_err(rendered("completion"))
        }
        (Turn::Messages(prompt), Turn::Messages(completion)) => {
            let ids = |messages: &[_], more| tokenizer.encode(&tokenizer.chat(messages, more)?);
            let mut opened = ids(prompt, true).map_err(rendered("prompt"))?;
            let whole = [&prompt[..], completion].concat();
            let mut whole = ids(&whole, false).map_err(rendered("completion"))?;
            opened.truncate(common_prefix(&opened, &whole));
            whole.drain(..opened.len());
            Ok(Ids { prompt: opened, completion: whole })
        }
        // The reader already refuses such rows.
        _ => {
            Err(Wrong("completion", "text or messages in both columns".into(), "a mixture".into()))
        }
    }
}

/// Tokenises a problem and its worked solution in the prompt form.
fn worked(problem: &Problem, tokenizer: &Tokenizer, form: &PromptForm) -> Result<Ids, Wrong> {
    let wrong = |e: PolicyError| Wrong("question", "text that can be put".into(), e.to_string());
    let lacking = || Wrong("solution", "a worked solution".into(), "none".into());
    let mut solution = form.worked(problem).ok_or_else(lacking)?;
    let prompt = form.render(problem, tokenizer).map_err(wrong)?;
    let chats = form.chat && tokenizer.chat_template().is_some();
    // A space separates the solution from "Answer:". After a line break or at the start of the assistant's
    // turn there is none.
    if !chats && !prompt.ends_with(char::is_whitespace) {
        solution.insert(0, ' ');
    }
    let opening = tokenizer.opening().filter(|_| !chats);
    text(&prompt, &solution, tokenizer, Frame { opening, end: tokenizer.eos() }).map_err(wrong)
}

/// The tokens before a prompt and after a completion (BOS and EOS).
struct Frame {
    opening: Option<TokenId>,
    end: Option<TokenId>,
}

fn text(
    prompt: &str,
    completion: &str,
    tokenizer: &Tokenizer,
    frame: Frame,
) -> Result<Ids, PolicyError> {
    let written = tokenizer.encode(prompt)?;
    let opening = frame.opening.filter(|bos| written.first() != Some(bos));
    let prompt = opening.into_iter().chain(written).collect();
    let completion = tokenizer.encode(completion)?.into_iter().chain(frame.end).collect();
    Ok(Ids { prompt, completion })
}

fn example(ids: Ids, weight: f32, context: usize) -> Result<Example, Wrong> {
    let Ids { prompt, completion } = ids;
    for (field, ids) in [("prompt", &prompt), ("completion", &completion)] {
        if ids.is_empty() {
            return Err(Wrong(field, "at least one token".into(), "none".into()));
        }
    }
    let example = Example { prompt, completion, weight };
    match example.len() {
        tokens if tokens > context => Err(Wrong(
            "completion",
            format!("at most the {context} tokens of the model's context"),
            format!("{tokens} tokens with the prompt"),
        )),
        _ => Ok(example),
    }
}
