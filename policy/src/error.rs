//! The one error type of this crate.

use std::path::PathBuf;

use crate::ComputeDevice;

/// Errors while loading or calling a policy.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A file could not be read or is malformed.
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
        /// The system's error message.
        detail: String,
    },
    /// The policy specification is invalid, or nothing that it refers to can be used.
    #[error("policy `{spec}`: {detail}")]
    Spec {
        /// The specification.
        spec: String,
        /// What is wrong, and what is possible instead.
        detail: String,
    },
    /// The device does not exist, or this build does not support it.
    #[error("device `{device}`: {detail}")]
    Device {
        /// The device.
        device: ComputeDevice,
        /// What is wrong, and what is possible instead.
        detail: String,
    },
    /// The requested prompt form does not exist, or does not support a requested option.
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
    /// The request cannot be served: too long, empty, or with ids outside the vocabulary.
    #[error("request refused: {0}")]
    Request(String),
    /// The model produced something unusable (NaN logits, no candidate).
    #[error("the model failed: {0}")]
    Model(String),
    /// No server answers, or the servers cannot be used for any request.
    #[error("{0}")]
    Server(String),
    /// A thread of the engine panicked while it worked on the request.
    #[error("a thread of the policy panicked; this is a fault of this program")]
    Panicked,
    /// The engine stopped, or dropped a request, before it answered.
    #[error(
        "the policy stopped or lost a request before it answered; where there is a log of steps, the \
         same command goes on from it"
    )]
    Gone,
}

impl PolicyError {
    /// Whether all further requests will fail too, so that a run should end here.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Gone | Self::Panicked | Self::File { .. } | Self::Write { .. } | Self::Server(_)
        )
    }
}
