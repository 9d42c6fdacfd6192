//! Requests to a dialect and its responses: one sampled continuation, label probabilities, scores.
//!
//! Prompts are token ids, whatever the server accepts.

use std::sync::Arc;

use regrowth_datasets::TokenId;

use super::fault::Fault;
use super::reply::Reply;
use crate::Sampling;
use crate::grades::is_label;

/// A request to sample one continuation.
#[derive(Debug, Clone)]
pub(super) struct Completion {
    /// All tokens before the continuation; not empty.
    pub(super) prompt: Arc<[TokenId]>,
    /// Maximum number of tokens, at least 1.
    pub(super) max_tokens: usize,
    /// Sampling settings.
    pub(super) sampling: Sampling,
    /// Sampling seed; each dialect uses as many of its bits as the server accepts.
    pub(super) seed: u64,
    /// Stop strings; the stop string itself is kept in the text.
    pub(super) stops: Vec<String>,
}

/// Why a continuation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At a stop string.
    Stop,
    /// At EOS: the model ended the solution.
    Eos,
    /// At the token limit.
    Length,
}

/// A sampled continuation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Completed {
    /// Token ids, including EOS if the server returns it.
    pub(super) ids: Vec<TokenId>,
    /// Log-probability of each token under the model at temperature 1.
    pub(super) logps: Vec<f32>,
    /// Why the continuation ended.
    pub(super) end: End,
    /// Whether ids and log-probabilities are the sampled ones, not made by tokenising text.
    pub(super) exact: bool,
    /// Number of prompt tokens that the server had in its cache; 0 if it does not report them.
    pub(super) reused: u64,
}

impl Completed {
    /// Checks that there is one log-probability per token.
    pub(super) fn checked(self, reply: &Reply) -> Result<Self, Fault> {
        if self.ids.len() == self.logps.len() {
            return Ok(self);
        }
        let (ids, logps) = (self.ids.len(), self.logps.len());
        Err(reply.bad(&format!("one log-probability for each of {ids} tokens, not {logps}")))
    }
}

/// A label: one possible answer to a judge's question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    /// Text of the label, for servers that identify tokens by their text.
    pub(super) text: String,
    /// Token ids that decode to the label, as far as they are known.
    pub(super) ids: Vec<TokenId>,
}

impl Label {
    /// Whether a token with this text counts as the label.
    pub(super) fn is(&self, text: &str) -> bool {
        is_label(text, &self.text)
    }
}

/// Probability of each label, summed over the tokens that count as it. If the server lists none of a label's
/// tokens, its probability is unknown rather than small, and the result is `None`.
pub(super) fn label_masses<T>(
    labels: &[Label],
    listed: &[(T, f64)],
    means: impl Fn(&T, &Label) -> bool,
) -> Option<Vec<f64>> {
    let mass = |label: &Label| {
        let mut seen = listed.iter().filter(|(token, _)| means(token, label)).peekable();
        seen.peek()?;
        Some(seen.map(|(_, logp)| logp.exp()).sum::<f64>())
    };
    labels.iter().map(mass).collect()
}

/// Assigns the log-probabilities of the server's tokens to `count` ids: one per id if the numbers agree,
/// otherwise their sum to the last id and 0 to the others.
pub(super) fn spread(logps: &[f64], count: usize) -> Vec<f32> {
    if logps.len() == count {
        return logps.iter().map(|&l| l as f32).collect();
    }
    let mut spread = vec![0.0; count];
    if let Some(last) = spread.last_mut() {
        *last = logps.iter().sum::<f64>() as f32;
    }
    spread
}

/// Scores of a given continuation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scored {
    /// Log-probability of each token.
    pub(super) logps: Vec<f32>,
    /// Whether each token is the most likely one at its position.
    pub(super) greedy: Vec<bool>,
    /// Number of tokens that the server had in its cache.
    pub(super) reused: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(texts: [&str; 2]) -> [Label; 2] {
        texts.map(|text| Label { text: text.into(), ids: vec![] })
    }

    #[test]
    fn every_way_to_write_a_label_counts() {
        let listed = [("A", 0.5f64.ln()), (" A", 0.1f64.ln()), ("(B", 0.2f64.ln()), ("x", -9.0)];
        let found = label_masses(&labels(["A", "B"]), &listed, |t, label| label.is(t)).unwrap();
        assert!((found[0] - 0.6).abs() < 1e-12 && (found[1] - 0.2).abs() < 1e-12);
    }

    #[test]
    fn log_probabilities_keep_their_sum() {
        assert_eq!(spread(&[-1.0, -2.0], 2), [-1.0, -2.0]);
        assert_eq!(spread(&[-1.0, -2.0], 3), [0.0, 0.0, -3.0]);
        assert_eq!(spread(&[-1.0], 0), [0.0f32; 0]);
    }

    #[test]
    fn a_label_that_is_not_listed_is_unknown() {
        let listed = [("A", -0.1)];
        assert_eq!(label_masses(&labels(["A", "B"]), &listed, |t, label| label.is(t)), None);
    }
}
