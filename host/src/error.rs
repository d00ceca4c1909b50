//! What a failed request tells the client, and what it tells the log.
//!
//! [`GatewayError`] is made only in `methods` and `connection`: owners below have errors of their
//! own, and the method that asked decides what the client may hear of them. The cause stays here
//! and goes to the log alone.

use gateway_schemas::error::{ErrorCode, ErrorShape};
use serde_json::Value;

/// Any error that can cross threads.
pub type Boxed = Box<dyn std::error::Error + Send + Sync>;

/// A failed request: the client's half and the log's half.
#[derive(Debug)]
pub struct GatewayError {
    shape: Box<ErrorShape>,
    payload: Option<Value>,
    cause: Option<Boxed>,
}

impl GatewayError {
    /// With any code. Mind what clients match on: texts are part of the wire.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        GatewayError {
            shape: Box::new(ErrorShape::new(code, message)),
            payload: None,
            cause: None,
        }
    }

    /// `INVALID_REQUEST`: the caller did something wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, message)
    }

    /// `UNAVAILABLE`: it was asked rightly and didn't work.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unavailable, message)
    }

    /// Adds the `details` object.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.shape.details = Some(details);
        self
    }

    /// Marks the error as worth another try after `ms` milliseconds.
    #[must_use]
    pub fn retry_after(mut self, ms: u64) -> Self {
        self.shape.retryable = Some(true);
        self.shape.retry_after_ms = Some(ms);
        self
    }

    /// Sends `payload` beside the error, as failed agent and chat answers do.
    #[must_use]
    pub fn with_payload(mut self, payload: Value) -> Self {
        self.payload = Some(payload);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Boxed>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// What the client is told.
    pub fn shape(&self) -> &ErrorShape {
        &self.shape
    }

    /// The payload beside the error.
    pub fn payload(&self) -> Option<&Value> {
        self.payload.as_ref()
    }

    /// The cause and its causes, joined for one log line.
    pub fn cause_text(&self) -> Option<String> {
        let first = self.cause.as_deref()?;
        let mut text = first.to_string();
        let mut next = first.source();
        while let Some(cause) = next {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            next = cause.source();
        }
        Some(text)
    }
}

impl From<ErrorShape> for GatewayError {
    /// A remembered refusal, given again.
    fn from(shape: ErrorShape) -> Self {
        GatewayError {
            shape: Box::new(shape),
            payload: None,
            cause: None,
        }
    }
}

impl std::fmt::Display for GatewayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shape.message)
    }
}

impl std::error::Error for GatewayError {}
