//! The body of a request: read within its size and time, and as JSON.
//!
//! Of large ones only a few are read at the same time, so that many askers can't fill the memory.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use serde_json::{Map, Value};

use super::super::{Peer, Server};
use crate::config::EndpointConfig;
use crate::limits::{API_BODY_BYTES, API_BODY_BYTES_MAX, BODY_TIMEOUT, HOOK_BODY_BYTES};

/// Why there is no body.
#[derive(Debug)]
pub(in crate::http) enum BodyError {
    /// More bytes than are taken.
    TooLarge,
    /// It did not come in time.
    TimedOut,
    /// The connection broke.
    Cut,
    /// It is no JSON.
    NotJson(serde_json::Error),
    /// It is JSON, but no object.
    NoObject,
}

impl BodyError {
    /// Its status, and the words for the asker.
    pub(in crate::http) fn told(&self) -> (StatusCode, String) {
        match self {
            BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Payload too large".into()),
            BodyError::TimedOut => (StatusCode::REQUEST_TIMEOUT, "Request body timeout".into()),
            BodyError::Cut => (StatusCode::BAD_REQUEST, "the request was cut off".into()),
            BodyError::NotJson(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            BodyError::NoObject => {
                let text = "Invalid input: expected object".to_owned();
                (StatusCode::BAD_REQUEST, text)
            }
        }
    }
}

/// The size that the configuration allows.
pub(super) fn most(settings: &EndpointConfig) -> usize {
    let most = settings.max_body_bytes.unwrap_or(API_BODY_BYTES);
    most.min(API_BODY_BYTES_MAX)
}

/// Reads a body of at most `most` bytes. For those who proved themselves.
///
/// # Errors
/// [`BodyError`].
pub(in crate::http) async fn read(
    server: &Server,
    peer: &Peer,
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<Bytes, BodyError> {
    let told = headers.get(header::CONTENT_LENGTH);
    let told = told.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let reading = async {
        let mut read = Vec::with_capacity(told.unwrap_or(0).min(HOOK_BODY_BYTES));
        let is_small = told.is_some_and(|bytes| bytes <= HOOK_BODY_BYTES);
        let _place = match is_small {
            true => None,
            false => server.large_bodies.acquire().await.ok(),
        };
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| BodyError::Cut)?;
            if read.len() + piece.len() > most {
                return Err(BodyError::TooLarge);
            }
            read.extend_from_slice(&piece);
        }
        Ok(Bytes::from(read))
    };
    let read = match told.is_some_and(|bytes| bytes > most) {
        true => Err(BodyError::TooLarge),
        false => tokio::time::timeout(BODY_TIMEOUT, reading)
            .await
            .unwrap_or(Err(BodyError::TimedOut)),
    };
    if read.is_err() {
        // What still comes must not cut our answer off.
        peer.meter.linger();
    }
    read
}

/// A body as a JSON object; an empty one has nothing in it.
///
/// # Errors
/// [`BodyError`].
pub(in crate::http) fn json(bytes: &[u8]) -> Result<Map<String, Value>, BodyError> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(bytes).map_err(BodyError::NotJson)? {
        Value::Object(map) => Ok(map),
        _ => Err(BodyError::NoObject),
    }
}
