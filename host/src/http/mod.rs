//! The one port: WebSocket upgrades on any path, what programs ask over HTTP, hooks, probes.
//!
//! Headers that every answer carries and the question who may ask for a protected path have their
//! one place here.

#![allow(
    clippy::result_large_err,
    reason = "a refusal is the response itself, made once for a request and handed straight out"
)]

mod api;
mod certificate;
mod door;
mod hooks;
mod listener;
mod local;
mod lock;
mod mcp;
mod path;
mod probes;
mod serve;
mod stream;
mod tls;
mod ws;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, mpsc, watch};

pub use certificate::{Files, TlsError, fingerprint, read_chain};
pub use door::url;
pub use listener::{BindError, Bound, bind, raise_socket_limit};
pub use local::{LocalSocket, bind_local};
pub use lock::{LockError, StateLock};
pub use tls::{Tls, files};

use door::Door;

use crate::auth::local::TrustedProxies;
use crate::auth::proxy;
use crate::auth::rate::Limiter;
use crate::auth::tailscale::Tailscale;
use crate::config::{Config, GatewayConfig, Hsts, env};
use crate::connection::{Limiters, Meter, Place, Places};
use crate::limits::{
    LARGE_BODIES_AT_ONCE_MAX, LOCAL_HANDSHAKES_MAX, SOCKETS_BEFORE_HELLO_EACH_MAX,
    SOCKETS_BEFORE_HELLO_MAX,
};
use crate::methods::Parts;
use crate::reload::DoorOrder;
use crate::shutdown::Tasks;

/// What the HTTP side needs beside the parts.
pub struct Server {
    parts: Arc<Parts>,
    connections: Tasks,
    places: Places,
    local_places: Places,
    /// What is spoken on new connections.
    tls: RwLock<Option<Arc<Tls>>>,
    rules: RwLock<Arc<Rules>>,
    /// Places for large requests that are read at the same time.
    large_bodies: Semaphore,
    /// Who called hooks with a wrong secret.
    hook_failures: Limiter,
    ready: AtomicBool,
}

/// How visitors are looked at, as the configuration in force says.
struct Rules {
    proxies: Arc<TrustedProxies>,
    asked: Vec<HeaderName>,
    tailscale: Option<Arc<Tailscale>>,
    limiters: Arc<Limiters>,
}

impl Rules {
    fn of(gateway: &GatewayConfig) -> Rules {
        let proxies = TrustedProxies::new(&gateway.trusted_proxies, gateway.allow_real_ip_fallback);
        Rules {
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
        }
    }
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
        let rules = Rules::of(gateway);
        Arc::new(Server {
            connections,
            places: Places::new(most, SOCKETS_BEFORE_HELLO_EACH_MAX),
            local_places: Places::new(LOCAL_HANDSHAKES_MAX, LOCAL_HANDSHAKES_MAX),
            tls: RwLock::new(tls),
            rules: RwLock::new(Arc::new(rules)),
            large_bodies: Semaphore::new(LARGE_BODIES_AT_ONCE_MAX),
            hook_failures: Limiter::for_hooks(),
            ready: AtomicBool::new(false),
            parts,
        })
    }

    fn tls(&self) -> Option<Arc<Tls>> {
        let tls = self.tls.read().unwrap_or_else(PoisonError::into_inner);
        tls.clone()
    }

    fn rules(&self) -> Arc<Rules> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        rules.clone()
    }

    /// Turns `/readyz` green or red.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Serves on `bound` until `tasks` stop, and elsewhere or otherwise as `orders` say. The
    /// receiver is told each new address.
    pub fn serve(
        self: &Arc<Self>,
        bound: Bound,
        orders: mpsc::Receiver<DoorOrder>,
        tasks: &Tasks,
    ) -> watch::Receiver<String> {
        let (door, address) = Door::open(self.clone(), bound, tasks);
        tasks.spawn("door", door.keep(orders));
        let stop = tasks.stop_token().clone();
        let watch = serve::watch(self.clone());
        tasks.spawn("flood", async move {
            stop.run_until_cancelled(watch).await;
        });
        address
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
    let config = server.parts.config.current();
    let mut response = if ws::is_upgrade(request.headers()) {
        ws::upgrade(server, peer, request).await
    } else {
        route(server, &config, &peer, request).await
    };
    secure(response.headers_mut(), &config);
    response
}

/// The parts of the port in the wire's order; each takes the request or gives it back.
async fn route(server: &Arc<Server>, config: &Config, peer: &Peer, request: Request) -> Response {
    let request = match hooks::answer(server, config, peer, request).await {
        Ok(response) => return response,
        Err(request) => request,
    };
    let request = match api::answer(server, config, peer, request).await {
        Ok(response) => return response,
        Err(request) => request,
    };
    let request = match mcp::answer(server, config, peer, request).await {
        Ok(response) => return response,
        Err(request) => request,
    };
    if path::is_protected(request.uri().path())
        && let Err(refusal) = api::visitor::admit(server, config, peer, request.headers())
    {
        return refusal;
    }
    match request.uri().path() {
        "/health" | "/healthz" => probes::live(request.method()),
        "/ready" | "/readyz" => probes::ready(server, config, peer, &request),
        _ => (StatusCode::NOT_FOUND, "Not Found").into_response(),
    }
}

/// What every answer carries.
fn secure(headers: &mut HeaderMap, config: &Config) {
    for (name, value) in SAFE_HEADERS {
        headers.insert(name, value);
    }
    let hsts = &config.gateway.http.security_headers;
    if let Some(Hsts::Value(text)) = &hsts.strict_transport_security
        && let Ok(value) = HeaderValue::from_str(text.trim())
    {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
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
