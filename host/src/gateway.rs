//! The table of contents of the process: builds all parts, starts them, stops them in reverse.
//!
//! Called by the command line (`openclaw gateway`). Exit codes: 0 after a stop that was asked
//! for, 78 when the configuration has to be changed first, 1 for everything else.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_schemas::system::Shutdown;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::level_filters::LevelFilter;

use crate::agent::Agent;
use crate::channels::{self, Channels};
use crate::clock::Clock;
use crate::config::{
    AuthMode, Config, ConfigHandle, LoadOptions, Loaded, check_startable, load,
    save_generated_token,
};
use crate::dedupe::Dedupe;
use crate::devices::Devices;
use crate::devices::token::TokenKey;
use crate::files;
use crate::http::{self, Bound, Server, StateLock, Tls};
use crate::hub::{Event, Hub};
use crate::identity;
use crate::limits::{
    CHANNELS_STOP_GRACE, CONNECTIONS_STOP_GRACE, DOOR_ORDERS_MAX, RUNS_STOP_GRACE,
};
use crate::methods::Parts;
use crate::plugins::Plugins;
use crate::presence::Presence;
use crate::reload::{self, DoorOrder, Reload};
use crate::router;
use crate::sessions::Sessions;
use crate::shutdown::{StopSignals, Tasks};
use crate::store::Store;
use crate::telemetry::{self, LogGuard, LogOptions};
use crate::timers;
use crate::timers::health::{HealthBoard, Sources};
use crate::timers::heartbeat::{self, Heartbeats};

/// What the command line says about running a gateway; `None` leaves it to the configuration.
#[derive(Clone, Debug, Default)]
pub struct GatewayOptions {
    /// Port to listen on.
    pub port: Option<u16>,
    /// Bind mode.
    pub bind: Option<String>,
    /// Auth mode.
    pub auth: Option<String>,
    /// Shared token.
    pub token: Option<String>,
    /// Shared password.
    pub password: Option<String>,
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// State folder.
    pub state_dir: Option<PathBuf>,
    /// Plugins file.
    pub plugins: Option<PathBuf>,
    /// Log more.
    pub verbose: bool,
}

/// Why the gateway didn't start.
#[derive(Debug)]
struct StartError {
    exit_code: u8,
    text: String,
}

/// Something in a file or on the command line has to be changed first (`EX_CONFIG`).
fn config_error(error: impl std::fmt::Display) -> StartError {
    StartError {
        exit_code: 78,
        text: error.to_string(),
    }
}

/// Everything else.
fn failure(error: impl std::fmt::Display) -> StartError {
    StartError {
        exit_code: 1,
        text: error.to_string(),
    }
}

/// Runs until a signal says stop. A second signal ends it at once.
pub fn run(options: GatewayOptions) -> ExitCode {
    match start(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log may not be there yet; a closed terminal is nobody's problem.
            writeln!(std::io::stderr(), "openclaw gateway: {}", error.text).ok();
            ExitCode::from(error.exit_code)
        }
    }
}

fn start(options: &GatewayOptions) -> Result<(), StartError> {
    let clock = Clock::system();
    let steps = Steps::default();
    let sources = LoadOptions {
        config: options.config.clone(),
        state_dir: options.state_dir.clone(),
        plugins: options.plugins.clone(),
        port: options.port,
        bind: options.bind.clone(),
        auth: options.auth.clone(),
        token: options.token.clone(),
        password: options.password.clone(),
    };
    let mut loaded = load(&sources).map_err(config_error)?;
    check_startable(&loaded.config).map_err(config_error)?;
    let state_dir = loaded.config.paths.state_dir.clone();
    let unusable = |e: std::io::Error| {
        failure(format!(
            "can't use the state folder {}: {e}",
            state_dir.display()
        ))
    };
    files::private_dir(&state_dir).map_err(unusable)?;
    let mut lock = StateLock::take(&state_dir, &clock).map_err(|e| match e {
        http::LockError::Held { .. } => config_error(e),
        http::LockError::Io(..) => failure(e),
    })?;
    let log = start_log(&loaded.config, options.verbose)?;
    make_token(&mut loaded, &clock)?;
    announce(&loaded);
    http::raise_socket_limit();
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get().min(4));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("gateway")
        .enable_all()
        .build()
        .map_err(failure)?;
    let outcome = runtime.block_on(live(loaded, sources, clock, steps, &mut lock));
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(log);
    drop(lock);
    outcome
}

fn start_log(config: &Config, verbose: bool) -> Result<LogGuard, StartError> {
    let named = crate::config::env::var(crate::config::env::LOG).or(config.logging.level.clone());
    let level = match named {
        _ if verbose => LevelFilter::DEBUG,
        None => LevelFilter::INFO,
        Some(text) => text.parse().map_err(|_| {
            let file = config.paths.config_file.display();
            config_error(format!(
                "{file}: logging.level: unknown level {text}: use error, warn, info, debug or trace"
            ))
        })?,
    };
    let file = config
        .logging
        .file
        .as_ref()
        .map_or_else(|| config.paths.log_file(), PathBuf::from);
    let shown = file.display().to_string();
    telemetry::start(&LogOptions {
        level,
        file,
        stdout: true,
    })
    .map_err(|e| failure(format!("can't write the log {shown}: {e}")))
}

/// A gateway in token mode has a token: made once, saved where clients look for it.
fn make_token(loaded: &mut Loaded, clock: &Clock) -> Result<(), StartError> {
    let auth = &mut loaded.config.gateway.auth;
    if auth.mode == Some(AuthMode::Token) && auth.token.is_none() {
        let file = &loaded.config.paths.config_file;
        auth.token = Some(save_generated_token(file, clock).map_err(config_error)?);
        tracing::info!(file = %file.display(), "a token was made and saved as gateway.auth.token");
    }
    Ok(())
}

fn announce(loaded: &Loaded) {
    let paths = &loaded.config.paths;
    tracing::info!(
        version = crate::VERSION,
        pid = std::process::id(),
        state = %paths.state_dir.display(),
        config = %paths.config_file.display(),
        plugins = %paths.plugins_file.display(),
        "gateway starting"
    );
    if !loaded.unused_keys.is_empty() {
        tracing::warn!(
            keys = loaded.unused_keys.join(", "),
            "configuration keys that this gateway doesn't use"
        );
    }
    for unresolved in &loaded.unresolved {
        tracing::warn!("{unresolved}");
    }
    for proxy in &loaded.config.gateway.trusted_proxies {
        if crate::config::parse_network(proxy.trim()).is_none() {
            tracing::warn!(
                proxy,
                "gateway.trustedProxies: not an address or network, left out"
            );
        }
    }
}

/// How long each step of the start took, for the line that says ready.
struct Steps {
    last: Instant,
    text: String,
}

impl Default for Steps {
    fn default() -> Self {
        Steps {
            last: Instant::now(),
            text: String::new(),
        }
    }
}

impl Steps {
    fn done(&mut self, name: &str) {
        let now = Instant::now();
        let took = (now - self.last).as_secs_f64() * 1000.0;
        self.last = now;
        let gap = if self.text.is_empty() { "" } else { " " };
        self.text.push_str(&format!("{gap}{name} {took:.1}ms"));
    }
}

/// The listening sockets and what is spoken on them.
struct Door {
    bound: Bound,
    tls: Option<Arc<Tls>>,
    url: String,
}

async fn open_door(config: &Config, clock: Clock) -> Result<Door, StartError> {
    let tls = Tls::load(&config.gateway.tls, &config.paths, clock).map_err(config_error)?;
    let bound = http::bind(&config.gateway).await.map_err(|e| match e {
        http::BindError::Refused(_) | http::BindError::Busy(_) => config_error(e),
        http::BindError::Io(..) => failure(e),
    })?;
    let url = http::url(&bound, tls.as_ref());
    Ok(Door { bound, tls, url })
}

/// Everything that runs.
struct Running {
    parts: Arc<Parts>,
    address: watch::Receiver<String>,
    server: Arc<Server>,
    routing: Tasks,
    sets: Sets,
    store: Store,
}

async fn live(
    loaded: Loaded,
    sources: LoadOptions,
    clock: Clock,
    mut steps: Steps,
    lock: &mut StateLock,
) -> Result<(), StartError> {
    // Before any plugin can put handlers of its own in their place.
    let mut stop = StopSignals::install().map_err(failure)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(failure)?;
    let has_terminal = std::io::stdout().is_terminal();
    steps.done("config");
    let config = &loaded.config;
    let store = Store::open(&config.paths.database()).map_err(failure)?;
    steps.done("store");
    let door = open_door(config, clock).await?;
    lock.tell_address(&door.url);
    steps.done("listen");
    let (plugins, problems) =
        Plugins::load(&config.paths.plugins_file, &config.paths.plugin_store())
            .map_err(config_error)?;
    for problem in problems {
        tracing::error!("{problem}");
    }
    steps.done("plugins");
    let (reading, store) = (Reading { loaded, sources }, store);
    let mut running = build(reading, clock, store, door, &plugins, &mut steps)?;
    running.parts.channels.start().await.map_err(failure)?;
    steps.done("channels");
    running.server.set_ready(true);
    tracing::info!(steps = steps.text, "gateway ready");
    loop {
        tokio::select! {
            () = stop.wait() => break,
            // A terminal that closes takes its gateway with it.
            _ = hangup.recv() => {
                if has_terminal {
                    break;
                }
                let reload = running.parts.reload.clone();
                running.parts.tasks.spawn("hangup", async move {
                    // What went wrong is in the log.
                    reload.again().await.ok();
                });
            }
            Ok(()) = running.address.changed() => {
                lock.tell_address(&running.address.borrow_and_update());
            }
        }
    }
    tracing::info!("gateway stopping");
    tokio::select! {
        () = running.stop() => tracing::info!("gateway stopped"),
        () = stop.wait() => tracing::warn!("second signal: ending at once"),
    }
    Ok(())
}

/// The sets that the parts' tasks belong to, each stopped at its own moment.
struct Sets {
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
struct Reading {
    loaded: Loaded,
    sources: LoadOptions,
}

fn build(
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
    let config = reading.loaded.config.clone();
    let paths = config.paths.clone();
    let config = ConfigHandle::new(config);
    let hub = Hub::new();
    let dedupe = Dedupe::new(clock);
    let presence = Presence::new(clock, hub.clone(), crate::VERSION);
    let identity = identity::load_or_create(&paths.gateway_identity(), &clock).map_err(failure)?;
    let key = TokenKey::load_or_create(&paths.token_key(), &clock).map_err(failure)?;
    let devices =
        Devices::start(clock, store.clone(), hub.clone(), key, &sets.owners).map_err(failure)?;
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
    let reloading = reload::Parts {
        config: config.clone(),
        options: reading.sources,
        loaded: reading.loaded,
        hub: hub.clone(),
        channels: channels.clone(),
        door,
    };
    let reload = Reload::start(reloading, &sets.timers);
    let sources = Sources {
        channels: channels.clone(),
        sessions: sessions.clone(),
        config: config.clone(),
        clock,
        presence: presence.clone(),
        hub: hub.clone(),
    };
    let health = HealthBoard::start(sources, &sets.timers);
    timers::tick::start(hub.clone(), clock, dedupe.clone(), &sets.timers);
    let heartbeats = Heartbeats::new(hub.clone());
    let needs = heartbeat::Parts {
        agent: agent.clone(),
        channels: channels.clone(),
        sessions: sessions.clone(),
        config: config.clone(),
        clock,
    };
    heartbeats.start(needs, &sets.timers);
    Ok(Parts {
        started_ms: clock.now_ms(),
        tasks: sets.owners.child("work"),
        store: store.clone(),
        config,
        clock,
        heartbeats,
        hub,
        dedupe,
        presence,
        devices,
        channels,
        sessions,
        agent,
        reload,
        health,
        identity,
    })
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
    /// Up the list of parts, each with its deadline.
    async fn stop(self) {
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
