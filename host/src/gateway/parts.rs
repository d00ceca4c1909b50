//! All parts of the process, built from the bottom up and stopped from the top down.

use std::sync::Arc;
use std::time::Duration;

use gateway_schemas::system::Shutdown;
use tokio::sync::{mpsc, watch};

use super::{Door, StartError, Steps, failure};
use crate::agent::Agent;
use crate::approvals::Approvals;
use crate::channels::{self, Channels};
use crate::clock::Clock;
use crate::config::{ConfigHandle, LoadOptions, Loaded, Paths};
use crate::cron::{self, Cron};
use crate::dedupe::Dedupe;
use crate::devices::Devices;
use crate::devices::token::TokenKey;
use crate::http::{self, Server};
use crate::hub::{Event, Hub};
use crate::identity;
use crate::limits::{
    CHANNELS_STOP_GRACE, CONNECTIONS_STOP_GRACE, DOOR_ORDERS_MAX, RUNS_STOP_GRACE,
};
use crate::methods::Parts;
use crate::nodes::Nodes;
use crate::plugins::Plugins;
use crate::presence::Presence;
use crate::reload::{self, DoorOrder, Reload};
use crate::router;
use crate::sessions::Sessions;
use crate::shutdown::Tasks;
use crate::store::Store;
use crate::timers;
use crate::timers::health::{HealthBoard, Sources};
use crate::timers::heartbeat::{self, Heartbeats};

/// Everything that runs.
pub(super) struct Running {
    pub(super) parts: Arc<Parts>,
    pub(super) address: watch::Receiver<String>,
    pub(super) server: Arc<Server>,
    pub(super) routing: Tasks,
    pub(super) sets: Sets,
    pub(super) store: Store,
}

/// The sets that the parts' tasks belong to, each stopped at its own moment.
pub(super) struct Sets {
    owners: Tasks,
    runs: Tasks,
    timers: Tasks,
    connections: Tasks,
    edge: Tasks,
}

impl Sets {
    fn new() -> Sets {
        let owners = Tasks::new("owners");
        Sets {
            runs: owners.child("runs"),
            owners,
            timers: Tasks::new("timers"),
            connections: Tasks::new("connections"),
            edge: Tasks::new("edge"),
        }
    }
}

/// The configuration as read at start, and how it is read again.
pub(super) struct Reading {
    pub(super) loaded: Loaded,
    pub(super) sources: LoadOptions,
}

/// Builds the parts and opens the door.
pub(super) fn build(
    reading: Reading,
    clock: Clock,
    store: Store,
    door: Door,
    plugins: &Plugins,
    steps: &mut Steps,
) -> Result<Running, StartError> {
    let sets = Sets::new();
    let (door_orders, orders) = mpsc::channel(DOOR_ORDERS_MAX);
    let parts = build_parts(reading, clock, &store, plugins, door_orders, &sets)?;
    let parts = Arc::new(parts);
    parts.equip();
    let routing = start_router(&parts);
    steps.done("owners");
    let Door { bound, tls, url } = door;
    let fingerprint = tls.as_ref().map(|tls| tls.fingerprint());
    tracing::info!(url, fingerprint, "listening");
    let server = Server::new(parts.clone(), sets.connections.clone(), tls);
    let local = parts.config.current().paths.local_socket();
    match http::bind_local(&local) {
        Ok(socket) => server.serve_local(socket, &sets.edge),
        // The port serves all the same; only the way in without a pairing is missing.
        Err(error) => tracing::warn!(%error, "no local socket"),
    }
    // Last: who is served at the port finds the other one there.
    let address = server.serve(bound, orders, &sets.edge);
    steps.done("serve");
    Ok(Running {
        parts,
        address,
        server,
        routing,
        sets,
        store,
    })
}

fn build_parts(
    reading: Reading,
    clock: Clock,
    store: &Store,
    plugins: &Plugins,
    door: mpsc::Sender<DoorOrder>,
    sets: &Sets,
) -> Result<Parts, StartError> {
    let paths = reading.loaded.config.paths.clone();
    let config = ConfigHandle::new(reading.loaded.config.clone());
    let hub = Hub::new();
    let dedupe = Dedupe::new(clock);
    let presence = Presence::new(clock, hub.clone(), crate::VERSION);
    let identity = identity::load_or_create(&paths.gateway_identity(), &clock).map_err(failure)?;
    let sessions = Sessions::new(store.clone(), clock, config.clone());
    let runs = sets.runs.clone();
    let agent = Agent::new(config.clone(), clock, hub.clone(), sessions.clone(), runs);
    let channels = Channels::new(channels::Parts {
        config: config.clone(),
        plugins,
        store: store.clone(),
        clock,
        tasks: &sets.owners,
    });
    let reload = start_reload(reading, &config, &hub, &channels, door, sets);
    let health = start_health(&config, clock, &presence, &hub, &channels, &sessions, sets);
    timers::tick::start(hub.clone(), clock, dedupe.clone(), &sets.timers);
    let heartbeats = Heartbeats::new(hub.clone());
    let cron = Cron::new(cron::Parts {
        config: config.clone(),
        clock,
        store: store.clone(),
        hub: hub.clone(),
        agent: agent.clone(),
        sessions: sessions.clone(),
        channels: channels.clone(),
        heartbeats: heartbeats.clone(),
        stop: sets.timers.stop_token().clone(),
    });
    let parts = Parts {
        nodes: Nodes::new(clock, hub.clone()),
        started_ms: clock.now_ms(),
        tasks: sets.owners.child("work"),
        store: store.clone(),
        config,
        clock,
        cron,
        heartbeats,
        devices: start_devices(&paths, clock, store, &hub, &sets.owners)?,
        approvals: Approvals::new(clock, hub.clone(), &paths),
        hub,
        dedupe,
        presence,
        channels,
        sessions,
        agent,
        reload,
        health,
        identity,
    };
    start_heartbeats(&parts, &sets.timers);
    Ok(parts)
}

fn start_reload(
    reading: Reading,
    config: &ConfigHandle,
    hub: &Hub,
    channels: &Channels,
    door: mpsc::Sender<DoorOrder>,
    sets: &Sets,
) -> Reload {
    let needs = reload::Parts {
        config: config.clone(),
        options: reading.sources,
        loaded: reading.loaded,
        hub: hub.clone(),
        channels: channels.clone(),
        door,
    };
    Reload::start(needs, &sets.timers)
}

fn start_devices(
    paths: &Paths,
    clock: Clock,
    store: &Store,
    hub: &Hub,
    owners: &Tasks,
) -> Result<Devices, StartError> {
    let key = TokenKey::load_or_create(&paths.token_key(), &clock).map_err(failure)?;
    Devices::start(clock, store.clone(), hub.clone(), key, owners).map_err(failure)
}

fn start_health(
    config: &ConfigHandle,
    clock: Clock,
    presence: &Presence,
    hub: &Hub,
    channels: &Channels,
    sessions: &Sessions,
    sets: &Sets,
) -> HealthBoard {
    let sources = Sources {
        channels: channels.clone(),
        sessions: sessions.clone(),
        config: config.clone(),
        clock,
        presence: presence.clone(),
        hub: hub.clone(),
    };
    HealthBoard::start(sources, &sets.timers)
}

fn start_heartbeats(parts: &Parts, timers: &Tasks) {
    let needs = heartbeat::Parts {
        agent: parts.agent.clone(),
        channels: parts.channels.clone(),
        sessions: parts.sessions.clone(),
        config: parts.config.clone(),
        clock: parts.clock,
    };
    parts.heartbeats.start(needs, timers);
}

/// Before the channels: what they bring must not wait.
fn start_router(parts: &Parts) -> Tasks {
    let routing = Tasks::new("router");
    let needs = router::Parts {
        config: parts.config.clone(),
        clock: parts.clock,
        store: parts.store.clone(),
        channels: parts.channels.clone(),
        sessions: parts.sessions.clone(),
        agent: parts.agent.clone(),
    };
    router::start(needs, &routing);
    routing
}

impl Running {
    /// After the channels: what was missed may have something to say.
    pub(super) fn start_cron(&self) -> Result<(), StartError> {
        self.parts.cron.start(&self.sets.timers).map_err(failure)
    }

    /// Up the list of parts, each with its deadline.
    pub(super) async fn stop(self) {
        self.server.set_ready(false);
        let shutdown = Shutdown {
            reason: "gateway stopping".into(),
            restart_expected_ms: None,
        };
        self.sets.timers.stop(Duration::from_secs(1)).await;
        // The router hears of it first, so that it doesn't try a run again that is cut now.
        self.routing.stop_token().cancel();
        self.sets.runs.stop(RUNS_STOP_GRACE).await;
        self.routing.stop(RUNS_STOP_GRACE).await;
        self.parts.channels.stop(CHANNELS_STOP_GRACE).await;
        self.parts.tasks.stop(Duration::from_secs(1)).await;
        self.parts.hub.publish(Event::new("shutdown", &shutdown));
        self.parts.hub.close_all(1012, "service restart");
        self.sets.connections.stop(CONNECTIONS_STOP_GRACE).await;
        self.sets.edge.stop(Duration::from_secs(1)).await;
        self.sets.owners.stop(Duration::from_secs(1)).await;
        self.store.close().await;
    }
}
