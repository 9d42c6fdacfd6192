//! Tokenises text preferences of other programs into pairs with token ids.
//!
//! Prompt and completion are tokenised together and split at the first token in which the prompt alone and
//! prompt plus completion differ, as in TRL. Our own pairs are not tokenised here: they keep the sampled ids.

use std::path::Path;

use regrowth_datasets::{
    DataError, Message, Notices, PAIR_VERSION, PreferencePair, TextPreference, TokenId, Turn,
};
use regrowth_policy::PolicyError;
use regrowth_policy::candle::{PromptForm, Tokenizer};

use super::collate::common_prefix;
use super::rationale::{self, Rationale};
use crate::TrainError;

/// Whether EOS is appended to a completion that is plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EndOfText {
    /// After full answers (TRL's layouts), but not after single steps (Step-DPO's).
    #[default]
    Auto,
    /// After every completion.
    Always,
    /// After no completion.
    Never,
}

/// Text preferences as token ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TokenisedPreferences {
    /// The pairs.
    pub pairs: Vec<PreferencePair>,
    /// Rationales of the rows that have one.
    pub rationales: Vec<Rationale>,
}

/// Converts text rows to pairs; each pair counts as a tree of its own, without visits or recorded
/// log-probabilities. Bad rows are skipped as far as `notices` allows.
///
/// # Errors
/// [`DataError::Row`] with file and line for a row that cannot be tokenised or whose sides become the
/// same tokens.
pub fn tokenise_preferences(
    path: &Path,
    rows: &[(usize, TextPreference)],
    tokenizer: &Tokenizer,
    (form, end): (&PromptForm, EndOfText),
    notices: &mut Notices,
) -> Result<TokenisedPreferences, TrainError> {
    let mut found = TokenisedPreferences::default();
    for (line, row) in rows {
        let index = found.pairs.len();
        let tokenised = tokenised(row, *line, tokenizer, form, end).and_then(|pair| {
            let rationale = rationale::tokenised(row, index, tokenizer)
                .map_err(|e| ("rationale", "text that can be tokenised", e.to_string()))?;
            Ok((pair, rationale))
        });
        match tokenised {
            Ok((pair, rationale)) => {
                found.pairs.push(pair);
                found.rationales.extend(rationale);
            }
            Err((field, expected, got)) => notices.skip(DataError::Row {
                path: path.to_owned(),
                line: *line,
                field: field.to_owned(),
                expected: expected.to_owned(),
                got,
            })?,
        }
    }
    Ok(found)
}

/// A field, the expected value, and the actual value.
type Wrong = (&'static str, &'static str, String);

fn tokenised(
    row: &TextPreference,
    line: usize,
    tokenizer: &Tokenizer,
    form: &PromptForm,
    end: EndOfText,
) -> Result<PreferencePair, Wrong> {
    let texts = texts(row, tokenizer, form, end)
        .map_err(|e| ("prompt", "text that can be rendered", e.to_string()))?;
    let ids = texts
        .ids(tokenizer)
        .map_err(|e| ("chosen", "text that can be tokenised", e.to_string()))?;
    if ids.chosen.is_empty() || ids.rejected.is_empty() || ids.chosen == ids.rejected {
        let got = format!("{} and {} tokens", ids.chosen.len(), ids.rejected.len());
        return Err(("rejected", "two completions of different tokens", got));
    }
    if ids.prompt.is_empty() {
        return Err(("prompt", "at least one token before the completions", "none".into()));
    }
    Ok(pair(format!("line {line}"), texts, ids))
}

/// A row rendered to text.
struct Texts {
    prompt: String,
    chosen: String,
    rejected: String,
    /// Whether the tokenizer may add special tokens around the text; a chat template writes its own.
    framed: bool,
}

struct Ids {
    prompt: Vec<TokenId>,
    chosen: Vec<TokenId>,
    rejected: Vec<TokenId>,
}

fn texts(
    row: &TextPreference,
    tokenizer: &Tokenizer,
    form: &PromptForm,
    end: EndOfText,
) -> Result<Texts, PolicyError> {
    match (&row.prompt, &row.chosen, &row.rejected) {
        (Turn::Messages(prompt), Turn::Messages(chosen), Turn::Messages(rejected)) => {
            let opened = tokenizer.chat(prompt, true)?;
            let closed = |side: &[Message]| tokenizer.chat(&[prompt, side].concat(), false);
            let (chosen, rejected) = (closed(chosen)?, closed(rejected)?);
            Ok(Texts { prompt: opened, chosen, rejected, framed: false })
        }
        (Turn::Text(prompt), Turn::Text(chosen), Turn::Text(rejected)) => {
            let prompt = match &row.steps {
                Some(steps) => form.render_question(prompt, tokenizer)? + steps,
                None => prompt.clone(),
            };
            let whole = end == EndOfText::Always || end == EndOfText::Auto && row.steps.is_none();
            let eos = if whole { tokenizer.eos_text() } else { String::new() };
            let close = |side: &str| {
                let eos = if side.ends_with(&eos) { "" } else { &eos };
                format!("{prompt}{side}{eos}")
            };
            let (chosen, rejected) = (close(chosen), close(rejected));
            let chats = row.steps.is_some() && form.chat && tokenizer.chat_template().is_some();
            Ok(Texts { prompt, chosen, rejected, framed: !chats })
        }
        _ => Err(PolicyError::Request("text and messages in one row".into())),
    }
}

impl Texts {
    fn ids(&self, tokenizer: &Tokenizer) -> Result<Ids, PolicyError> {
        let encode = |text: &str| {
            if self.framed { tokenizer.encode_framed(text) } else { tokenizer.encode(text) }
        };
        let mut prompt = encode(&self.prompt)?;
        let (mut chosen, mut rejected) = (encode(&self.chosen)?, encode(&self.rejected)?);
        let cut = common_prefix(&prompt, &chosen).min(common_prefix(&prompt, &rejected));
        prompt.truncate(cut);
        chosen.drain(..cut);
        rejected.drain(..cut);
        Ok(Ids { prompt, chosen, rejected })
    }
}

/// A pair without visits: no smoothing, unit margin and weight.
fn pair(problem_id: String, texts: Texts, ids: Ids) -> PreferencePair {
    let side = |text: &str| text.strip_prefix(&texts.prompt).unwrap_or(text).to_owned();
    PreferencePair {
        version: PAIR_VERSION,
        problem_id,
        round: 0,
        policy: String::new(),
        oracle: false,
        hinted: false,
        injected: false,
        timed: false,
        depth: 1,
        chosen: side(&texts.chosen),
        rejected: side(&texts.rejected),
        prompt: texts.prompt,
        prompt_ids: ids.prompt,
        chosen_ids: ids.chosen,
        rejected_ids: ids.rejected,
        chosen_logps: vec![],
        rejected_logps: vec![],
        logps_exact: false,
        q_chosen: 1.0,
        q_rejected: 0.0,
        advantage_chosen: None,
        advantage_rejected: None,
        n_chosen: 0,
        n_rejected: 0,
        prior_chosen: 0.0,
        prior_rejected: 0.0,
        self_evaluation_chosen: None,
        self_evaluation_rejected: None,
        outcome_chosen: 0.0,
        outcome_rejected: 0.0,
        terminal_chosen: false,
        terminal_rejected: false,
        alpha: 0.0,
        margin: 1.0,
        weight: 1.0,
    }
}
