//! The health snapshot: collected by one task, read by everybody.
//!
//! Refreshed at start, every minute, after every connect and after every `health` call; refreshes
//! that clients cause are spaced, so that a burst of them costs one. Each refresh ends in a
//! `health` event.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use gateway_schemas::system::{AgentHealth, AgentHeartbeat, Health, SessionsHealth};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::clock::Clock;
use crate::config::{AgentEntry, Config, ConfigHandle};
use crate::hub::{Event, Hub};
use crate::limits::{HEALTH_INTERVAL, HEALTH_REFRESH_SPACING};
use crate::presence::Presence;
use crate::shutdown::Tasks;
use crate::timers::heartbeat;

/// The snapshot of one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// The object.
    pub health: Health,
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
            health,
            json: json.as_str().into(),
        });
        *self
            .inner
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Some(snapshot.clone());
        let (presence, version) = self.inner.sources.presence.health_refreshed();
        let event = Event::from_json("health", json).state_version(presence, version);
        self.inner.sources.hub.publish(event);
        snapshot
    }

    async fn refresh_for_ever(&self) {
        loop {
            let next = Instant::now() + HEALTH_INTERVAL;
            let spaced = Instant::now() + HEALTH_REFRESH_SPACING;
            self.refresh(false).await;
            // Either somebody wants one, or the interval is over.
            timeout_at(next, self.inner.wanted.notified()).await.ok();
            sleep_until(spaced).await;
        }
    }

    async fn collect(&self, _probe: bool) -> Health {
        let sources = &self.inner.sources;
        let started = Instant::now();
        let config = sources.config.current();
        let ids = config.agents.ids();
        let agents: Vec<AgentHealth> = ids.iter().map(|id| agent(&config, id)).collect();
        let every = heartbeat::interval(&config);
        Health {
            ok: true,
            ts: sources.clock.now_ms(),
            channels: BTreeMap::new(),
            channel_order: Vec::new(),
            channel_labels: BTreeMap::new(),
            heartbeat_seconds: every.unwrap_or_default().as_secs(),
            default_agent_id: config.agents.default_id().to_owned(),
            sessions: sessions(&config, config.agents.default_id()),
            agents,
            duration_ms: millis(started.elapsed()),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn agent(config: &Config, id: &str) -> AgentHealth {
    let entry: Option<&AgentEntry> = config.agents.get(id);
    let is_default = id == config.agents.default_id();
    let settings = &config.agents.defaults.heartbeat;
    let every = heartbeat::interval(config).filter(|_| is_default);
    AgentHealth {
        agent_id: id.to_owned(),
        name: entry.and_then(|a| a.name.clone()),
        is_default,
        heartbeat: AgentHeartbeat {
            enabled: every.is_some(),
            every: every.map_or_else(|| "disabled".into(), heartbeat::spell),
            every_ms: every.map(millis),
            prompt: heartbeat::prompt(config).to_owned(),
            target: settings.target.clone().unwrap_or_else(|| "none".into()),
            model: None,
            ack_max_chars: u64::from(heartbeat::ack_max_chars(config)),
        },
        sessions: sessions(config, id),
    }
}

/// The path that existing clients expect; this gateway keeps sessions in its database.
fn sessions(config: &Config, agent: &str) -> SessionsHealth {
    let path = config
        .paths
        .state_dir
        .join("agents")
        .join(agent)
        .join("sessions/sessions.json");
    SessionsHealth {
        path: path.display().to_string(),
        count: 0,
        recent: Vec::new(),
    }
}
