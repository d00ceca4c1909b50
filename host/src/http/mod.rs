//! The one port: WebSocket upgrades on any path, probes, and nothing else yet.

mod certificate;
mod listener;
mod local;
mod lock;
mod probes;
mod serve;
mod stream;
mod tls;
mod ws;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

pub use certificate::{Files, TlsError, fingerprint, read_chain};
pub use listener::{BindError, Bound, bind, raise_socket_limit};
pub use local::{LocalSocket, bind_local};
pub use lock::{LockError, StateLock};
pub use tls::{Tls, files};

use crate::auth::local::TrustedProxies;
use crate::auth::proxy;
use crate::auth::rate::Limiter;
use crate::auth::tailscale::Tailscale;
use crate::config::env;
use crate::connection::{Limiters, Meter, Place, Places};
use crate::limits::{
    LOCAL_HANDSHAKES_MAX, SOCKETS_BEFORE_HELLO_EACH_MAX, SOCKETS_BEFORE_HELLO_MAX,
};
use crate::methods::Parts;
use crate::shutdown::Tasks;

/// What the HTTP side needs beside the parts.
pub struct Server {
    parts: Arc<Parts>,
    connections: Tasks,
    places: Places,
    local_places: Places,
    tls: Option<Arc<Tls>>,
    proxies: Arc<TrustedProxies>,
    asked: Vec<HeaderName>,
    tailscale: Option<Arc<Tailscale>>,
    limiters: Arc<Limiters>,
    ready: AtomicBool,
}

/// The TCP connection behind a request.
#[derive(Clone, Debug)]
struct Peer {
    address: SocketAddr,
    meter: Meter,
    place: Arc<Place>,
    /// It came through the local socket: the system says that it is our own user.
    own_user: bool,
}

impl Server {
    /// A server that isn't ready yet. Its connections run in `connections`.
    pub fn new(parts: Arc<Parts>, connections: Tasks, tls: Option<Arc<Tls>>) -> Arc<Server> {
        let sockets = usize::try_from(listener::socket_limit()).unwrap_or(usize::MAX);
        let most = SOCKETS_BEFORE_HELLO_MAX.min(sockets / 4);
        let gateway = &parts.config.current().gateway;
        let proxies = TrustedProxies::new(&gateway.trusted_proxies, gateway.allow_real_ip_fallback);
        Arc::new(Server {
            connections,
            places: Places::new(most, SOCKETS_BEFORE_HELLO_EACH_MAX),
            local_places: Places::new(LOCAL_HANDSHAKES_MAX, LOCAL_HANDSHAKES_MAX),
            tls,
            proxies: Arc::new(proxies),
            asked: proxy::asked_headers(gateway),
            tailscale: gateway
                .auth
                .allows_tailscale(&gateway.tailscale)
                .then(|| Arc::new(Tailscale::new(env::var(env::TAILSCALE)))),
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
        for socket in bound.into_sockets() {
            tasks.spawn("accept", serve::accept(socket, self.clone(), tasks.clone()));
        }
        let stop = tasks.stop_token().clone();
        let watch = serve::watch(self.clone());
        tasks.spawn("flood", async move {
            stop.run_until_cancelled(watch).await;
        });
        if let Some(tls) = self.tls.clone() {
            let stop = tasks.stop_token().clone();
            tasks.spawn("certificate", async move {
                stop.run_until_cancelled(tls.keep_fresh()).await;
            });
        }
    }
}

impl Server {
    /// Serves on the local socket until `tasks` stop.
    pub fn serve_local(self: &Arc<Self>, socket: LocalSocket, tasks: &Tasks) {
        let accept = serve::accept_local(socket, self.clone(), tasks.clone());
        tasks.spawn("local accept", accept);
    }
}

async fn handle(server: &Arc<Server>, peer: Peer, request: Request) -> Response {
    let mut response = if ws::is_upgrade(request.headers()) {
        ws::upgrade(server, peer, request).await
    } else {
        match request.uri().path() {
            "/health" | "/healthz" => probes::live(request.method()),
            "/ready" | "/readyz" => probes::ready(server, &peer, &request),
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
