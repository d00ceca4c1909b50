//! The error object of a response: its closed set of codes and its shape.
//!
//! Made by the host (`GatewayError` turns into [`ErrorShape`]), read by the command line.
//! Absent fields are never written: clients drop a frame with `"retryable":null`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why a request failed, as the wire names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The caller did something wrong: bad frame, bad params, missing scope, failed auth.
    InvalidRequest,
    /// The device is unknown or asks for more than it was granted.
    NotPaired,
    /// The gateway or something behind it could not do it now.
    Unavailable,
    /// The channel has no linked account. Declared by the wire, not sent at present.
    NotLinked,
    /// The agent took too long. Declared by the wire, not sent at present.
    AgentTimeout,
    /// A scope is missing. Protocol 4 only; protocol 3 says [`ErrorCode::InvalidRequest`].
    Forbidden,
}

impl ErrorCode {
    /// The text of the code on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::NotPaired => "NOT_PAIRED",
            Self::Unavailable => "UNAVAILABLE",
            Self::NotLinked => "NOT_LINKED",
            Self::AgentTimeout => "AGENT_TIMEOUT",
            Self::Forbidden => "FORBIDDEN",
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The `error` object of a failed response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorShape {
    /// What kind of failure.
    pub code: ErrorCode,
    /// The text people and some clients read; never empty.
    pub message: String,
    /// More for machines; its shape depends on the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Value>,
    /// Whether the same request may succeed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// How long to wait before asking again, milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorShape {
    /// An error of `code` with a message and nothing else.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
            retryable: None,
            retry_after_ms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn absent_fields_are_not_written() {
        let e = ErrorShape::new(ErrorCode::NotPaired, "pairing required");
        let text = serde_json::to_string(&e).unwrap();
        assert_eq!(
            text,
            r#"{"code":"NOT_PAIRED","message":"pairing required"}"#
        );
    }

    #[test]
    fn code_text_and_serde_agree() {
        use ErrorCode::*;
        for code in [
            InvalidRequest,
            NotPaired,
            Unavailable,
            NotLinked,
            AgentTimeout,
            Forbidden,
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
