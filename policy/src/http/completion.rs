//! What a dialect is asked and what it answers: one sampled continuation, a few labels, scores.
//!
//! Prompts are token ids whatever the server takes.

use std::sync::Arc;

use regrowth_datasets::TokenId;

use super::fault::Fault;
use super::reply::Reply;
use crate::Sampling;
use crate::grades::is_label;

/// A continuation to be sampled.
#[derive(Debug, Clone)]
pub(super) struct Completion {
    /// Everything before it; not empty.
    pub(super) prompt: Arc<[TokenId]>,
    /// Tokens at most, at least 1.
    pub(super) max_tokens: usize,
    /// How tokens are drawn.
    pub(super) sampling: Sampling,
    /// Seed of the draw; a dialect takes as many of its bits as its server does.
    pub(super) seed: u64,
    /// Strings after which it stops; what stops it is kept.
    pub(super) stops: Vec<String>,
}

/// Why a continuation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At one of the strings.
    Stop,
    /// The model ended the solution.
    Eos,
    /// The tokens were used up.
    Length,
}

/// A sampled continuation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Completed {
    /// Token ids, EOS included where the server gives it.
    pub(super) ids: Vec<TokenId>,
    /// The model's log-probability of each at temperature 1.
    pub(super) logps: Vec<f32>,
    /// Why it ended.
    pub(super) end: End,
    /// Whether ids and log-probabilities are those that were drawn, not made from text again.
    pub(super) exact: bool,
    /// Tokens of the prompt that the server had in its cache, where it says so.
    pub(super) reused: u64,
}

impl Completed {
    /// Checks that there is one log-probability a token.
    pub(super) fn checked(self, reply: &Reply) -> Result<Self, Fault> {
        if self.ids.len() == self.logps.len() {
            return Ok(self);
        }
        let (ids, logps) = (self.ids.len(), self.logps.len());
        Err(reply.bad(&format!("one log-probability for each of {ids} tokens, not {logps}")))
    }
}

/// A label that a judge's question may be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Label {
    /// Its text, for servers that name tokens by it.
    pub(super) text: String,
    /// The ids that write it, as far as they are known.
    pub(super) ids: Vec<TokenId>,
}

impl Label {
    /// Whether a token of this text is the label.
    pub(super) fn is(&self, text: &str) -> bool {
        is_label(text, &self.text)
    }
}

/// Probabilities of the labels, each summed over the ways to write it. A label of which nothing is
/// among what the server lists is not improbable but unknown, and so is the answer.
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

/// Log-probabilities of the server's tokens on `count` ids: one each where the numbers agree, else
/// their sum on the last.
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

/// Scores of a continuation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scored {
    /// One log-probability a token.
    pub(super) logps: Vec<f32>,
    /// Whether each token is the most likely one at its place.
    pub(super) greedy: Vec<bool>,
    /// Tokens that the server had in its cache.
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
