//! One WebSocket from accept to close, in one task.
//!
//! `http` hands over the upgraded socket ([`serve`]). The handshake ([`handshake`]) proves who it
//! is; [`run`] then reads requests, writes answers and events, and ends in one place, which
//! always unregisters.

mod credential;
mod door;
mod handshake;
mod hello;
mod link;
mod meter;
mod places;
mod protocol;
mod refusal;
mod request;
mod run;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use gateway_schemas::catalogue::Role;

pub use meter::Meter;
pub use places::{Place, Places};

use crate::auth::local::{Origin, TrustedProxies};
use crate::auth::rate::Limiter;
use crate::auth::tailscale::Tailscale;
use crate::hub::Closing;
use crate::limits::HANDSHAKE_TIMEOUT;
use crate::methods::{self, Parts};
use link::Link;

/// What a connection brings along from its upgrade.
pub struct Arrival {
    /// Where it comes from.
    pub origin: Origin,
    /// Counts and bounds what is read before hello-ok.
    pub meter: Meter,
    /// The system says that it is a process of the user whom this gateway runs as: it needs
    /// neither secret nor pairing.
    pub own_user: bool,
    /// Its place among the sockets before hello-ok; given back there.
    pub place: Arc<Place>,
    /// Whose forwarding headers are believed.
    pub proxies: Arc<TrustedProxies>,
    /// Who is who in the tailnet, where Tailscale's word counts.
    pub tailscale: Option<Arc<Tailscale>>,
    /// Who failed too often.
    pub limiters: Arc<Limiters>,
}

/// The limiters of failed authentication, shared by all connections.
#[derive(Debug)]
pub struct Limiters {
    /// Programs; only when the configuration asks for it.
    pub programs: Option<Limiter>,
    /// Web pages.
    pub pages: Limiter,
}

/// Serves the socket until it is closed from either side.
pub async fn serve(socket: WebSocket, arrival: Arrival, parts: Arc<Parts>) {
    let mut link = Link::new(socket, arrival.meter.clone());
    let nonce = parts.clock.uuid();
    if !link.send_challenge(&nonce, parts.clock.now_ms()).await {
        return;
    }
    // Boxed: the handshake's state is large and gone for the rest of the connection.
    let shaken = Box::pin(handshake::handshake(&mut link, &arrival, &nonce, &parts));
    let Ok(admitted) = tokio::time::timeout(HANDSHAKE_TIMEOUT, shaken).await else {
        return link
            .close(&Closing {
                code: 1000,
                reason: String::new(),
            })
            .await;
    };
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(refusal) => return refusal.send(&mut link).await,
    };
    arrival.meter.lift();
    drop(arrival);
    let client = admitted.client;
    if client.caller.role == Role::Node {
        methods::voice::greet(&client.caller, &parts);
    }
    parts.health.want_refresh();
    run::run(&mut link, &client, &parts).await;
    parts.hub.unregister(client.caller.conn);
    parts.nodes.left(&client.caller);
    parts.presence.disconnected(&client.caller);
    tracing::debug!(conn = client.caller.conn.0, "connection ended");
}

/// How long a client may take to answer our close frame.
const CLOSE_WAIT: Duration = crate::limits::SOCKET_CLOSE_TIMEOUT;
