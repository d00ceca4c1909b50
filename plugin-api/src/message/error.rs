//! How an operation fails: a kind for the machine, words for the operator.
//!
//! Re-exported by `message`; split off only for length.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why an operation did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// This surface cannot do it.
    Unsupported,
    /// The request makes no sense here; repeating it will not help.
    InvalidRequest,
    /// The account's configuration is wrong. Stops the account.
    Config,
    /// The provider does not accept the credentials. Stops the account.
    Auth,
    /// No connection at the moment.
    NotConnected,
    /// The provider asks to slow down.
    RateLimited,
    /// The chat or message does not exist.
    NotFound,
    /// Larger than the provider takes.
    TooLarge,
    /// The account may not do this.
    Forbidden,
    /// No answer in time; it may have happened all the same.
    Timeout,
    /// A passing failure.
    Transient,
    /// The plugin panicked.
    Panic,
    /// Given up, by a cancel or because the account is stopping.
    Cancelled,
    /// Anything else, and what a newer peer knows.
    #[serde(other)]
    Other,
}

/// An operation's failure, in words for the operator. Never put a secret in `message`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SurfaceError {
    /// What kind, for the machine.
    pub kind: ErrorKind,
    /// What happened, for people.
    #[serde(default)]
    pub message: String,
    /// How long the provider asks to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The provider's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_code: Option<String>,
}

impl SurfaceError {
    /// A failure of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after_ms: None,
            provider_code: None,
        }
    }

    /// "`what` is not supported by this surface".
    pub fn unsupported(what: &str) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            format!("{what} is not supported by this surface"),
        )
    }

    /// The same, with the time the provider asks to wait.
    pub fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// The same, with the provider's own code.
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.provider_code = Some(code.into());
        self
    }

    /// May the same operation succeed later?
    pub fn retryable(&self) -> bool {
        use ErrorKind::{NotConnected, RateLimited, Timeout, Transient};
        matches!(self.kind, RateLimited | Transient | Timeout | NotConnected)
    }

    /// Must the account stop until a person changes something?
    pub fn stops_account(&self) -> bool {
        matches!(self.kind, ErrorKind::Auth | ErrorKind::Config)
    }
}

impl fmt::Display for SurfaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = serde_json::to_value(self.kind).unwrap_or(Value::Null);
        write!(f, "{}: {}", kind.as_str().unwrap_or("other"), self.message)
    }
}

impl std::error::Error for SurfaceError {}
