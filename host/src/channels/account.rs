//! One account's handle, as the rest of the daemon sees it.
//!
//! Shared by the directory, the router and the methods; it stays the same while plugins come and
//! go behind it. Its task (`task.rs`) changes the status and the instance, the reload task
//! (`reload.rs`) tells the account what to do.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use gateway_plugin::message::{
    ErrorKind, Op, OpResult, OutboundMessage, ProbeReport, SendReceipt, SurfaceError,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::delivery::{Listener, Outlet, Post, Room};
use super::settings::AccountPlan;
use super::status::Status;
use super::task::{Duty, Order, Verdict};
use crate::clock::Clock;
use crate::limits::TYPING_DEADLINE;
use crate::plugins::Instance;
use crate::store::outbox::{Entry, OutboxId};

/// One login inside a channel, as the rest of the daemon sees it.
#[derive(Debug)]
pub struct Account {
    channel: String,
    id: String,
    plan: RwLock<Arc<AccountPlan>>,
    status: Mutex<Status>,
    ends: Ends,
}

/// The far ends of an account: who hears of it, and who works for it.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) changes: watch::Sender<u64>,
    pub(super) post: Arc<Post>,
    pub(super) serving: watch::Receiver<Option<Arc<Serving>>>,
    pub(super) refusals: mpsc::Sender<SurfaceError>,
    pub(super) orders: mpsc::Sender<Order>,
}

/// A running instance as those hold it who send through it: a drain waits for the last of them.
#[derive(Debug)]
pub(super) struct Serving {
    instance: Arc<Instance>,
    _released: DropGuard,
}

impl Serving {
    /// The instance for the delivery, and the token that is cancelled once nobody holds it.
    pub(super) fn new(instance: Arc<Instance>) -> (Arc<Serving>, CancellationToken) {
        let released = CancellationToken::new();
        let serving = Serving {
            instance,
            _released: released.clone().drop_guard(),
        };
        (Arc::new(serving), released)
    }
}

impl Account {
    pub(super) fn new(channel: &str, id: &str, plan: Arc<AccountPlan>, ends: Ends) -> Account {
        Account {
            channel: channel.to_owned(),
            id: id.to_owned(),
            status: Mutex::new(Status::new(plan.problem.clone())),
            plan: RwLock::new(plan),
            ends,
        }
    }

    /// The channel it belongs to.
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// Its id in the configuration.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the configuration says of it.
    pub fn plan(&self) -> Arc<AccountPlan> {
        self.plan
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set_plan(&self, plan: Arc<AccountPlan>) {
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn post(&self) -> &Post {
        &self.ends.post
    }

    /// Waits for room for `count` more messages.
    pub async fn room(&self, count: usize) -> Vec<Room> {
        self.ends.post.room(count).await
    }

    /// Hands a message that is `prepared` on disk to the delivery.
    pub fn hand_in(&self, id: OutboxId, entry: &Entry, room: Room) {
        self.ends.post.hand_in(id, entry, room);
    }

    /// Lets it serve with a plugin from now on, instead of what it does at present. Resolves with
    /// the first word on how that went; the account goes on either way. `Err` as well when the
    /// gateway stops meanwhile.
    pub(super) async fn serve(&self, duty: Duty) -> Verdict {
        let (tell, told) = oneshot::channel();
        let stopping = || Err("the gateway is stopping".to_owned());
        if self
            .ends
            .orders
            .send(Order::Serve(duty, tell))
            .await
            .is_err()
        {
            return stopping();
        }
        told.await.unwrap_or_else(|_| stopping())
    }

    /// Lets it rest: what it sends stays in the outbox. Resolves once its instance is gone.
    pub(super) async fn rest(&self, plan: Arc<AccountPlan>) {
        let (tell, told) = oneshot::channel();
        if self.ends.orders.send(Order::Rest(plan, tell)).await.is_ok() {
            // Not told: the gateway is stopping, which ends the instance too.
            told.await.ok();
        }
    }

    /// Changes the status; clients hear of it with the next health snapshot.
    pub(super) fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Like [`Account::note`], for what clients should hear of at once.
    pub(super) fn announce(&self, change: impl FnOnce(&mut Status)) {
        self.note(change);
        self.ends.changes.send_modify(|version| *version += 1);
    }

    fn instance(&self) -> Option<Arc<Instance>> {
        let serving = self.ends.serving.borrow();
        serving.as_ref().map(|serving| serving.instance.clone())
    }

    /// Shows in the conversation that an answer is being written. Best effort.
    pub async fn typing(&self, chat: &str, thread_id: Option<&str>) {
        let Some(instance) = self.instance() else {
            return;
        };
        let thread_id = thread_id.map(str::to_owned);
        let op = Op::Typing {
            chat: chat.to_owned(),
            thread_id,
            on: true,
        };
        if let Err(e) = instance
            .request(op, bytes::Bytes::new(), TYPING_DEADLINE)
            .await
        {
            tracing::debug!(channel = self.channel, account = self.id, error = %e, "no typing");
        }
    }

    /// Lets the plugin forget the account's login; none when no plugin serves it.
    pub async fn log_out(&self, deadline: Duration) -> Option<Result<(), SurfaceError>> {
        let instance = self.instance()?;
        let done = instance
            .request(Op::Logout, bytes::Bytes::new(), deadline)
            .await;
        Some(done.map(|_| ()))
    }

    /// Asks the provider how the account is doing and notes the answer.
    pub async fn probe(&self, deadline: Duration, clock: &Clock) {
        if let Some(instance) = self.instance() {
            self.probe_through(&instance, deadline, clock).await;
        }
    }

    /// As [`Account::probe`], through this instance.
    pub(super) async fn probe_through(
        &self,
        instance: &Instance,
        deadline: Duration,
        clock: &Clock,
    ) {
        let began = Instant::now();
        let answer = instance
            .request(Op::Probe, bytes::Bytes::new(), deadline)
            .await;
        let answer = match answer {
            Ok(OpResult::Probe(report)) => Ok(report),
            Ok(_) => Ok(ProbeReport {
                ok: true,
                ..ProbeReport::default()
            }),
            Err(e) if e.kind == ErrorKind::Unsupported => return,
            Err(e) => Err(e),
        };
        let elapsed_ms = crate::spell::millis(began.elapsed());
        self.note(|s| s.probed(&answer, elapsed_ms, clock.now_ms()));
    }
}

impl Listener for Account {
    fn delivered(&self, now_ms: u64) {
        self.note(|s| s.last_outbound_ms = Some(now_ms));
    }

    fn refused(&self, error: &SurfaceError) {
        // One is enough to stop the account; more say the same.
        self.ends.refusals.try_send(error.clone()).ok();
    }
}

impl Outlet for Serving {
    async fn send(
        &self,
        message: OutboundMessage,
        deadline: Duration,
    ) -> Result<SendReceipt, SurfaceError> {
        match self
            .instance
            .request(Op::Send(message), bytes::Bytes::new(), deadline)
            .await?
        {
            OpResult::Sent(receipt) => Ok(receipt),
            // It did something, but nobody can say what.
            _ => Err(SurfaceError::new(
                ErrorKind::Timeout,
                "the plugin gave no receipt",
            )),
        }
    }
}
