//! From the journal to the agent and back.
//!
//! `gateway` starts it before the channels, so that nothing that comes in waits for it, and stops
//! it after the agent. The journal is its queue: the router walks through it in order of arrival,
//! woken by a bell, and an entry leaves it only in the transaction that prepares its answer. So
//! the walk after a crash is the same walk as on any other day.
//!
//! `policy.rs` says who may write, `place.rs` which session a conversation is, `inbound.rs` walks
//! one message through, `reply.rs` writes what is answered.

mod batch;
mod inbound;
pub mod mirror;
pub mod place;
pub mod policy;
mod reply;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::channels::Channels;
use crate::channels::lanes::Lanes;
use crate::clock::Clock;
use crate::config::ConfigHandle;
use crate::limits::{ROUTER_SESSIONS_MAX, ROUTER_WAITING_MAX};
use crate::sessions::{SessionKey, Sessions};
use crate::shutdown::{Tasks, panic_text};
use crate::store::Store;
use crate::store::journal::{self, JournalId};
use inbound::Work;
use policy::Mentions;

/// Pages of the journal read at a time.
const PAGE: usize = 64;

/// What the router puts together.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The configuration.
    pub config: ConfigHandle,
    /// Time and ids.
    pub clock: Clock,
    /// The database.
    pub store: Store,
    /// Where messages come from and go to.
    pub channels: Channels,
    /// What the agent remembers.
    pub sessions: Sessions,
    /// Who answers.
    pub agent: Agent,
}

/// Starts the router as a task of `tasks`. Stopping that set lets it finish what it is writing;
/// what is not answered by then stays in the journal.
pub fn start(parts: Parts, tasks: &Tasks) {
    let router = Router {
        bell: parts.channels.inbound_bell(),
        stop: tasks.stop_token().clone(),
        mentions: Mutex::default(),
        parts,
    };
    tasks.spawn("router", router.run());
}

struct Router {
    parts: Parts,
    bell: Arc<Notify>,
    stop: CancellationToken,
    /// What counts as a mention, with the patterns it was made of.
    mentions: Mutex<(Vec<String>, Arc<Mentions>)>,
}

impl Router {
    async fn run(self) {
        let this = &self;
        let mut lanes: Lanes<String, Work> = Lanes::new(ROUTER_SESSIONS_MAX);
        let mut running: FuturesUnordered<BoxFuture<'_, String>> = FuturesUnordered::new();
        // Runs that are being stopped for newer messages.
        let mut asides = FuturesUnordered::new();
        let mut seen = JournalId::default();
        loop {
            if !self.stop.is_cancelled() {
                for key in self.fill(&mut lanes, &mut seen) {
                    asides.push(self.interrupt(key));
                }
                while let Some((lane, work)) = lanes.begin() {
                    let works = self.gather(&mut lanes, work);
                    let work = async move {
                        this.guarded(works).await;
                        lane
                    };
                    running.push(work.boxed());
                }
            }
            tokio::select! {
                Some(lane) = running.next(), if !running.is_empty() => {
                    match self.rest(&lanes, &lane).filter(|_| !self.stop.is_cancelled()) {
                        Some(rest) => running.push(self.resting(lane, rest).boxed()),
                        None => lanes.done(&lane),
                    }
                }
                Some(()) = asides.next(), if !asides.is_empty() => {}
                () = self.bell.notified() => {}
                () = self.stop.cancelled(), if running.is_empty() => return,
            }
        }
    }

    /// A lane whose next messages wait for more of them.
    async fn resting(&self, lane: String, rest: Duration) -> String {
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = self.stop.cancelled() => {}
        }
        lane
    }

    /// As the configuration in force says.
    fn mentions(&self) -> Arc<Mentions> {
        let config = self.parts.config.current();
        let patterns = &config.messages.group_chat.mention_patterns;
        let mut known = self.mentions.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != *patterns {
            *known = (patterns.clone(), Arc::new(Mentions::new(patterns)));
        }
        known.1.clone()
    }

    /// Reads the journal on, as far as there is room in memory. Gives the sessions whose runs are
    /// to be stopped for what was found.
    fn fill(&self, lanes: &mut Lanes<String, Work>, seen: &mut JournalId) -> Vec<SessionKey> {
        let mut interrupted = Vec::new();
        while lanes.waiting() < ROUTER_WAITING_MAX {
            let from = *seen;
            let page = match self
                .parts
                .store
                .read(|txn| journal::open_after(txn, from, PAGE))
            {
                Ok(page) => page,
                Err(e) => {
                    tracing::error!(error = %e, "the journal can't be read");
                    return interrupted;
                }
            };
            let Some(last) = page.last else {
                return interrupted;
            };
            *seen = last;
            for (id, entry) in page.entries {
                let mut work = self.sort(id, entry);
                work.waited = lanes.is_busy(&work.lane);
                if work.waited {
                    interrupted.extend(self.interrupts(&work));
                }
                lanes.push(work.lane.clone(), work);
            }
        }
        interrupted
    }

    /// A panic stays with its message, which is routed again after the next start.
    async fn guarded(&self, works: Vec<Work>) {
        let Some((id, run)) = works
            .first()
            .map(|work| (work.id, work.entry.run_id.clone()))
        else {
            return;
        };
        let routed = async {
            if let Some((batch, way)) = self.batch(works).await {
                self.route(batch, way).await;
            }
        };
        if let Err(panic) = AssertUnwindSafe(routed).catch_unwind().await {
            tracing::error!(journal = %id, run, panic = panic_text(panic), "routing panicked");
        }
    }
}

#[cfg(test)]
mod tests;
