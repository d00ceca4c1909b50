//! The agent's regular look-around, and what wakes it in between.
//!
//! Every interval each agent with a heartbeat is asked in its main session whether anything needs
//! attention (`look.rs`), but only if its workspace has a `HEARTBEAT.md` with something in it: an
//! empty list costs no model run. `wake`, cron jobs and hooks wake it at any time
//! ([`Heartbeats::wake`]). What it says goes to a chat if the configuration names one
//! (`target.rs`). The outcome is the `heartbeat` event and what `last-heartbeat` answers.
//!
//! One task does all of it, one look-around after the other. Wishes to wake wait in a map with one
//! place for each agent, so that they can't pile up.

mod look;
pub mod settings;
mod target;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gateway_schemas::system::Heartbeat;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use crate::agent::Agent;
use crate::channels::Channels;
use crate::clock::Clock;
use crate::config::{Config, ConfigHandle};
use crate::hub::{Event, Hub};
use crate::limits::{HEARTBEAT_LOOK_INTERVAL, HEARTBEAT_WAKE_DELAY};
use crate::sessions::Sessions;
use crate::shutdown::Tasks;
use look::{Look, Told};

/// What woke a look-around that nobody asked for.
const INTERVAL: &str = "interval";

/// The last heartbeat, and the way to the next. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    hub: Hub,
    last: Mutex<Option<Heartbeat>>,
    enabled: AtomicBool,
    /// Agent → what woke it.
    wishes: Mutex<BTreeMap<String, String>>,
    bell: Notify,
}

/// What a look-around needs.
#[derive(Clone)]
pub struct Parts {
    /// Who looks around.
    pub agent: Agent,
    /// Where what it says goes.
    pub channels: Channels,
    /// The conversations.
    pub sessions: Sessions,
    /// The configuration in force.
    pub config: ConfigHandle,
    /// Time and ids.
    pub clock: Clock,
}

impl Heartbeats {
    /// None so far.
    pub fn new(hub: Hub) -> Self {
        Heartbeats {
            inner: Arc::new(Inner {
                hub,
                last: Mutex::default(),
                enabled: AtomicBool::new(true),
                wishes: Mutex::default(),
                bell: Notify::new(),
            }),
        }
    }

    /// The last one.
    pub fn last(&self) -> Option<Heartbeat> {
        lock(&self.inner.last).clone()
    }

    /// Notes one and tells everybody.
    fn note(&self, heartbeat: Heartbeat) {
        let event = Event::new("heartbeat", &heartbeat);
        *lock(&self.inner.last) = Some(heartbeat);
        self.inner.hub.publish(event);
    }

    /// Switches all heartbeats off or on again, until the gateway ends. What wakes them meanwhile
    /// waits as a system event for the session's next run.
    pub fn set_enabled(&self, enabled: bool) {
        self.inner.enabled.store(enabled, Ordering::Release);
        if !enabled {
            lock(&self.inner.wishes).clear();
        }
    }

    /// Lets the agent look around soon, whatever its list and its hours say. Wishes that come
    /// together are one; the first says why.
    pub fn wake(&self, agent: &str, reason: &str) {
        if !self.inner.enabled.load(Ordering::Acquire) {
            return;
        }
        let mut wishes = lock(&self.inner.wishes);
        wishes
            .entry(agent.to_owned())
            .or_insert_with(|| reason.to_owned());
        drop(wishes);
        self.inner.bell.notify_one();
    }

    /// Looks around every interval and when woken, until `tasks` stop.
    pub fn start(&self, parts: Parts, tasks: &Tasks) {
        let (heartbeats, stop) = (self.clone(), tasks.stop_token().clone());
        tasks.spawn("heartbeat", async move {
            stop.run_until_cancelled(heartbeats.beat_for_ever(parts))
                .await;
        });
    }

    async fn beat_for_ever(&self, parts: Parts) {
        let mut beats = Beats::default();
        let mut told = Told::default();
        let mut changes = parts.config.changes();
        loop {
            let next = beats.next(&parts.config.current());
            let woken = async {
                tokio::select! {
                    () = self.inner.bell.notified() => true,
                    _ = changes.changed() => false,
                }
            };
            match timeout_at(next, woken).await {
                Ok(true) => sleep(HEARTBEAT_WAKE_DELAY).await,
                // Another configuration: what is due when is another matter now.
                Ok(false) => continue,
                Err(_) => {}
            }
            let config = parts.config.current();
            let due = beats.take_due(&config);
            if !self.inner.enabled.load(Ordering::Acquire) {
                continue;
            }
            let mut wishes = std::mem::take(&mut *lock(&self.inner.wishes));
            for agent in due {
                wishes.entry(agent).or_insert_with(|| INTERVAL.to_owned());
            }
            for (agent, reason) in wishes {
                let look = Look {
                    parts: &parts,
                    config: &config,
                    agent: &agent,
                    reason: &reason,
                };
                if let Some(heartbeat) = look.around(&mut told).await {
                    self.note(heartbeat);
                }
            }
        }
    }
}

/// When each agent looked around last.
#[derive(Default)]
struct Beats {
    last: BTreeMap<String, Instant>,
}

impl Beats {
    /// The next moment at which something may be due; the configuration is looked at in between.
    fn next(&mut self, config: &Config) -> Instant {
        let now = Instant::now();
        let mut next = now + HEARTBEAT_LOOK_INTERVAL;
        for agent in config.agents.ids() {
            if let Some(every) = interval(config, agent) {
                let last = *self.last.entry(agent.to_owned()).or_insert(now);
                next = next.min(last + every);
            }
        }
        next
    }

    /// The agents whose interval is over; it begins anew.
    fn take_due(&mut self, config: &Config) -> Vec<String> {
        let now = Instant::now();
        self.last.retain(|agent, _| config.agents.exists(agent));
        let due = |(agent, last): &(&String, &mut Instant)| {
            interval(config, agent).is_some_and(|every| **last + every <= now)
        };
        let due = self.last.iter_mut().filter(due);
        due.map(|(agent, last)| {
            *last = now;
            agent.clone()
        })
        .collect()
    }
}

/// How often an agent looks around by itself; none for one that doesn't.
pub fn interval(config: &Config, agent: &str) -> Option<std::time::Duration> {
    settings::of(config, agent)?.interval()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
