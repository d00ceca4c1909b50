//! `/hooks/…`: other programs wake the agent or give it something to do.
//!
//! Off until `hooks.enabled`, with a secret of its own that opens nothing else. Called by the
//! router of the port. `agent.rs` runs the agent, `mapping.rs` finds out what `/hooks/<name>` means,
//! `template.rs` makes its words. Promises the wire's order of refusals, and that a run that was
//! answered is on disk.

mod agent;
mod mapping;
mod template;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::api::{body, json_answer, visitor, wrong_verb};
use super::{Peer, Server, ws};
use crate::auth::rate::{Bucket, Try};
use crate::auth::secret;
use crate::config::{Config, HookWakeMode};
use crate::limits::{
    API_BODY_BYTES_MAX, HOOK_BODY_BYTES, HOOK_NAME_BYTES_MAX, SYSTEM_EVENT_TEXT_CHARS_MAX,
};
use agent::Task;
use mapping::Action;

/// The header for programs that have another `Authorization`.
const TOKEN: &str = "x-openclaw-token";
/// What is answered to a secret that would stand in logs of servers on the way.
const IN_QUERY: &str = "Hook token must be provided via Authorization: Bearer <token> or \
    X-OpenClaw-Token header (query parameters are not allowed).";

/// One call of a hook by somebody who may.
struct HookCall<'a> {
    server: &'a Server,
    config: &'a Config,
    head: &'a request::Parts,
    /// The path below `hooks.path`, without slashes around it.
    name: String,
    payload: Map<String, Value>,
}

/// Answers a request below `hooks.path`; gives it back when none is meant.
pub(super) async fn answer(
    server: &Server,
    config: &Config,
    peer: &Peer,
    request: Request,
) -> Result<Response, Request> {
    let base = config.hooks.base();
    let rest = request.uri().path().strip_prefix(base.as_str());
    let below = rest.filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let (Some(below), true) = (below, config.hooks.enabled) else {
        return Err(request);
    };
    let name = below.trim_matches('/').to_owned();
    let served = served(server, config, peer, request, name).await;
    Ok(served.unwrap_or_else(|refusal| refusal))
}

async fn served(
    server: &Server,
    config: &Config,
    peer: &Peer,
    request: Request,
    name: String,
) -> Result<Response, Response> {
    let (head, content) = request.into_parts();
    let query = head.uri.query().unwrap_or_default().as_bytes();
    if url::form_urlencoded::parse(query).any(|(key, _)| key == "token") {
        return Err(plain(StatusCode::BAD_REQUEST, IN_QUERY));
    }
    if head.method != Method::POST {
        return Err(wrong_verb("POST"));
    }
    admit(server, config, peer, &head.headers)?;
    if name.is_empty() || name.len() > HOOK_NAME_BYTES_MAX {
        return Err(plain(StatusCode::NOT_FOUND, "Not Found"));
    }
    peer.meter.lift();
    let most = config.hooks.max_body_bytes.unwrap_or(HOOK_BODY_BYTES);
    let most = most.min(API_BODY_BYTES_MAX);
    let bytes = body::read(server, peer, &head.headers, content, most).await;
    let payload = bytes.and_then(|bytes| body::json(&bytes));
    let payload = payload.map_err(|error| {
        let (status, text) = error.told();
        refused(status, &text)
    })?;
    let call = HookCall {
        server,
        config,
        head: &head,
        name,
        payload,
    };
    match call.name.as_str() {
        "wake" => call.wake_of_payload(),
        "agent" => agent::run(&call, Task::of_payload(&call)?).await,
        _ => match mapping::find(&call)? {
            Some(Action::Wake { text, mode }) => call.wake(&text, mode),
            Some(Action::Run(task)) => agent::run(&call, *task).await,
            None => Err(plain(StatusCode::NOT_FOUND, "Not Found")),
        },
    }
}

/// The hook's own secret, in constant time; who fails too often has to wait.
fn admit(
    server: &Server,
    config: &Config,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<(), Response> {
    let from = ws::origin_of(peer, headers);
    let address = from.client_address(&server.rules().proxies);
    let now_ms = server.parts.clock.now_ms();
    let limiter = &server.hook_failures;
    let Ok(tried) = limiter.begin(Bucket::Hook, address, now_ms) else {
        peer.meter.linger();
        let wait_ms = limiter.locked_ms(Bucket::Hook, address, now_ms);
        let mut response = plain(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
        let seconds = wait_ms.div_ceil(1_000).max(1);
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, seconds.into());
        return Err(response);
    };
    let own = headers.get(TOKEN).and_then(|value| value.to_str().ok());
    let sent = visitor::bearer(headers).or(own.map(str::trim));
    let token = config.hooks.token.as_ref();
    let token = token.map(|token| token.expose().trim());
    let known = token
        .zip(sent)
        .is_some_and(|(token, sent)| !token.is_empty() && secret::equal(token, sent));
    if !known {
        // Dropped, the try counts.
        peer.meter.linger();
        return Err(plain(StatusCode::UNAUTHORIZED, "Unauthorized"));
    }
    Try::succeeded(tried);
    Ok(())
}

impl HookCall<'_> {
    /// A text of the payload; none when it is absent, blank or no text.
    fn text(&self, name: &str) -> Option<&str> {
        let text = self.payload.get(name).and_then(Value::as_str)?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// A header's text.
    fn header(&self, name: &str) -> Option<&str> {
        let text = self.head.headers.get(name)?.to_str().ok()?.trim();
        (!text.is_empty()).then_some(text)
    }

    fn wake_of_payload(&self) -> Result<Response, Response> {
        let text = self.text("text").ok_or_else(|| invalid("text required"))?;
        let mode = match self.text("mode") {
            Some("next-heartbeat") => HookWakeMode::NextHeartbeat,
            _ => HookWakeMode::Now,
        };
        self.wake(text, mode)
    }

    fn wake(&self, text: &str, mode: HookWakeMode) -> Result<Response, Response> {
        agent::tell_main(&self.server.parts, text, mode, "hook:wake");
        let mode = match mode {
            HookWakeMode::Now => "now",
            HookWakeMode::NextHeartbeat => "next-heartbeat",
        };
        Ok(json_answer(
            StatusCode::OK,
            &json!({ "ok": true, "mode": mode }),
        ))
    }
}

/// A refusal in the shape of hooks.
fn refused(status: StatusCode, text: &str) -> Response {
    json_answer(status, &json!({ "ok": false, "error": text }))
}

fn invalid(text: &str) -> Response {
    refused(StatusCode::BAD_REQUEST, text)
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// At most as many characters as the main session is told at once.
fn event_text(text: &str) -> String {
    text.chars().take(SYSTEM_EVENT_TEXT_CHARS_MAX).collect()
}
