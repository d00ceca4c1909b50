//! The door: one task that holds the listening sockets, changes them on order, and keeps the
//! certificate fresh.
//!
//! Orders come from the reload task (`reload`). New sockets are open before the old ones close,
//! unless they want the same port; what can't be opened leaves everything as it was. Connections
//! that are there stay.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::{Bound, Rules, Server, Tls, bind, serve};
use crate::config::{Config, GatewayConfig};
use crate::limits::CERTIFICATE_CHECK_INTERVAL;
use crate::reload::DoorOrder;
use crate::shutdown::Tasks;

/// How long accepting is given to end before its port is opened anew.
const CLOSING: Duration = Duration::from_secs(2);

/// The listening sockets and what the configuration said when they were opened.
pub(super) struct Door {
    server: Arc<Server>,
    config: Arc<Config>,
    tasks: Tasks,
    listening: Tasks,
    address: watch::Sender<String>,
}

/// Where clients find a gateway that listens here.
pub fn url(bound: &Bound, tls: Option<&Arc<Tls>>) -> String {
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    let address = bound.address().map_or(String::new(), |a| a.to_string());
    format!("{scheme}://{address}")
}

impl Door {
    /// Begins to accept.
    pub(super) fn open(
        server: Arc<Server>,
        bound: Bound,
        tasks: &Tasks,
    ) -> (Door, watch::Receiver<String>) {
        let (address, told) = watch::channel(url(&bound, server.tls().as_ref()));
        let mut door = Door {
            config: server.parts.config.current(),
            listening: tasks.child("listening"),
            tasks: tasks.clone(),
            server,
            address,
        };
        door.accept(bound);
        (door, told)
    }

    fn accept(&mut self, bound: Bound) {
        self.listening = self.tasks.child("listening");
        let closed = self.listening.stop_token();
        for socket in bound.into_sockets() {
            let accept = serve::accept(
                socket,
                self.server.clone(),
                closed.clone(),
                self.tasks.clone(),
            );
            self.listening.spawn("accept", accept);
        }
    }

    /// Obeys until the tasks stop.
    pub(super) async fn keep(mut self, mut orders: mpsc::Receiver<DoorOrder>) {
        let stop = self.tasks.stop_token().clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(order) = orders.recv() => {
                    let done = self.obey(&order).await;
                    // Whoever asked may have left.
                    order.told.send(done).ok();
                }
                () = sleep(CERTIFICATE_CHECK_INTERVAL) => self.fresh_certificate().await,
            }
        }
    }

    async fn obey(&mut self, order: &DoorOrder) -> Result<(), String> {
        let (current, will) = (self.config.clone(), &order.config.gateway);
        let was = &current.gateway;
        let other_tls = was.tls != will.tls;
        let other_place = !same_place(was, will);
        let next_tls = if other_tls {
            Some(self.load_tls(&order.config).await?)
        } else {
            None
        };
        let bound = if other_place {
            Some(self.bind(will).await?)
        } else {
            None
        };
        if let Some(tls) = next_tls {
            let current = self.server.tls.write();
            *current.unwrap_or_else(PoisonError::into_inner) = tls;
        } else if order.files_again {
            self.fresh_certificate().await;
        }
        if !same_rules(was, will) {
            let rules = Arc::new(Rules::of(will));
            let current = self.server.rules.write();
            *current.unwrap_or_else(PoisonError::into_inner) = rules;
        }
        if other_tls || other_place {
            self.tell(bound.as_ref(), &order.config);
        }
        if let Some(bound) = bound {
            self.listening.stop(CLOSING).await;
            self.accept(bound);
        }
        self.config = order.config.clone();
        Ok(())
    }

    async fn load_tls(&self, config: &Arc<Config>) -> Result<Option<Arc<Tls>>, String> {
        let (config, clock) = (config.clone(), self.server.parts.clock);
        let load = move || Tls::load(&config.gateway.tls, &config.paths, clock);
        let loaded = tokio::task::spawn_blocking(load).await;
        loaded
            .map_err(|_| "the certificate could not be read".to_owned())?
            .map_err(|e| e.to_string())
    }

    /// Opens the new place. One on the port that is in use here closes first, and opens again
    /// when the new one can't be had.
    async fn bind(&mut self, will: &GatewayConfig) -> Result<Bound, String> {
        let was = self.config.gateway.clone();
        if was.port() != will.port() {
            return bind(will).await.map_err(|e| e.to_string());
        }
        self.listening.stop(CLOSING).await;
        let refused = match bind(will).await {
            Ok(bound) => return Ok(bound),
            Err(refused) => refused.to_string(),
        };
        match bind(&was).await {
            Ok(bound) => self.accept(bound),
            Err(error) => tracing::error!(%error, "the gateway no longer listens"),
        }
        Err(refused)
    }

    fn tell(&self, bound: Option<&Bound>, config: &Config) {
        let tls = self.server.tls();
        let place = match bound {
            Some(bound) => url(bound, tls.as_ref()),
            None => {
                let former = self.address.borrow().clone();
                let place = former.split_once("://").map_or("", |(_, place)| place);
                let scheme = if tls.is_some() { "wss" } else { "ws" };
                format!("{scheme}://{place}")
            }
        };
        let fingerprint = tls.map(|tls| tls.fingerprint());
        tracing::info!(url = place, fingerprint, hash = config.hash, "listening");
        self.address.send_replace(place);
    }

    async fn fresh_certificate(&self) {
        let Some(tls) = self.server.tls() else { return };
        let reloaded = tokio::task::spawn_blocking(move || tls.reload()).await;
        if let Ok(Err(error)) = reloaded {
            tracing::error!(%error, "the TLS certificate stays as it was");
        }
    }
}

/// Whether the same sockets do.
fn same_place(a: &GatewayConfig, b: &GatewayConfig) -> bool {
    a.port() == b.port()
        && a.bind == b.bind
        && a.custom_bind_host == b.custom_bind_host
        && a.tailscale.mode == b.tailscale.mode
}

/// Whether visitors are looked at in the same way. Counted attempts are kept then.
fn same_rules(a: &GatewayConfig, b: &GatewayConfig) -> bool {
    a.trusted_proxies == b.trusted_proxies
        && a.allow_real_ip_fallback == b.allow_real_ip_fallback
        && a.auth.rate_limit == b.auth.rate_limit
        && a.auth.trusted_proxy == b.auth.trusted_proxy
        && a.auth.allows_tailscale(&a.tailscale) == b.auth.allows_tailscale(&b.tailscale)
}
