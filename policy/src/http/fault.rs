//! Faults between this program and a server, classified by the reaction.

use std::time::Duration;

use crate::PolicyError;

/// Reason for which a request failed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// No connection: try another server, or the same one later.
    Down(String),
    /// The two ends do not agree on a protocol: TLS on one side only, or a certificate that is not trusted.
    /// Try another server.
    Protocol(String),
    /// The server answered that it cannot serve the request now (429, 5xx).
    Busy {
        /// Kind of the condition.
        kind: Busy,
        /// The server's message.
        detail: String,
        /// Pause that the server requests; `None` if it requests none.
        after: Option<Duration>,
    },
    /// Not a valid reply, such as truncated JSON: the connection may be at fault, so retry.
    Garbled(String),
    /// The server refuses this request and would refuse it again.
    Refused(String),
    /// The reply is valid but cannot be used.
    Reply(String),
    /// The server does not support the requested operation.
    Unsupported(String),
}

/// Reason for which a server cannot serve a request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// Overloaded (429, 408).
    Overloaded,
    /// Starting, or draining before it exits (503).
    NotReady,
    /// Failed on this request (other 5xx).
    Failed,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Down(detail)
            | Self::Protocol(detail)
            | Self::Busy { detail, .. }
            | Self::Garbled(detail)
            | Self::Refused(detail)
            | Self::Reply(detail)
            | Self::Unsupported(detail) => f.write_str(detail),
        }
    }
}

impl Fault {
    /// Whether the same request may succeed later or elsewhere.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Down(_) | Self::Protocol(_) | Self::Busy { .. } | Self::Garbled(_))
    }

    /// The failure of one request while servers answer others: only this request ends.
    pub(super) fn of_one_request(self) -> Self {
        let detail = format!("{self}; the servers answer other requests, but never this one");
        match self {
            Self::Garbled(_) => Self::Reply(detail),
            _ => Self::Refused(detail),
        }
    }
}

impl From<Fault> for PolicyError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Down(_) | Fault::Protocol(_) | Fault::Busy { .. } => Self::Server(format!(
                "{fault}; no server answered in time: see that they run (docs/servers.md); what is \
                 done is kept, and the same command goes on"
            )),
            Fault::Refused(detail) | Fault::Unsupported(detail) => Self::Request(detail),
            Fault::Reply(detail) | Fault::Garbled(detail) => Self::Model(detail),
        }
    }
}

impl From<PolicyError> for Fault {
    /// Errors on this side (a template, a tokenizer file) end a request like a refusal.
    fn from(error: PolicyError) -> Self {
        Self::Refused(error.to_string())
    }
}
