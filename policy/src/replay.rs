//! A policy that answers from a log, without a model.
//!
//! Only recorded answers are available: a request that is not in the log is an error. So a replayed search
//! proves that it sends no request that was not recorded. The log is written by [`crate::Recording`].

use std::path::Path;

use regrowth_datasets::{Problem, TokenId};

use crate::record::{Header, LOG_FILE, Log};
use crate::{Call, Limits, Policy, PolicyError, Prompt};

/// Answers from a recorded log.
#[derive(Debug)]
pub struct Replay {
    log: Log,
}

impl Replay {
    /// Opens the log at `path`, or the log in the folder of a search.
    ///
    /// # Errors
    /// [`PolicyError::File`] when it cannot be read or is not a log.
    pub fn open(path: &Path) -> Result<Self, PolicyError> {
        let inside = path.is_dir().then(|| path.join(LOG_FILE));
        Ok(Self { log: Log::open(inside.as_deref().unwrap_or(path))? })
    }

    fn missing(what: &str) -> PolicyError {
        PolicyError::Request(format!(
            "the log does not hold {what}: a replay needs the problems, the seed and the settings of \
             the recorded search (--config with the config.toml beside the log)"
        ))
    }
}

impl Policy for Replay {
    /// The identity of the recorded policy, so that replayed rows equal recorded ones.
    fn identity(&self) -> &str {
        &self.log.header.policy
    }

    fn limits(&self) -> Limits {
        let Header { context, in_flight, question, .. } = self.log.header;
        Limits { context, in_flight, question }
    }

    fn prompt(&self, problem: &Problem) -> Result<Prompt, PolicyError> {
        let prompt = self.log.prompt(problem)?;
        prompt.ok_or_else(|| Self::missing(&format!("a prompt of the problem {}", problem.id)))
    }

    fn encode(&self, text: &str) -> Result<Vec<TokenId>, PolicyError> {
        self.log.encoded(text).ok_or_else(|| Self::missing("the ids of this text"))
    }

    fn decode(&self, ids: &[TokenId]) -> Result<String, PolicyError> {
        self.log.decoded(ids).ok_or_else(|| Self::missing("the text of these ids"))
    }

    fn eos(&self) -> Option<TokenId> {
        self.log.header.eos
    }

    fn submit(&self, call: Call) {
        let found = self.log.answer(&call.request);
        let result = found.and_then(|found| found.ok_or_else(|| Self::missing("this request")));
        call.caller.answer(result);
    }
}
