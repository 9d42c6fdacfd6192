//! What a policy can be asked, and what it answers.
//!
//! Requests carry token ids of the whole prefix and a random key per candidate, so an answer is a
//! pure function of the request and the weights.

use std::sync::Arc;

use regrowth_datasets::{Choice, Step, TokenId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Grades;

/// One question to a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Sample candidates for the next step.
    Propose(Propose),
    /// Is this step correct?
    Judge(Judge),
    /// Log-probabilities of a given continuation.
    Score(Score),
    /// The hidden state at the end of a given step.
    Hidden(Hidden),
}

impl Request {
    /// What every kind of request begins with: prompt and steps so far.
    #[must_use]
    pub fn prefix(&self) -> &Arc<[TokenId]> {
        match self {
            Self::Propose(propose) => &propose.prefix,
            Self::Judge(judge) => &judge.prefix,
            Self::Score(score) => &score.prefix,
            Self::Hidden(hidden) => &hidden.prefix,
        }
    }
}

/// Sample `keys.len()` candidates for the step after `prefix`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Propose {
    /// Prompt and the steps so far; not empty.
    pub prefix: Arc<[TokenId]>,
    /// One random key per candidate; candidate `i` depends on `keys[i]` and on nothing else of the
    /// list.
    pub keys: Vec<u64>,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Whether candidate 0 takes the most likely token everywhere.
    pub greedy_first: bool,
    /// Where a step ends.
    pub boundary: Boundary,
    /// What ends the whole solution besides EOS.
    #[serde(default, skip_serializing_if = "StopAt::is_empty")]
    pub stop_at: StopAt,
    /// Most tokens of one candidate, at least 1.
    pub max_tokens: usize,
}

/// What ends a solution besides EOS. The token that completes it belongs to the step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StopAt {
    /// Texts, none empty; a text may lie across token borders and in special tokens, but not
    /// across the steps of a solution.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strings: Vec<String>,
    /// Token ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<TokenId>,
}

impl StopAt {
    /// Whether nothing but EOS ends a solution.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.strings.is_empty() && self.ids.is_empty()
    }
}

/// How tokens are drawn from the model's distribution.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Divides the logits; 0 means greedy.
    #[serde(serialize_with = "shortest")]
    pub temperature: f32,
    /// Keep the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set with this much probability; 1 keeps all.
    #[serde(serialize_with = "shortest")]
    pub top_p: f32,
    /// Keep tokens with at least this share of the best one's probability; 0 keeps all.
    #[serde(serialize_with = "shortest")]
    pub min_p: f32,
}

/// Writes 0.8 where the format knows double precision alone, not 0.800000011920929.
fn shortest<S: serde::Serializer>(number: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(number.to_string().parse().unwrap_or(f64::from(*number)))
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

impl Sampling {
    /// The most likely token everywhere.
    #[must_use]
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Whether a sampled token's probability is the model's own (temperature 1, no truncation).
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.temperature == 1.0 && self.top_k == 0 && self.top_p >= 1.0 && self.min_p <= 0.0
    }
}

/// Where a step ends. The token that completes the boundary belongs to the step; a boundary before
/// the first visible character does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Boundary {
    /// After a line break.
    Newline,
    /// After a token that ends in `.` (but for one after a digit), `!` or `?`, or after a line
    /// break.
    Sentence,
    /// After this string.
    Marker(String),
    /// After the first whole sentence at or past this many tokens.
    Tokens(usize),
    /// After a part of a solution that says something: a paragraph, or lines that stand for themselves.
    /// Headings, labels and announcements are joined to what follows them, display mathematics and
    /// code are kept whole, and a step that runs out of tokens is cut back to its last whole line or
    /// sentence.
    Paragraph,
    /// After as many whole lines as the token budget holds, else after as many whole sentences (the
    /// authors' form).
    Lines,
    /// Only EOS or the token budget: the rest of the solution in one step.
    End,
}

impl std::fmt::Display for Boundary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newline => f.write_str("newline"),
            Self::Sentence => f.write_str("sentence"),
            Self::Marker(text) => write!(f, "marker@{text}"),
            Self::Tokens(least) => write!(f, "tokens@{least}"),
            Self::Paragraph => f.write_str("paragraph"),
            Self::Lines => f.write_str("lines"),
            Self::End => f.write_str("end"),
        }
    }
}

impl std::str::FromStr for Boundary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.split_once('@')) {
            ("newline", _) => Ok(Self::Newline),
            ("sentence", _) => Ok(Self::Sentence),
            ("paragraph", _) => Ok(Self::Paragraph),
            ("lines", _) => Ok(Self::Lines),
            ("end", _) => Ok(Self::End),
            (_, Some(("tokens", least))) => {
                least.parse().map(Self::Tokens).map_err(|e| format!("{least}: {e}"))
            }
            (_, Some(("marker", marker))) if !marker.is_empty() => Ok(Self::Marker(marker.into())),
            _ => {
                Err("expected paragraph, lines, newline, sentence, tokens@N, marker@TEXT or end"
                    .into())
            }
        }
    }
}

/// Is the step after `prefix` correct? The policy puts the question itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    /// Prompt and the steps before the judged one.
    pub prefix: Arc<[TokenId]>,
    /// Token ids of the judged step.
    pub step: Arc<[TokenId]>,
    /// Reference solution to be shown ("hinted"; the paper's EXAMPLE ANSWER), off by default.
    pub hint: Option<String>,
    /// Order of the two options.
    pub order: OptionOrder,
    /// What a new prompt restates before the question (the paper's form). Without it the question
    /// follows the step itself, and a cached prefix is extended by the question's tokens alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restated: Option<Restated>,
    /// Grades that are asked for in place of (A) and (B); `order` then has no meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grades: Option<Arc<Grades>>,
}

/// What the judge's own prompt says of the problem and of its solution so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restated {
    /// The problem's question.
    pub question: String,
    /// Its options, if it is multiple choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Text of all steps up to and with the judged one.
    pub solution: String,
    /// Whether the question is if the solution so far heads in the right direction; else it is if its
    /// last step is correct.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub direction: bool,
}

/// Order in which "correct" and "incorrect" are offered to the judge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OptionOrder {
    /// (A) is "correct": the paper's order.
    #[default]
    CorrectFirst,
    /// (B) is "correct".
    CorrectLast,
    /// Both orders are asked and averaged.
    Both,
}

impl OptionOrder {
    /// The questions that are asked: whether (A) means "correct", each.
    #[must_use]
    pub fn questions(self) -> &'static [bool] {
        match self {
            Self::CorrectFirst => &[true],
            Self::CorrectLast => &[false],
            Self::Both => &[false, true],
        }
    }
}

/// Log-probabilities of `continuation` after `prefix`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// What comes before; not empty.
    pub prefix: Arc<[TokenId]>,
    /// What is scored; not empty.
    pub continuation: Arc<[TokenId]>,
}

/// The hidden state of the last token of `step`: of the last layer, after the final norm. Only engines
/// that have the weights answer it ([`Policy::gives_hidden_states`](crate::Policy::gives_hidden_states)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hidden {
    /// Prompt and the steps before this one; not empty.
    pub prefix: Arc<[TokenId]>,
    /// Token ids of the step; not empty.
    pub step: Arc<[TokenId]>,
}

/// A policy's answer, of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Propose`].
    Candidates(Candidates),
    /// To [`Request::Judge`].
    Judgement(Judgement),
    /// To [`Request::Score`].
    Scores(Scores),
    /// To [`Request::Hidden`].
    Hidden(HiddenState),
}

impl Response {
    /// What it cost.
    #[must_use]
    pub fn usage(&self) -> Usage {
        match self {
            Self::Candidates(got) => got.usage,
            Self::Judgement(got) => got.usage,
            Self::Scores(got) => got.usage,
            Self::Hidden(got) => got.usage,
        }
    }
}

/// Sampled candidates, in the order of the request's keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidates {
    /// One for each key.
    pub candidates: Vec<Candidate>,
    /// What it cost.
    pub usage: Usage,
}

/// One sampled step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The step.
    pub step: Step,
    /// Whether `step.logps` are the log-probabilities it was really drawn with.
    pub logps_exact: bool,
}

/// What the policy thinks of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// p(correct) / (p(correct) + p(incorrect)), or the mean value of the [`Grades`] by their probabilities, in
    /// [0, 1]; `None` when the labels together hold too little probability to mean anything: unknown, never 0 by
    /// accident.
    pub correct: Option<f64>,
    /// Probability that the labels hold together.
    pub mass: f64,
    /// What it cost.
    pub usage: Usage,
}

/// Log-probabilities of a continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// One per token of the continuation, natural log.
    pub logps: Vec<f32>,
    /// Whether each token is the most likely one at its place.
    pub greedy: Vec<bool>,
    /// What it cost.
    pub usage: Usage,
}

/// A final hidden state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HiddenState {
    /// The values, as many as the model is wide; base64 of little-endian f32 in a log.
    #[serde(with = "base64_floats")]
    pub values: Vec<f32>,
    /// What it cost.
    pub usage: Usage,
}

/// Many floats in JSON: in decimals they would take twice the room.
mod base64_floats {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(values: &[f32], to: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let bytes = STANDARD.decode(String::deserialize(from)?).map_err(D::Error::custom)?;
        let (values, rest) = bytes.as_chunks::<4>();
        match rest.is_empty() {
            true => Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect()),
            false => Err(D::Error::custom(format!("{} bytes are no f32 values", bytes.len()))),
        }
    }
}

/// Tokens that a request really cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Prefix tokens computed.
    pub prefilled: u64,
    /// Those of them that had been computed before and were given up for want of room.
    #[serde(skip_serializing_if = "none")]
    pub recomputed: u64,
    /// Prefix tokens taken from the cache.
    pub reused: u64,
    /// Rows of the forward pass computed to sample. Candidates that begin alike share them, so they
    /// are fewer than the tokens sampled; the last token of a step is computed, as prefix, when
    /// something follows it.
    #[serde(alias = "decoded")]
    pub sampling_rows: u64,
    /// Tokens of the judge's question computed (never cached).
    pub judged: u64,
    /// Tokens of judge's prompts that restate problem and solution computed, the question among
    /// them.
    #[serde(skip_serializing_if = "none")]
    pub restated: u64,
}

fn none(tokens: &u64) -> bool {
    *tokens == 0
}

impl Usage {
    /// Tokens computed, for whatever: those from the cache are not among them.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.prefilled + self.sampling_rows + self.judged + self.restated
    }
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prefilled += other.prefilled;
        self.recomputed += other.recomputed;
        self.reused += other.reused;
        self.sampling_rows += other.sampling_rows;
        self.judged += other.judged;
        self.restated += other.restated;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_named_as_they_are_read() {
        for name in ["newline", "sentence", "paragraph", "lines", "end", "tokens@20", "marker@~"] {
            assert_eq!(name.parse::<Boundary>().unwrap().to_string(), name);
        }
        for name in ["line", "tokens", "tokens@x", "marker@", ""] {
            assert!(name.parse::<Boundary>().is_err(), "{name}");
        }
    }
}
