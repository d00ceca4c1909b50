//! What programs ask over HTTP: `/v1/chat/completions`, `/v1/responses`, `/tools/invoke`.
//!
//! Called by the router of the port for paths that the configuration switches on. [`visitor`]
//! proves who asks, [`body`] reads what, [`ask`] runs the agent; each other file is one interface.
//! Promises: nothing of a body is read for somebody unknown; a run whose asker has left is stopped.

mod ask;
pub(super) mod body;
mod chat;
mod completions;
mod content;
mod place;
mod responses;
mod stream;
pub(super) mod tools;
pub(super) mod visitor;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::{Peer, Server};
use crate::config::Config;
use body::BodyError;

/// Who may use the interfaces of this file, for a device that comes with its own token.
const SCOPE: &str = "operator.write";

/// Answers a request for one of the interfaces; gives it back when none of them is meant.
pub(super) async fn answer(
    server: &Server,
    config: &Config,
    peer: &Peer,
    request: Request,
) -> Result<Response, Request> {
    let endpoints = &config.gateway.http.endpoints;
    let known = match request.uri().path() {
        "/tools/invoke" => true,
        "/v1/responses" => endpoints.responses.enabled,
        "/v1/chat/completions" => endpoints.chat_completions.enabled,
        _ => false,
    };
    if !known {
        return Err(request);
    }
    Ok(served(server, config, peer, request)
        .await
        .unwrap_or_else(|refusal| refusal))
}

async fn served(
    server: &Server,
    config: &Config,
    peer: &Peer,
    request: Request,
) -> Result<Response, Response> {
    if request.method() != Method::POST {
        return Err(wrong_verb("POST"));
    }
    let (head, content) = request.into_parts();
    let access = visitor::admit(server, config, peer, &head.headers)?;
    if !access.may(&server.parts, SCOPE) {
        return Err(visitor::unauthorised());
    }
    let path = head.uri.path();
    let json = async |most: usize| {
        let bytes = body::read(server, peer, &head.headers, content, most).await;
        let parsed = bytes.and_then(|bytes| body::json(&bytes));
        parsed.map_err(|error| refused(&error))
    };
    match path {
        "/tools/invoke" => {
            let given = json(crate::limits::TOOL_BODY_BYTES_MAX).await?;
            Ok(tools::invoke(server, config, &access, given).await)
        }
        "/v1/responses" => {
            let settings = &config.gateway.http.endpoints.responses;
            let given = json(body::most(settings)).await?;
            responses::answer(server, config, &head.headers, &given).await
        }
        _ => {
            let settings = &config.gateway.http.endpoints.chat_completions;
            let given = json(body::most(settings)).await?;
            completions::answer(server, config, &head.headers, &given).await
        }
    }
}

fn refused(error: &BodyError) -> Response {
    let (status, text) = error.told();
    failure(status, "invalid_request_error", &text)
}

/// A request that can't be done as it is.
fn invalid(text: &str) -> Response {
    failure(StatusCode::BAD_REQUEST, "invalid_request_error", text)
}

/// An error in the shape of these interfaces.
pub(super) fn failure(status: StatusCode, kind: &str, text: &str) -> Response {
    json_answer(
        status,
        &json!({ "error": { "message": text, "type": kind } }),
    )
}

/// A JSON answer.
pub(super) fn json_answer(status: StatusCode, body: &impl Serialize) -> Response {
    let headers = [(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    )];
    let text = serde_json::to_string(body).unwrap_or_default();
    (status, headers, Body::from(text)).into_response()
}

/// 405.
pub(super) fn wrong_verb(allowed: &'static str) -> Response {
    let headers = [
        (header::ALLOW, HeaderValue::from_static(allowed)),
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
    ];
    (
        StatusCode::METHOD_NOT_ALLOWED,
        headers,
        "Method Not Allowed",
    )
        .into_response()
}

/// A header's text; none when it is absent, blank or no text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then_some(value)
}
