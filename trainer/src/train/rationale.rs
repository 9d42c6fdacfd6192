//! Rationale loss: the negative log-likelihood of a pair's rationale given its prompt and both sides, which
//! teaches why the chosen side is better (arXiv:2407.14477).

use std::collections::BTreeMap;

use regrowth_datasets::{Message, TextPreference, TokenId, Turn};
use regrowth_policy::PolicyError;
use regrowth_policy::candle::Tokenizer;

use super::collate::{PackedSequence, common_prefix};
use super::model::Model;
use super::pairs::Prepared;
use crate::TrainError;

/// The rationale of a pair as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rationale {
    /// Index of the pair.
    pub pair: usize,
    /// Token ids of the question why the chosen side is better than the rejected side.
    pub prompt: Vec<TokenId>,
    /// Token ids of the rationale, including EOS.
    pub completion: Vec<TokenId>,
}

impl Rationale {
    pub(super) fn sequence(&self) -> PackedSequence<'_> {
        PackedSequence { prefix: &self.prompt, tail: &self.completion, scored: self.prompt.len() }
    }
}

/// Returns the question why the first of two answers is better. The question states which answer is better,
/// because the paper conditions on it, `pi(r | x, y_w > y_l)`; the wording is our own.
fn question(row: &TextPreference) -> String {
    let steps = row.steps.as_deref().unwrap_or_default();
    let [prompt, chosen, rejected] = [&row.prompt, &row.chosen, &row.rejected].map(plain);
    format!(
        "Question:\n{}\n\nBetter answer:\n{}\n\nWorse answer:\n{}\n\nWhy is the first answer better?\n",
        format!("{prompt}{steps}").trim(),
        chosen.trim(),
        rejected.trim()
    )
}

/// Returns a turn as text; messages follow each other with their roles.
fn plain(turn: &Turn) -> String {
    match turn {
        Turn::Text(text) => text.clone(),
        Turn::Messages(turns) => {
            let lines: Vec<String> =
                turns.iter().map(|turn| format!("{}: {}", turn.role, turn.content)).collect();
            lines.join("\n")
        }
    }
}

/// Tokenises the rationale of a row; `None` if it has none. If the row has messages, the rationale is a turn
/// of the chat template; otherwise plain text followed by EOS.
pub(super) fn tokenised(
    row: &TextPreference,
    pair: usize,
    tokenizer: &Tokenizer,
) -> Result<Option<Rationale>, PolicyError> {
    let Some(rationale) = &row.rationale else { return Ok(None) };
    let question = question(row);
    let (mut prompt, mut completion) = match row.prompt {
        Turn::Messages(_) => {
            let message = |role: &str, content: &str| Message {
                role: role.to_owned(),
                content: content.to_owned(),
            };
            let ask = message("user", question.trim());
            let opened = tokenizer.chat(std::slice::from_ref(&ask), true)?;
            let whole = tokenizer.chat(&[ask, message("assistant", rationale)], false)?;
            (tokenizer.encode(&opened)?, tokenizer.encode(&whole)?)
        }
        Turn::Text(_) => {
            let whole = format!("{question}{rationale}{}", tokenizer.eos_text());
            (tokenizer.encode_framed(&question)?, tokenizer.encode_framed(&whole)?)
        }
    };
    let cut = common_prefix(&prompt, &completion);
    prompt.truncate(cut);
    completion.drain(..cut);
    let sound = !prompt.is_empty() && !completion.is_empty();
    Ok(sound.then_some(Rationale { pair, prompt, completion }))
}

/// Attaches the rationales to their pairs. Returns how many were left out because they exceed the model's
/// context.
pub(super) fn attach<'a>(
    pairs: &mut [Prepared<'a>],
    rationales: &'a [Rationale],
    model: &Model,
) -> Result<usize, TrainError> {
    let by_pair: BTreeMap<usize, &Rationale> = rationales.iter().map(|r| (r.pair, r)).collect();
    let mut long = 0;
    for prepared in pairs {
        let Some(&rationale) = by_pair.get(&prepared.index) else { continue };
        let mut ids = rationale.prompt.iter().chain(&rationale.completion);
        if let Some(id) = ids.find(|&&id| id as usize >= model.config.vocab_size) {
            let detail = format!("the rationale has token id {id}, outside the model's vocabulary");
            return Err(TrainError::Example { index: prepared.index, detail });
        }
        if rationale.prompt.len() + rationale.completion.len() > model.config.context {
            long += 1;
        } else {
            prepared.rationale = Some(rationale);
        }
    }
    Ok(long)
}

/// Mean negative log-likelihood of a rationale's tokens. The paper uses the sum; with the mean, the weight
/// has the same effect for rationales of any length.
pub(super) struct MeanNll {
    pub(super) value: f64,
    /// Derivative with respect to each token's log-probability.
    pub(super) by_each: f64,
}

impl MeanNll {
    pub(super) fn of(logps: &[f32]) -> Self {
        let by_each = -1.0 / logps.len() as f64;
        Self { value: by_each * logps.iter().map(|&l| f64::from(l)).sum::<f64>(), by_each }
    }
}
