//! The health snapshot: collected by one task, read by everybody.
//!
//! Refreshed at start, every minute, after every connect and after every `health` call; refreshes
//! that clients cause are spaced, so that a burst of them costs one. Each refresh ends in a
//! `health` event.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use gateway_schemas::system::{AgentHealth, AgentHeartbeat, Health, RecentSession, SessionsHealth};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::channels::Channels;
use crate::clock::Clock;
use crate::config::{Config, ConfigHandle};
use crate::hub::{Event, Hub};
use crate::limits::{HEALTH_INTERVAL, HEALTH_REFRESH_SPACING};
use crate::presence::Presence;
use crate::sessions::Sessions;
use crate::shutdown::Tasks;
use crate::spell::millis;
use crate::timers::heartbeat;

/// How many of the newest sessions are named.
const RECENT_SESSIONS: usize = 5;
/// Longest wait for a provider that is asked how it does.
const PROBE_DEADLINE: Duration = Duration::from_secs(10);

/// The snapshot of one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The object.
    pub health: Arc<Health>,
    /// The same as JSON text.
    pub json: Arc<str>,
}

/// Where the snapshot's facts come from.
#[derive(Clone)]
pub struct Sources {
    /// The configuration in force.
    pub config: ConfigHandle,
    /// Time.
    pub clock: Clock,
    /// Counts the versions.
    pub presence: Presence,
    /// Takes the event.
    pub hub: Hub,
    /// Channels and their accounts.
    pub channels: Channels,
    /// Sessions, for their numbers.
    pub sessions: Sessions,
}

/// Access to the snapshot. Cheap to clone.
#[derive(Clone)]
pub struct HealthBoard {
    inner: Arc<Inner>,
}

struct Inner {
    sources: Sources,
    current: RwLock<Option<Arc<Snapshot>>>,
    wanted: Notify,
}

impl HealthBoard {
    /// Starts the task that refreshes the snapshot until `tasks` stop.
    pub fn start(sources: Sources, tasks: &Tasks) -> HealthBoard {
        let inner = Inner {
            sources,
            current: RwLock::default(),
            wanted: Notify::new(),
        };
        let board = HealthBoard {
            inner: Arc::new(inner),
        };
        let (task, stop) = (board.clone(), tasks.stop_token().clone());
        tasks.spawn("health", async move {
            stop.run_until_cancelled(task.refresh_for_ever()).await;
        });
        board
    }

    /// The last snapshot; `None` before the first.
    pub fn current(&self) -> Option<Arc<Snapshot>> {
        self.inner
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Asks for a refresh soon; doesn't wait.
    pub fn want_refresh(&self) {
        self.inner.wanted.notify_one();
    }

    /// Collects now, publishes, and returns what it found. `probe` asks the providers too.
    pub async fn refresh(&self, probe: bool) -> Arc<Snapshot> {
        let health = self.collect(probe).await;
        let json = serde_json::to_string(&health).expect("health has text keys");
        let snapshot = Arc::new(Snapshot {
            health: Arc::new(health),
            json: json.as_str().into(),
        });
        *self
            .inner
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(snapshot.clone());
        let (presence, version) = self.inner.sources.presence.health_refreshed();
        let event = Event::versioned("health", &json, presence, version);
        self.inner.sources.hub.publish(event);
        snapshot
    }

    async fn refresh_for_ever(&self) {
        let mut changes = self.inner.sources.channels.changes();
        let mut config = self.inner.sources.config.changes();
        loop {
            let next = Instant::now() + HEALTH_INTERVAL;
            let spaced = Instant::now() + HEALTH_REFRESH_SPACING;
            self.refresh(false).await;
            // Either somebody wants one, or an account or the configuration changed, or the
            // interval is over.
            let reason = async {
                tokio::select! {
                    () = self.inner.wanted.notified() => {}
                    _ = changes.changed() => {}
                    Ok(()) = config.changed() => {}
                }
            };
            timeout_at(next, reason).await.ok();
            sleep_until(spaced).await;
        }
    }

    async fn collect(&self, probe: bool) -> Health {
        let sources = &self.inner.sources;
        let started = Instant::now();
        if probe {
            sources.channels.probe_all(PROBE_DEADLINE).await;
        }
        let channels = sources.channels.health();
        let standing = sources.config.standing();
        let config = standing.config;
        let ids = config.agents.ids();
        let agents: Vec<AgentHealth> = ids.iter().map(|id| self.agent(&config, id)).collect();
        let every = heartbeat::interval(&config, config.agents.default_id());
        Health {
            ok: true,
            ts: sources.clock.now_ms(),
            channels: channels.channels,
            channel_order: channels.order,
            channel_labels: channels.labels,
            heartbeat_seconds: every.unwrap_or_default().as_secs(),
            default_agent_id: config.agents.default_id().to_owned(),
            sessions: self.sessions(&config, config.agents.default_id()),
            agents,
            config_hash: Some(config.hash.clone()),
            config_valid: Some(standing.problem.is_none()),
            duration_ms: millis(started.elapsed()),
        }
    }

    fn agent(&self, config: &Config, id: &str) -> AgentHealth {
        let is_default = id == config.agents.default_id();
        let settings = heartbeat::settings::of(config, id);
        let every = settings.as_ref().and_then(|own| own.interval());
        let settings = settings.unwrap_or_default();
        AgentHealth {
            agent_id: id.to_owned(),
            name: config.agents.get(id).and_then(|a| a.name.clone()),
            is_default,
            heartbeat: AgentHeartbeat {
                enabled: every.is_some(),
                every: heartbeat::settings::spell(every),
                every_ms: every.map(millis),
                prompt: settings.prompt().to_owned(),
                target: settings.target().to_owned(),
                model: None,
                ack_max_chars: u64::from(settings.ack_max_chars()),
            },
            sessions: self.sessions(config, id),
        }
    }

    fn sessions(&self, config: &Config, agent: &str) -> SessionsHealth {
        let sources = &self.inner.sources;
        let now = sources.clock.now_ms();
        let summary = sources
            .sessions
            .summary(Some(agent), RECENT_SESSIONS)
            .unwrap_or_else(|error| {
                tracing::error!(%error, "sessions can't be counted");
                crate::sessions::Summary::default()
            });
        let recent = summary.recent.iter().map(|(key, row)| RecentSession {
            key: key.as_str().to_owned(),
            updated_at: Some(row.updated_at),
            age: Some(now.saturating_sub(row.updated_at)),
        });
        SessionsHealth {
            path: sessions_path(config, agent),
            count: summary.count,
            recent: recent.collect(),
        }
    }
}

/// The path that existing clients expect to be told. This gateway keeps sessions in its database.
pub fn sessions_path(config: &Config, agent: &str) -> String {
    let folder = config.paths.state_dir.join("agents").join(agent);
    folder.join("sessions/sessions.json").display().to_string()
}
