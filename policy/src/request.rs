//! Requests to a policy, and its responses.
//!
//! A request carries the token ids of the whole prefix and a random key per candidate, so a response is a
//! pure function of the request and the weights.

use std::sync::Arc;

use regrowth_datasets::{Choice, Step, TokenId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Grades;

/// One request to a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Sample candidates for the next step.
    Propose(Propose),
    /// Asks whether a step is correct.
    Judge(Judge),
    /// Asks for the log-probabilities of a given continuation.
    Score(Score),
    /// Asks for the hidden state at the end of a given step.
    Hidden(Hidden),
}

impl Request {
    /// Returns the prefix of the request: prompt and steps so far.
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
    /// One random key per candidate. Candidate `i` depends on `keys[i]` and on no other key.
    pub keys: Vec<u64>,
    /// Sampling settings.
    pub sampling: Sampling,
    /// If true, candidate 0 is decoded greedily.
    pub greedy_first: bool,
    /// Where a step ends.
    pub boundary: Boundary,
    /// Stop strings and stop token ids, which end the whole solution, besides EOS.
    #[serde(default, skip_serializing_if = "StopAt::is_empty")]
    pub stop_at: StopAt,
    /// Maximum number of tokens of one candidate, at least 1.
    pub max_tokens: usize,
}

/// Stop strings and stop token ids: they end a solution, besides EOS. The token that completes a stop
/// belongs to the step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StopAt {
    /// Stop strings, none empty. A string may span several tokens and may include special tokens, but it
    /// must lie within one step.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub strings: Vec<String>,
    /// Stop token ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<TokenId>,
}

impl StopAt {
    /// Whether only EOS ends a solution.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.strings.is_empty() && self.ids.is_empty()
    }
}

/// Sampling settings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// Divides the logits; 0 means greedy.
    #[serde(serialize_with = "shortest")]
    pub temperature: f32,
    /// Keep the k most likely tokens; 0 keeps all.
    pub top_k: usize,
    /// Keep the smallest set of most likely tokens with at least this probability; 1 keeps all.
    #[serde(serialize_with = "shortest")]
    pub top_p: f32,
    /// Keep tokens whose probability is at least this share of the most likely token's; 0 keeps all.
    #[serde(serialize_with = "shortest")]
    pub min_p: f32,
}

/// Serialises 0.8f32 as 0.8 and not as 0.800000011920929 in formats that have only doubles.
fn shortest<S: serde::Serializer>(number: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(number.to_string().parse().unwrap_or(f64::from(*number)))
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

impl Sampling {
    /// Settings for greedy decoding.
    #[must_use]
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Whether a sampled token's probability is the model's own: temperature 1 without top-k, top-p or min-p.
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
    /// After a token that ends in `.` (except directly after a digit), `!` or `?`, or after a line break.
    Sentence,
    /// After this string.
    Marker(String),
    /// After the first complete sentence that ends at or after this many tokens.
    Tokens(usize),
    /// After a self-contained part of the solution: a paragraph, or lines that are complete on their own.
    /// Headings, labels and announcements are joined to the text after them; display mathematics and code
    /// are not split. A step that reaches the token limit is truncated to its last complete line or sentence.
    Paragraph,
    /// After as many complete lines as fit the token limit, or else as many complete sentences (as in the
    /// authors' code, Xie et al.).
    Lines,
    /// Only at EOS or the token limit: the rest of the solution in one step.
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

/// Asks whether the step after `prefix` is correct. The policy formulates the question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    /// Prompt and the steps before the judged one.
    pub prefix: Arc<[TokenId]>,
    /// Token ids of the judged step.
    pub step: Arc<[TokenId]>,
    /// Reference solution to show to the judge ("hinted"; the paper's EXAMPLE ANSWER); `None` by default.
    pub hint: Option<String>,
    /// Order of the two options.
    pub order: OptionOrder,
    /// If set, the judge gets a fresh prompt that restates problem and solution (the paper's form). If
    /// `None`, the question is appended to prefix and step, so with a cached prefix only the question's
    /// tokens are computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restated: Option<Restated>,
    /// Grades to choose from instead of (A) and (B); `order` then has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grades: Option<Arc<Grades>>,
}

/// Problem and solution so far, for a judge's fresh prompt that restates them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restated {
    /// The problem's question.
    pub question: String,
    /// Its options, if it is multiple choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Choice>,
    /// Text of all steps up to and including the judged one.
    pub solution: String,
    /// If true, the judge is asked whether the solution so far is heading in the right direction;
    /// otherwise, whether its last step is correct.
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
    /// One entry per question asked: true if (A) means "correct" in it.
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
    /// Tokens before the continuation; not empty.
    pub prefix: Arc<[TokenId]>,
    /// Tokens to score; not empty.
    pub continuation: Arc<[TokenId]>,
}

/// Asks for the hidden state of the last token of `step`: of the last layer, after the final norm. Only
/// engines that have the weights support this
/// ([`Policy::gives_hidden_states`](crate::Policy::gives_hidden_states)).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hidden {
    /// Prompt and the steps before this one; not empty.
    pub prefix: Arc<[TokenId]>,
    /// Token ids of the step; not empty.
    pub step: Arc<[TokenId]>,
}

/// A policy's response, of the same kind as the request.
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
    /// Returns the tokens that the request cost.
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
    /// One candidate per key.
    pub candidates: Vec<Candidate>,
    /// Tokens that the request cost.
    pub usage: Usage,
}

/// One sampled step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The step.
    pub step: Step,
    /// Whether `step.logps` may serve as the reference's log-probabilities in DPO: the tokens were sampled at
    /// temperature 1 without top-k, top-p or min-p.
    pub logps_exact: bool,
}

/// A policy's judgement of a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// p(correct) / (p(correct) + p(incorrect)), or the probability-weighted mean of the [`Grades`]; in
    /// [0, 1]. `None` (unknown) if the labels together have too little probability, so that an unknown
    /// judgement never counts as 0.
    pub correct: Option<f64>,
    /// Total probability of the labels.
    pub mass: f64,
    /// Tokens that the request cost.
    pub usage: Usage,
}

/// Log-probabilities of a continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Log-probability of each token of the continuation (natural logarithm).
    pub logps: Vec<f32>,
    /// Whether each token is the most likely one at its position.
    pub greedy: Vec<bool>,
    /// Tokens that the request cost.
    pub usage: Usage,
}

/// A final hidden state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HiddenState {
    /// The values, `[hidden]`; serialised as base64 of little-endian f32.
    #[serde(with = "base64_floats")]
    pub values: Vec<f32>,
    /// Tokens that the request cost.
    pub usage: Usage,
}

/// Serialises floats as base64; as decimals in JSON they would take twice the space.
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

/// Numbers of tokens that a request cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Prefix tokens computed.
    pub prefilled: u64,
    /// Part of `prefilled` that had been computed before and was evicted.
    #[serde(skip_serializing_if = "none")]
    pub recomputed: u64,
    /// Prefix tokens read from the prefix cache.
    pub reused: u64,
    /// Rows of forward passes computed while sampling. Fewer than the sampled tokens: candidates with a
    /// common beginning share rows, and a step's last token is not fed back (a later request that needs it
    /// counts it as prefix).
    #[serde(alias = "decoded")]
    pub sampling_rows: u64,
    /// Tokens computed for the judge's question when it is appended to prefix and step (never cached).
    pub judged: u64,
    /// Tokens computed for judge prompts that restate problem and solution (`Judge::restated`), including
    /// the question.
    #[serde(skip_serializing_if = "none")]
    pub restated: u64,
}

fn none(tokens: &u64) -> bool {
    *tokens == 0
}

impl Usage {
    /// Returns all tokens computed, for any purpose; tokens read from the cache are not counted.
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
