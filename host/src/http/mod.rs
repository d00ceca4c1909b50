//! The one port: WebSocket upgrades on any path, probes, and nothing else yet.

mod certificate;
mod door;
mod listener;
mod local;
mod lock;
mod probes;
mod serve;
mod stream;
mod tls;
mod ws;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{mpsc, watch};

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
use crate::config::{GatewayConfig, env};
use crate::connection::{Limiters, Meter, Place, Places};
use crate::limits::{
    LOCAL_HANDSHAKES_MAX, SOCKETS_BEFORE_HELLO_EACH_MAX, SOCKETS_BEFORE_HELLO_MAX,
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
