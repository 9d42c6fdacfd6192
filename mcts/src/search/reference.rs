//! The reference solution, split into steps that can be injected as candidates.
//!
//! A step is a line of the solution including its line break; the last step states the answer and ends in
//! EOS. (The paper's run with injected steps is an option of the authors' code.)

use std::sync::Arc;

use regrowth_datasets::{Finish, TokenId};
use regrowth_policy::{Policy, PolicyError};

/// Steps of a reference solution, from the first to the last; may be empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReferenceSolution {
    steps: Vec<ReferenceStep>,
}

/// One step, or several joined.
#[derive(Debug, Clone)]
pub(crate) struct ReferenceStep {
    pub(crate) ids: Arc<[TokenId]>,
    pub(crate) text: String,
    pub(crate) finish: Finish,
}

impl ReferenceSolution {
    /// Encodes the lines of `solution` with the policy's tokenizer. `states` returns whether a line states
    /// the answer. If no line does (GSM8K publishes answers separately), a last line with the answer is
    /// added, so that no training example ends without an answer.
    pub(crate) fn encode(
        policy: &dyn Policy,
        solution: &str,
        answer: &str,
        states: impl Fn(&str) -> bool,
    ) -> Result<Self, PolicyError> {
        let mut whole = solution.trim_end().to_owned();
        if !whole.lines().any(states) {
            whole.push_str(&format!("\n#### {answer}"));
        }
        let lines: Vec<&str> =
            whole.split_inclusive('\n').filter(|line| !line.trim().is_empty()).collect();
        let mut steps = Vec::with_capacity(lines.len());
        for (index, line) in lines.iter().enumerate() {
            let mut ids = policy.encode(line)?;
            let last = index + 1 == lines.len();
            let eos = policy.eos().filter(|_| last);
            ids.extend(eos);
            let finish = if eos.is_some() { Finish::Eos } else { Finish::Boundary };
            steps.push(ReferenceStep { ids: ids.into(), text: (*line).to_owned(), finish });
        }
        Ok(Self { steps })
    }

    /// The step that follows the first `done` steps; if `all`, all remaining steps, joined. `None` if no step
    /// is left.
    pub(crate) fn next(&self, done: usize, all: bool) -> Option<ReferenceStep> {
        let left = self.steps.get(done..).filter(|left| !left.is_empty())?;
        let left = if all { left } else { &left[..1] };
        Some(ReferenceStep {
            ids: left.iter().flat_map(|s| s.ids.iter().copied()).collect(),
            text: left.iter().map(|s| s.text.as_str()).collect(),
            finish: left[left.len() - 1].finish,
        })
    }
}
