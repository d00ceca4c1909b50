//! From the journal to the agent and back.
//!
//! `gateway` starts it before the channels, so that nothing that comes in waits for it, and stops
//! it after the agent. The journal is its queue: the router walks through it in order of arrival,
//! woken by a bell, and an entry leaves it only in the transaction that prepares its answer. So
//! the walk after a crash is the same walk as on any other day.
//!
//! `policy.rs` says who may write, `place.rs` which session a conversation is, `inbound.rs` walks
//! one message through, `reply.rs` writes what is answered.

mod inbound;
pub mod mirror;
pub mod place;
pub mod policy;
mod reply;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::channels::Channels;
use crate::channels::lanes::Lanes;
use crate::clock::Clock;
use crate::config::ConfigHandle;
use crate::limits::{ROUTER_SESSIONS_MAX, ROUTER_WAITING_MAX};
use crate::sessions::Sessions;
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
        let mut running = FuturesUnordered::new();
        let mut seen = JournalId::default();
        loop {
            if !self.stop.is_cancelled() {
                self.fill(&mut lanes, &mut seen);
                while let Some((lane, work)) = lanes.begin() {
                    running.push(async move {
                        this.guarded(work).await;
                        lane
                    });
                }
            }
            tokio::select! {
                Some(lane) = running.next(), if !running.is_empty() => lanes.done(&lane),
                () = self.bell.notified() => {}
                () = self.stop.cancelled(), if running.is_empty() => return,
            }
        }
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

    /// Reads the journal on, as far as there is room in memory.
    fn fill(&self, lanes: &mut Lanes<String, Work>, seen: &mut JournalId) {
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
                    return;
                }
            };
            let Some(last) = page.last else { return };
            *seen = last;
            for (id, entry) in page.entries {
                let work = self.sort(id, entry);
                lanes.push(work.lane.clone(), work);
            }
        }
    }

    /// A panic stays with its message, which is routed again after the next start.
    async fn guarded(&self, work: Work) {
        let (id, run) = (work.id, work.entry.run_id.clone());
        if let Err(panic) = AssertUnwindSafe(self.route(work)).catch_unwind().await {
            tracing::error!(journal = %id, run, panic = panic_text(panic), "routing panicked");
        }
    }
}

#[cfg(test)]
mod tests;
