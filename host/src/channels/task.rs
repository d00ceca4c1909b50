//! The task behind an account: keeps its plugin instance alive, and changes it on order.
//!
//! It opens and starts the instance, journals what comes in before the plugin may acknowledge it,
//! notes how the account stands, and starts the instance anew as `plugins::supervise` decides.
//! Errors of kind `Auth` or `Config` stop the account until somebody changes something. Orders
//! come from the reload task (`reload.rs`): on one, no new send begins, those in flight have
//! [`ACCOUNT_DRAIN_DEADLINE`] to end, then the instance is stopped and the order obeyed. The task
//! lives as long as the gateway, also while there is no plugin for its account.

use std::sync::Arc;

use gateway_plugin::message::{ErrorKind, StopReason, SurfaceError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::account::{Account, Serving};
use super::intake::Intake;
use super::settings::AccountPlan;
use super::status::{Phase, Status};
use crate::clock::Clock;
use crate::limits::{
    ACCOUNT_DRAIN_DEADLINE, ACCOUNT_START_DEADLINE, ACCOUNT_STOP_GRACE, ACCOUNT_WELL_AFTER,
    PING_DEADLINE, PING_INTERVAL, PROBE_DEADLINE, PROBE_EVERY_PINGS, PROBE_FIRST_PING,
};
use crate::plugins::supervise::{Next, Restarts};
use crate::plugins::{AccountStart, Inbound, Instance, KvStore, Plugin, PluginError};
use crate::shutdown::Tasks;

/// What an account serves with.
#[derive(Clone)]
pub(super) struct Duty {
    pub(super) plugin: Arc<Plugin>,
    pub(super) plan: Arc<AccountPlan>,
    /// State that outlives the plugin's generations.
    pub(super) kv: Arc<dyn KvStore>,
    /// If it doesn't get ready, the one who ordered it has another: wait for that, and let what
    /// waits for the account wait too.
    pub(super) trial: bool,
}

/// The first word on how an order went: it serves, or why it doesn't.
pub(super) type Verdict = Result<(), String>;

/// What an account is to do from now on.
pub(super) enum Order {
    /// Serve with this; told once it serves or failed to for the first time.
    Serve(Duty, oneshot::Sender<Verdict>),
    /// Rest with this plan; told once the instance is gone.
    Rest(Arc<AccountPlan>, oneshot::Sender<()>),
}

/// The task behind an account.
pub(super) struct AccountTask {
    pub(super) account: Arc<Account>,
    pub(super) clock: Clock,
    pub(super) intake: Intake,
    pub(super) serving: watch::Sender<Option<Arc<Serving>>>,
    pub(super) refusals: mpsc::Receiver<SurfaceError>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) log_level: String,
    /// Cancelled first: take no more messages from the world.
    pub(super) draining: CancellationToken,
    /// The set it belongs to; its token is cancelled when the instance has to stop.
    pub(super) tasks: Tasks,
}

/// Who waits for the first word of an order.
type Told = Option<oneshot::Sender<Verdict>>;

fn tell(told: &mut Told, verdict: Verdict) {
    if let Some(told) = told.take() {
        // Whoever asked may have left.
        told.send(verdict).ok();
    }
}

/// Why the account no longer does what it did.
enum Left {
    Stopping,
    Ordered(Order),
}

/// Why an instance no longer serves.
enum Ended {
    Left(Left),
    /// Not before somebody changes something.
    Refused(String),
    /// A passing reason, such as a provider that is away.
    FailedStart(String),
    /// The plugin misbehaved.
    Fault(String),
}

impl Ended {
    /// What went wrong, if anything did.
    fn why(&self) -> Option<&str> {
        match self {
            Self::Left(_) => None,
            Self::Refused(why) | Self::FailedStart(why) | Self::Fault(why) => Some(why),
        }
    }
}

impl AccountTask {
    /// Serves the account, or rests, as it is told. Until stopped.
    pub(super) async fn run(mut self, first: Option<Duty>) {
        let mut left = match first {
            Some(duty) => self.live(duty, None).await,
            None => self.idle().await,
        };
        loop {
            left = match left {
                Left::Stopping => return,
                Left::Ordered(Order::Serve(duty, told)) => self.live(duty, Some(told)).await,
                Left::Ordered(Order::Rest(plan, told)) => {
                    self.rest(plan);
                    // Whoever asked may have left.
                    told.send(()).ok();
                    self.idle().await
                }
            };
        }
    }

    /// Waits for an order.
    async fn idle(&mut self) -> Left {
        tokio::select! {
            biased;
            () = self.tasks.stop_token().cancelled() => Left::Stopping,
            Some(order) = self.orders.recv() => Left::Ordered(order),
        }
    }

    fn rest(&self, plan: Arc<AccountPlan>) {
        let why = plan.problem.clone().filter(|_| plan.enabled);
        self.account.set_plan(plan);
        self.ended(Phase::Off, why);
    }

    /// Serves with one plugin, starting its instance as often as it must.
    async fn live(&mut self, duty: Duty, mut told: Told) -> Left {
        self.account.set_plan(duty.plan.clone());
        self.account.note(|s| s.restarts = 0);
        let began = Instant::now();
        let mut restarts = Restarts::default();
        loop {
            self.account.announce(Status::starting);
            self.account.post().give_up(None);
            let opened = Instant::now();
            let ended = self.serve(&duty, &mut told).await;
            if opened.elapsed() >= ACCOUNT_WELL_AFTER {
                restarts.well();
            }
            if duty.trial
                && told.is_some()
                && let Some(why) = ended.why()
            {
                return self.fell(why.to_owned(), told).await;
            }
            let jitter = f64::from(u32::from_le_bytes(self.clock.random())) / f64::from(u32::MAX);
            let (why, next) = match ended {
                Ended::Left(left) => return self.left(left),
                Ended::Refused(why) => {
                    self.ended(Phase::Stopped, Some(why.clone()));
                    tell(&mut told, Err(why));
                    return self.idle().await;
                }
                Ended::FailedStart(why) => {
                    (why, Next::RestartAfter(restarts.after_failed_start(jitter)))
                }
                Ended::Fault(why) => (why, restarts.after_fault(began.elapsed(), jitter)),
            };
            let Next::RestartAfter(pause) = next else {
                self.ended(Phase::Quarantined, Some(why.clone()));
                tell(&mut told, Err(why));
                return self.idle().await;
            };
            tracing::warn!(
                channel = self.account.channel(),
                account = self.account.id(),
                error = why,
                pause_ms = pause.as_millis(),
                "account will be started again"
            );
            tell(&mut told, Err(why.clone()));
            let now_ms = self.clock.now_ms();
            self.account.announce(|s| s.failed(why, now_ms));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                left = self.idle() => return self.left(left),
            }
        }
    }

    /// A plugin on trial did not get ready: the next order brings the one before.
    async fn fell(&mut self, why: String, mut told: Told) -> Left {
        let now_ms = self.clock.now_ms();
        self.account
            .announce(|s| s.ended(Phase::Starting, Some(why.clone()), now_ms));
        tell(&mut told, Err(why));
        let left = self.idle().await;
        self.left(left)
    }

    fn left(&self, left: Left) -> Left {
        if matches!(left, Left::Stopping) {
            self.ended(Phase::Stopped, None);
        }
        left
    }

    fn ended(&self, phase: Phase, why: Option<String>) {
        let (channel, account) = (self.account.channel(), self.account.id());
        match &why {
            Some(why) => tracing::error!(channel, account, error = why, ?phase, "account stopped"),
            None => tracing::debug!(channel, account, "account stopped"),
        }
        let now_ms = self.clock.now_ms();
        self.account
            .announce(|s| s.ended(phase, why.clone(), now_ms));
        // New messages are refused by the status; those that wait for the account fail with it.
        if phase == Phase::Off || why.is_some() {
            let why = why.unwrap_or_else(|| "it is switched off".to_owned());
            self.account.post().give_up(Some(why));
        }
    }

    /// One instance from open to close.
    async fn serve(&mut self, duty: &Duty, told: &mut Told) -> Ended {
        let start = AccountStart {
            account_id: self.account.id().to_owned(),
            config: duty.plan.config.clone(),
            log_level: self.log_level.clone(),
        };
        let (instance, mut inbound) = match duty.plugin.open(start, duty.kv.clone(), &self.tasks) {
            Ok((instance, inbound)) => (Arc::new(instance), inbound),
            Err(e @ PluginError::Refused(_)) => return Ended::Refused(e.to_string()),
            Err(e) => return Ended::Fault(e.to_string()),
        };
        let ended = match self.start(&instance, &mut inbound).await {
            Ok(()) => self.serve_started(&instance, &mut inbound, told).await,
            Err(ended) => ended,
        };
        self.serving.send_replace(None);
        match ended {
            Ended::Left(Left::Ordered(_)) => self.stop(&instance, &mut inbound).await,
            Ended::Left(Left::Stopping) => {
                instance
                    .stop(StopReason::Shutdown, ACCOUNT_STOP_GRACE)
                    .await;
            }
            Ended::Refused(_) => {
                instance
                    .stop(StopReason::Disabled, ACCOUNT_STOP_GRACE)
                    .await
            }
            Ended::FailedStart(_) | Ended::Fault(_) => {
                instance.stop(StopReason::Restart, ACCOUNT_STOP_GRACE).await;
            }
        }
        ended
    }

    /// Starts the instance while its events are taken: a plugin may wait for their
    /// acknowledgement before its `start` returns.
    async fn start(&mut self, instance: &Instance, inbound: &mut Inbound) -> Result<(), Ended> {
        let starting = instance.start(ACCOUNT_START_DEADLINE);
        let wrong = instance.wrong();
        tokio::pin!(starting, wrong);
        let started = loop {
            tokio::select! {
                biased;
                () = self.tasks.stop_token().cancelled() => return Err(Ended::Left(Left::Stopping)),
                Some(order) = self.orders.recv() => return Err(Ended::Left(Left::Ordered(order))),
                why = &mut wrong => return Err(Ended::Fault(why)),
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

    async fn serve_started(
        &mut self,
        instance: &Arc<Instance>,
        inbound: &mut Inbound,
        told: &mut Told,
    ) -> Ended {
        // Refusals of an earlier instance are about an earlier life.
        while self.refusals.try_recv().is_ok() {}
        let (serving, released) = Serving::new(instance.clone());
        self.serving.send_replace(Some(serving));
        let (channel, id) = (self.account.channel(), self.account.id());
        tracing::info!(channel, account = id, "account started");
        let now_ms = self.clock.now_ms();
        let state = instance.state();
        let process = state.pid.zip(state.confined);
        self.account.announce(|s| s.started(process, now_ms));
        tell(told, Ok(()));

        let wrong = instance.wrong();
        let heart = async {
            let silence = watch_silence(&self.account, instance);
            let ours = watch_over(self.account.clone(), instance.clone(), self.clock);
            tokio::join!(silence, ours);
        };
        tokio::pin!(wrong, heart);
        let order = loop {
            tokio::select! {
                biased;
                () = self.tasks.stop_token().cancelled() => return Ended::Left(Left::Stopping),
                why = &mut wrong => return Ended::Fault(why),
                Some(order) = self.orders.recv() => break order,
                Some(error) = self.refusals.recv() => return Ended::Refused(error.message),
                () = &mut heart => {}
                event = self.intake.next(inbound), if !self.draining.is_cancelled() => {
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
        };
        self.drain(instance, inbound, &released).await;
        Ended::Left(Left::Ordered(order))
    }

    /// No new send begins; those in flight end, while events are taken, for a plugin may wait for
    /// their acknowledgement before it answers. What is left at the deadline ends as unknown.
    async fn drain(
        &self,
        instance: &Instance,
        inbound: &mut Inbound,
        released: &CancellationToken,
    ) {
        let now_ms = self.clock.now_ms();
        self.account.announce(|s| s.draining(now_ms));
        let (channel, account) = (self.account.channel(), self.account.id());
        tracing::info!(
            channel,
            account,
            "account drains: its plugin is about to change"
        );
        self.serving.send_replace(None);
        let wrong = instance.wrong();
        tokio::pin!(wrong);
        let drained = timeout(ACCOUNT_DRAIN_DEADLINE, async {
            loop {
                tokio::select! {
                    biased;
                    () = released.cancelled() => break,
                    () = self.tasks.stop_token().cancelled() => break,
                    _ = &mut wrong => break,
                    Some(event) = self.intake.next(inbound) => {
                        // A refusal of the account shows again in its next life.
                        self.intake.take(&self.account, event).await;
                    }
                }
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                channel,
                account,
                "sends are still in flight after {ACCOUNT_DRAIN_DEADLINE:?}: they end as unknown"
            );
        }
    }

    /// Stops an instance that did nothing wrong: what it still brings while it says goodbye is
    /// taken.
    async fn stop(&self, instance: &Instance, inbound: &mut Inbound) {
        let stopping = instance.stop(StopReason::Restart, ACCOUNT_STOP_GRACE);
        tokio::pin!(stopping);
        loop {
            tokio::select! {
                biased;
                () = &mut stopping => return,
                Some(event) = self.intake.next(inbound), if !self.draining.is_cancelled() => {
                    self.intake.take(&self.account, event).await;
                }
            }
        }
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
            account
                .probe_through(&instance, PROBE_DEADLINE, &clock)
                .await;
        }
    }
}

/// Shows whether the plugin's process answers. Never ends.
async fn watch_silence(account: &Account, instance: &Instance) {
    loop {
        instance.until_silent(true).await;
        account.announce(Status::silent);
        instance.until_silent(false).await;
        account.announce(Status::heard);
    }
}
