//! The one port: WebSocket upgrades on any path, probes, and nothing else yet.

mod listener;
mod local;
mod lock;
mod probes;
mod ws;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

pub use listener::{BindError, Bound, bind};
pub use local::{LocalSocket, bind_local};
pub use lock::{LockError, StateLock};

use crate::auth::local::TrustedProxies;
use crate::auth::proxy;
use crate::auth::rate::Limiter;
use crate::connection::{Limiters, Meter};
use crate::limits::{HANDSHAKES_MAX, LOCAL_HANDSHAKES_MAX};
use crate::methods::Parts;
use crate::shutdown::Tasks;

/// What the HTTP side needs beside the parts.
pub struct Server {
    parts: Arc<Parts>,
    connections: Tasks,
    handshakes: Arc<Semaphore>,
    local_handshakes: Arc<Semaphore>,
    proxies: Arc<TrustedProxies>,
    asked: Vec<HeaderName>,
    limiters: Arc<Limiters>,
    ready: AtomicBool,
}

/// The TCP connection behind a request.
#[derive(Clone, Debug)]
pub struct Peer {
    address: SocketAddr,
    meter: Meter,
    /// It came through the local socket: the system says that it is our own user.
    own_user: bool,
}

impl Server {
    /// A server that isn't ready yet. Its connections run in `connections`.
    pub fn new(parts: Arc<Parts>, connections: Tasks) -> Arc<Server> {
        let gateway = &parts.config.current().gateway;
        let proxies = TrustedProxies::new(&gateway.trusted_proxies, gateway.allow_real_ip_fallback);
        Arc::new(Server {
            connections,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
            local_handshakes: Arc::new(Semaphore::new(LOCAL_HANDSHAKES_MAX)),
            proxies: Arc::new(proxies),
            asked: proxy::asked_headers(gateway),
            limiters: Arc::new(Limiters {
                programs: gateway.auth.rate_limit.map(Limiter::new),
                pages: Limiter::for_browsers(),
            }),
            ready: AtomicBool::new(false),
            parts,
        })
    }

    /// Turns `/readyz` green or red.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Serves on `bound` until `tasks` stop.
    pub fn serve(self: &Arc<Self>, bound: Bound, tasks: &Tasks) {
        let app = Router::new().fallback(handle).with_state(self.clone());
        for listener in bound.into_listeners(self.connections.clone()) {
            let service = app.clone().into_make_service_with_connect_info::<Peer>();
            let stop = tasks.stop_token().clone().cancelled_owned();
            tasks.spawn("http", async move {
                let served = axum::serve(listener, service)
                    .with_graceful_shutdown(stop)
                    .await;
                if let Err(error) = served {
                    tracing::error!(%error, "the HTTP server ended");
                }
            });
        }
    }
}

impl Server {
    /// Serves on the local socket until `tasks` stop.
    pub fn serve_local(self: &Arc<Self>, socket: LocalSocket, tasks: &Tasks) {
        let app = Router::new().fallback(handle).with_state(self.clone());
        let service = app.into_make_service_with_connect_info::<Peer>();
        let stop = tasks.stop_token().clone().cancelled_owned();
        tasks.spawn("local http", async move {
            let served = axum::serve(socket, service).with_graceful_shutdown(stop);
            if let Err(error) = served.await {
                tracing::error!(%error, "the local socket ended");
            }
        });
    }
}

async fn handle(
    State(server): State<Arc<Server>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    let mut response = if ws::is_upgrade(request.headers()) {
        ws::upgrade(&server, peer, request).await
    } else {
        match request.uri().path() {
            "/health" | "/healthz" => probes::live(request.method()),
            "/ready" | "/readyz" => probes::ready(&server, &peer, &request),
            _ => (StatusCode::NOT_FOUND, "Not Found").into_response(),
        }
    };
    for (name, value) in SAFE_HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

/// On every answer.
const SAFE_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), microphone=(), geolocation=()"),
    ),
];
