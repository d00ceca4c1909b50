//! `/healthz` and `/readyz`, for service managers and load balancers.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

use super::api::visitor;
use super::{Peer, Server, ws};
use crate::config::Config;

/// The process answers.
pub(super) fn live(method: &Method) -> Response {
    answer(
        method,
        StatusCode::OK,
        &json!({ "ok": true, "status": "live" }),
    )
}

/// The gateway serves. Details only for this host, and for whoever proves itself.
pub(super) fn ready(server: &Server, config: &Config, peer: &Peer, request: &Request) -> Response {
    let ready = server.ready.load(Ordering::Relaxed);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let origin = ws::origin_of(peer, request.headers());
    let headers = request.headers();
    let known = || {
        visitor::bearer(headers).is_some() && visitor::admit(server, config, peer, headers).is_ok()
    };
    let body = if origin.is_local(&server.rules().proxies) || known() {
        let failing = server.parts.failing_channels();
        let uptime = server
            .parts
            .clock
            .now_ms()
            .saturating_sub(server.parts.started_ms);
        json!({ "ready": ready, "failing": failing, "uptimeMs": uptime })
    } else {
        json!({ "ready": ready })
    };
    answer(request.method(), status, &body)
}

fn answer(method: &Method, status: StatusCode, body: &Value) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, "GET, HEAD")];
        return (StatusCode::METHOD_NOT_ALLOWED, allow, "Method Not Allowed").into_response();
    }
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body.to_string()).into_response()
}
