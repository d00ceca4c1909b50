//! One account: its handle, and the task that keeps its plugin instance alive.
//!
//! The handle is shared by the directory, the router and the methods. The task opens and starts
//! the instance, journals what comes in before the plugin may acknowledge it, notes how the
//! account stands, and starts the instance anew as `plugins::supervise` decides. Errors of kind
//! `Auth` or `Config` stop the account until somebody changes something.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_plugin::message::{
    ErrorKind, Op, OpResult, OutboundMessage, ProbeReport, SendReceipt, StopReason, SurfaceError,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::delivery::{Listener, Outlet, Post, Room};
use super::intake::Intake;
use super::settings::AccountPlan;
use super::status::{Phase, Status};
use crate::clock::Clock;
use crate::limits::{
    ACCOUNT_START_DEADLINE, ACCOUNT_STOP_GRACE, ACCOUNT_WELL_AFTER, PING_DEADLINE, PING_INTERVAL,
    PROBE_DEADLINE, PROBE_EVERY_PINGS, PROBE_FIRST_PING, TYPING_DEADLINE,
};
use crate::plugins::supervise::{Next, Restarts};
use crate::plugins::{AccountStart, Inbound, Instance, KvStore, Plugin, PluginError};
use crate::shutdown::Tasks;
use crate::store::outbox::{Entry, OutboxId};

/// One login inside a channel, as the rest of the daemon sees it.
#[derive(Debug)]
pub struct Account {
    channel: String,
    id: String,
    plan: AccountPlan,
    status: Mutex<Status>,
    changes: watch::Sender<u64>,
    post: Arc<Post>,
    instance: watch::Receiver<Option<Arc<Instance>>>,
    refusals: mpsc::Sender<SurfaceError>,
}

impl Account {
    pub(super) fn new(
        channel: &str,
        id: &str,
        plan: AccountPlan,
        changes: watch::Sender<u64>,
        post: Arc<Post>,
        instance: watch::Receiver<Option<Arc<Instance>>>,
        refusals: mpsc::Sender<SurfaceError>,
    ) -> Account {
        let status = Mutex::new(Status::new(plan.problem.clone()));
        let (channel, id) = (channel.to_owned(), id.to_owned());
        Account {
            channel,
            id,
            plan,
            status,
            changes,
            post,
            instance,
            refusals,
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
    pub fn plan(&self) -> &AccountPlan {
        &self.plan
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn post(&self) -> &Post {
        &self.post
    }

    /// Waits for room for `count` more messages.
    pub async fn room(&self, count: usize) -> Vec<Room> {
        self.post.room(count).await
    }

    /// Hands a message that is `prepared` on disk to the delivery.
    pub fn hand_in(&self, id: OutboxId, entry: &Entry, room: Room) {
        self.post.hand_in(id, entry, room);
    }

    /// Changes the status; clients hear of it with the next health snapshot.
    pub(super) fn note(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Like [`Account::note`], for what clients should hear of at once.
    pub(super) fn announce(&self, change: impl FnOnce(&mut Status)) {
        self.note(change);
        self.changes.send_modify(|version| *version += 1);
    }

    /// Shows in the conversation that an answer is being written. Best effort.
    pub async fn typing(&self, chat: &str, thread_id: Option<&str>) {
        let Some(instance) = self.instance.borrow().clone() else {
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

    /// Asks the provider how the account is doing and notes the answer.
    pub async fn probe(&self, deadline: Duration, clock: &Clock) {
        let Some(instance) = self.instance.borrow().clone() else {
            return;
        };
        probe(self, &instance, deadline, clock).await;
    }
}

impl Listener for Account {
    fn delivered(&self, now_ms: u64) {
        self.note(|s| s.last_outbound_ms = Some(now_ms));
    }

    fn refused(&self, error: &SurfaceError) {
        // One is enough to stop the account; more say the same.
        self.refusals.try_send(error.clone()).ok();
    }
}

impl Outlet for Instance {
    async fn send(
        &self,
        message: OutboundMessage,
        deadline: Duration,
    ) -> Result<SendReceipt, SurfaceError> {
        match self
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

async fn probe(account: &Account, instance: &Instance, deadline: Duration, clock: &Clock) {
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
    account.note(|s| s.probed(&answer, elapsed_ms, clock.now_ms()));
}

/// The task behind an account.
pub(super) struct AccountTask {
    pub(super) account: Arc<Account>,
    pub(super) plugin: Arc<Plugin>,
    pub(super) kv: Arc<dyn KvStore>,
    pub(super) clock: Clock,
    pub(super) intake: Intake,
    pub(super) instance: watch::Sender<Option<Arc<Instance>>>,
    pub(super) refusals: mpsc::Receiver<SurfaceError>,
    pub(super) log_level: String,
    /// Cancelled first: take no more messages from the world.
    pub(super) draining: CancellationToken,
    /// The set it belongs to; its token is cancelled when the instance has to stop.
    pub(super) tasks: Tasks,
}

/// Why an instance no longer serves.
enum Ended {
    Stopping,
    /// Not before somebody changes something.
    Refused(String),
    /// A passing reason, such as a provider that is away.
    FailedStart(String),
    /// The plugin misbehaved.
    Fault(String),
}

impl AccountTask {
    /// Serves the account until stopped.
    pub(super) async fn run(mut self) {
        let began = Instant::now();
        let mut restarts = Restarts::default();
        loop {
            self.account.announce(|s| s.phase = Phase::Starting);
            let opened = Instant::now();
            let ended = self.serve().await;
            if opened.elapsed() >= ACCOUNT_WELL_AFTER {
                restarts.well();
            }
            let jitter = f64::from(u32::from_le_bytes(self.clock.random())) / f64::from(u32::MAX);
            let (why, next) = match ended {
                Ended::Stopping => return self.ended(Phase::Stopped, None),
                Ended::Refused(why) => return self.ended(Phase::Stopped, Some(why)),
                Ended::FailedStart(why) => {
                    (why, Next::RestartAfter(restarts.after_failed_start(jitter)))
                }
                Ended::Fault(why) => (why, restarts.after_fault(began.elapsed(), jitter)),
            };
            let pause = match next {
                Next::Quarantine => return self.ended(Phase::Quarantined, Some(why)),
                Next::RestartAfter(pause) => pause,
            };
            tracing::warn!(
                channel = self.account.channel,
                account = self.account.id,
                error = why,
                pause_ms = pause.as_millis(),
                "account will be started again"
            );
            let now_ms = self.clock.now_ms();
            self.account
                .announce(|s| s.ended(Phase::Starting, Some(why), now_ms));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.tasks.stop_token().cancelled() => return self.ended(Phase::Stopped, None),
            }
        }
    }

    fn ended(&self, phase: Phase, why: Option<String>) {
        let (channel, account) = (self.account.channel(), self.account.id());
        match &why {
            Some(why) => tracing::error!(channel, account, error = why, ?phase, "account stopped"),
            None => tracing::debug!(channel, account, "account stopped"),
        }
        let now_ms = self.clock.now_ms();
        self.account.announce(|s| s.ended(phase, why, now_ms));
    }

    /// One instance from open to close.
    async fn serve(&mut self) -> Ended {
        let start = AccountStart {
            account_id: self.account.id.clone(),
            config: self.account.plan.config.clone(),
            log_level: self.log_level.clone(),
        };
        let (instance, inbound) = match self.plugin.open(start, self.kv.clone(), &self.tasks) {
            Ok((instance, inbound)) => (Arc::new(instance), inbound),
            Err(e @ PluginError::Refused(_)) => return Ended::Refused(e.to_string()),
            Err(e @ PluginError::Open(_)) => return Ended::Fault(e.to_string()),
        };
        let ended = self.serve_opened(&instance, inbound).await;
        self.instance.send_replace(None);
        let why = match ended {
            Ended::Stopping => StopReason::Shutdown,
            Ended::Refused(_) => StopReason::Disabled,
            Ended::FailedStart(_) | Ended::Fault(_) => StopReason::Restart,
        };
        instance.stop(why, ACCOUNT_STOP_GRACE).await;
        ended
    }

    async fn serve_opened(&mut self, instance: &Arc<Instance>, mut inbound: Inbound) -> Ended {
        if let Err(ended) = self.start(instance, &mut inbound).await {
            return ended;
        }
        // Refusals of an earlier instance are about an earlier life.
        while self.refusals.try_recv().is_ok() {}
        self.instance.send_replace(Some(instance.clone()));
        let (channel, id) = (self.account.channel(), self.account.id());
        tracing::info!(channel, account = id, "account started");
        let now_ms = self.clock.now_ms();
        self.account.announce(|s| s.started(now_ms));

        let wrong = instance.wrong();
        let heart = watch_over(self.account.clone(), instance.clone(), self.clock);
        tokio::pin!(wrong, heart);
        loop {
            tokio::select! {
                biased;
                () = self.tasks.stop_token().cancelled() => return Ended::Stopping,
                why = &mut wrong => return Ended::Fault(why),
                Some(error) = self.refusals.recv() => return Ended::Refused(error.message),
                () = &mut heart => {}
                event = self.intake.next(&mut inbound), if !self.draining.is_cancelled() => {
                    match event {
                        Some(event) => {
                            if let Some(why) = self.intake.take(&self.account, event).await {
                                return Ended::Refused(why);
                            }
                        }
                        None => return Ended::Fault("the plugin instance closed itself".into()),
                    }
                }
            }
        }
    }

    /// Starts the instance while its events are taken: a plugin may wait for their
    /// acknowledgement before its `start` returns.
    async fn start(&self, instance: &Instance, inbound: &mut Inbound) -> Result<(), Ended> {
        let starting = instance.start(ACCOUNT_START_DEADLINE);
        tokio::pin!(starting);
        let started = loop {
            tokio::select! {
                biased;
                () = self.tasks.stop_token().cancelled() => return Err(Ended::Stopping),
                started = &mut starting => break started,
                Some(event) = self.intake.next(inbound) => {
                    if let Some(why) = self.intake.take(&self.account, event).await {
                        return Err(Ended::Refused(why));
                    }
                }
            }
        };
        started.map_err(|e| match e.kind {
            ErrorKind::Auth | ErrorKind::Config => Ended::Refused(e.message),
            ErrorKind::Panic => Ended::Fault(e.message),
            _ => Ended::FailedStart(e.message),
        })
    }
}

/// Pings the plugin, and now and then asks the provider. Never ends.
async fn watch_over(account: Arc<Account>, instance: Arc<Instance>, clock: Clock) {
    let mut pings: u32 = 0;
    loop {
        tokio::time::sleep(PING_INTERVAL).await;
        pings = pings.wrapping_add(1);
        // A missed ping is counted by the instance, which then says that it is wrong.
        instance.ping(PING_DEADLINE).await.ok();
        if pings == PROBE_FIRST_PING || pings.is_multiple_of(PROBE_EVERY_PINGS) {
            probe(&account, &instance, PROBE_DEADLINE, &clock).await;
        }
    }
}
