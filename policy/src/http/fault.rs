//! What can go wrong between this program and a server, by what to do about it.

use std::time::Duration;

use crate::PolicyError;

/// Why one exchange failed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// Nobody answers there: another server, or the same one later.
    Down(String),
    /// The two ends agree on no protocol: TLS against none, or a certificate that is not trusted.
    /// Another server may do.
    Protocol(String),
    /// The server is there and asks for patience (429, 5xx).
    Busy {
        /// What it says of itself.
        kind: Busy,
        /// What it said.
        detail: String,
        /// How long it asks to wait.
        after: Option<Duration>,
    },
    /// What came is no reply, such as JSON that is cut off: the way here may be bad.
    Garbled(String),
    /// The server refuses this request; it would again.
    Refused(String),
    /// The server's answer cannot be used.
    Reply(String),
    /// The server cannot do what is asked for.
    Unsupported(String),
}

/// What a server that asks for patience says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Busy {
    /// It has too much to do (429, 408).
    Overloaded,
    /// It is starting, or draining before it ends (503).
    NotReady,
    /// It failed at this request (other 5xx).
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

    /// The failure of one request while servers answer others: it ends this one alone.
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
    /// Errors of this side (a template, a tokenizer file) end a request as a refusal does.
    fn from(error: PolicyError) -> Self {
        Self::Refused(error.to_string())
    }
}
