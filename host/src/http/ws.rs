//! From an HTTP request to a connection task.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};

use super::{Peer, Server};
use crate::auth::local::Origin;
use crate::auth::proxy;
use crate::connection::{self, Arrival};
use crate::limits::{FRAME_BYTES_MAX, SOCKET_READ_BUFFER_BYTES};

/// Whether the client wants a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    let text = headers.get(header::UPGRADE).and_then(|v| v.to_str().ok());
    text.is_some_and(|v| {
        v.split(',')
            .any(|p| p.trim().eq_ignore_ascii_case("websocket"))
    })
}

/// Upgrades, on whatever path. The socket's task is held by the server's connections.
pub(super) async fn upgrade(server: &Arc<Server>, peer: Peer, request: Request) -> Response {
    let mut origin = origin_of(&peer, request.headers());
    let rules = server.rules();
    origin.asked = proxy::pick(&rules.asked, request.headers());
    let upgrade = match WebSocketUpgrade::from_request(request, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let arrival = Arrival {
        origin,
        meter: peer.meter,
        own_user: peer.own_user,
        place: peer.place,
        proxies: rules.proxies.clone(),
        tailscale: rules.tailscale.clone(),
        limiters: rules.limiters.clone(),
    };
    let (parts, connections) = (server.parts.clone(), server.connections.clone());
    upgrade
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .read_buffer_size(SOCKET_READ_BUFFER_BYTES)
        .on_upgrade(async move |socket| {
            connections.spawn("connection", connection::serve(socket, arrival, parts));
        })
}

/// Where a request comes from, by its socket and headers.
pub(super) fn origin_of(peer: &Peer, headers: &HeaderMap) -> Origin {
    // A field that came twice is joined: then it is neither a host, an origin nor an address.
    let text = |name: HeaderName| {
        let lines: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|v| String::from_utf8_lossy(v.as_bytes()))
            .collect();
        (!lines.is_empty()).then(|| lines.join(","))
    };
    Origin {
        peer: Some(peer.address.ip()),
        host: text(header::HOST),
        forwarded_for: text(HeaderName::from_static("x-forwarded-for")),
        real_ip: text(HeaderName::from_static("x-real-ip")),
        forwarded_host: headers.contains_key("x-forwarded-host"),
        origin: text(header::ORIGIN),
        asked: Vec::new(),
    }
}
