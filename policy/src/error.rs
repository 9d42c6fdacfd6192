//! The one error type of this crate.

use std::path::PathBuf;

use crate::ComputeDevice;

/// What can go wrong while loading or asking a policy.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A file could not be read.
    #[error("{path}: {detail}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        detail: String,
    },
    /// The log of answers could not be written.
    #[error("{path}: {detail}; the log of answers could not be continued")]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        detail: String,
    },
    /// The policy specification names nothing that exists.
    #[error("policy `{spec}`: {detail}")]
    Spec {
        /// What was asked for.
        spec: String,
        /// What is wrong and what is possible.
        detail: String,
    },
    /// The device is not there, or this build does not know it.
    #[error("device `{device}`: {detail}")]
    Device {
        /// What was asked for.
        device: ComputeDevice,
        /// What is wrong and what is possible.
        detail: String,
    },
    /// The prompt form that was asked for does not exist or does not do what was asked for.
    #[error("{0}")]
    Prompt(String),
    /// The template of a prompt cannot be used.
    #[error("{path}: {detail}")]
    PromptFile {
        /// The file.
        path: PathBuf,
        /// The line, what is wrong and what was expected.
        detail: String,
    },
    /// A request that cannot be served: too long, empty, outside the vocabulary.
    #[error("request refused: {0}")]
    Request(String),
    /// The model produced something unusable (NaN logits, no candidate).
    #[error("the model failed: {0}")]
    Model(String),
    /// No server answers any more, whatever is asked.
    #[error("{0}")]
    Server(String),
    /// A thread of the engine panicked while it worked on the request.
    #[error("a thread of the policy panicked; this is a fault of this program")]
    Panicked,
    /// The engine stopped, or let a request go, before it answered.
    #[error(
        "the policy stopped or lost a request before it answered; where there is a log of steps, the \
         same command goes on from it"
    )]
    Gone,
}

impl PolicyError {
    /// Whether the policy will answer nothing else either, so that a run should end here.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Gone | Self::Panicked | Self::File { .. } | Self::Write { .. } | Self::Server(_)
        )
    }
}
