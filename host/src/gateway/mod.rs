//! The table of contents of the process: starts all parts, stops them in reverse (`parts.rs`).
//!
//! Called by the command line (`openclaw gateway`). Exit codes: 0 after a stop that was asked
//! for, 78 when the configuration has to be changed first, 1 for everything else.

mod parts;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;

use crate::clock::Clock;
use crate::config::{
    AuthMode, Config, LoadOptions, Loaded, check_startable, load, save_generated_token,
};
use crate::files;
use crate::http::{self, Bound, StateLock, Tls};
use crate::limits::{LIBRARY_UNUSED_AGE, START_SETTLING};
use crate::memory;
use crate::plugins::Plugins;
use crate::shutdown::StopSignals;
use crate::store::Store;
use crate::telemetry::{self, LogGuard, LogOptions};
use parts::{Reading, Running, build};

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
    if make_token(&loaded.config, &clock)? {
        loaded = load(&sources).map_err(config_error)?;
    }
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

/// A gateway in token mode has a token: made once, saved where clients look for it. True when it
/// was made and the configuration is another one.
fn make_token(config: &Config, clock: &Clock) -> Result<bool, StartError> {
    let auth = &config.gateway.auth;
    if auth.mode != Some(AuthMode::Token) || auth.token.is_some() {
        return Ok(false);
    }
    let file = &config.paths.config_file;
    save_generated_token(file, clock).map_err(config_error)?;
    tracing::info!(file = %file.display(), "a token was made and saved as gateway.auth.token");
    Ok(true)
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
    running.start_cron()?;
    steps.done("channels");
    running.server.set_ready(true);
    tracing::info!(steps = steps.text, "gateway ready");
    settle(&running, plugins, clock);
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

/// Gives back what only the start needed, once accounts have come up too.
fn settle(running: &Running, plugins: Plugins, clock: Clock) {
    let store = running.parts.config.current().paths.plugin_store();
    let stop = running.parts.tasks.stop_token().clone();
    running.parts.tasks.spawn("settling", async move {
        let slept = stop.run_until_cancelled(tokio::time::sleep(START_SETTLING));
        if slept.await.is_none() {
            return;
        }
        let now = Duration::from_millis(clock.now_ms());
        let before = UNIX_EPOCH + now.saturating_sub(LIBRARY_UNUSED_AGE);
        let swept = tokio::task::spawn_blocking(move || plugins.sweep(&store, before));
        match swept.await {
            Ok(Ok(0)) | Err(_) => {}
            Ok(Ok(gone)) => tracing::info!(gone, "copies of libraries that nobody uses are gone"),
            Ok(Err(error)) => tracing::warn!(%error, "unused libraries stay in the store"),
        }
        memory::give_back();
    });
}
