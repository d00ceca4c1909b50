//! One account's plugin object, seen from the host: operations in, events out.
//!
//! The account task (`channels`) holds both ends: [`Instance`] asks, [`Inbound`] brings what
//! happened. Promises: at most [`PLUGIN_REQUESTS_MAX`] operations and [`PLUGIN_EVENTS_MAX`] events are under
//! way; an operation ends at its deadline, whatever the plugin does; an event's credit returns
//! only when it was acknowledged; dropping the last clone closes the instance.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gateway_plugin::abi::{kind, rc};
use gateway_plugin::message::{
    ErrorKind, Event, HostInfo, Op, OpResult, StartRequest, StopReason, SurfaceError,
};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::intake::{Answer, Intake, Raw, add};
use super::line::Line;
use super::supervise::Fault;
use super::{KvStore, PluginError, abilities, calls};
use crate::limits::{PLUGIN_CREDIT_BATCH, PLUGIN_EVENTS_MAX, PLUGIN_REQUESTS_MAX};
use crate::shutdown::Tasks;

/// What an instance begins with.
#[derive(Debug, Clone)]
pub struct AccountStart {
    /// The account's id in the configuration.
    pub account_id: String,
    /// Its configuration, already checked with `Plugin::check_config`, secrets resolved.
    pub config: Value,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
}

/// A handle to one running account of a plugin. Clones share the instance.
#[derive(Clone)]
pub struct Instance {
    shared: Arc<Shared>,
}

struct Shared {
    intake: Arc<Intake>,
    line: Arc<Line>,
    start: AccountStart,
    manifest: Arc<super::Manifest>,
    inflight: Semaphore,
}

/// What an instance did since it was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceState {
    /// Events taken.
    pub events: u64,
    /// Events of a kind only a newer gateway knows.
    pub unknown_events: u64,
    /// Frames that made no sense.
    pub bad_frames: u64,
    /// Events refused because the plugin had no credit for them.
    pub refused_events: u64,
    /// Operations that panicked.
    pub panics: u64,
    /// Times the plugin asked to be started anew.
    pub fatals: u64,
    /// Operations without an answer before their deadline.
    pub timeouts: u64,
    /// Log lines written.
    pub log_lines: u64,
    /// Log lines dropped because there were too many.
    pub log_dropped: u64,
    /// Operations under way.
    pub in_flight: u64,
}

/// Opens an instance over a loaded table.
pub(super) fn open(
    table: &'static gateway_plugin::abi::PluginApi,
    manifest: Arc<super::Manifest>,
    start: AccountStart,
    kv: Arc<dyn KvStore>,
    tasks: &Tasks,
) -> Result<(Instance, Inbound), PluginError> {
    let (intake, events, host_calls) = Intake::new(&manifest.id, &start.account_id);
    let intake = Arc::new(intake);
    let line = Arc::new(Line::open(table, intake.clone()).map_err(PluginError::Open)?);
    line.deliver(kind::CREDIT, PLUGIN_EVENTS_MAX as u64, 0, &[], Bytes::new());
    let most = manifest
        .limits
        .max_inflight
        .map_or(PLUGIN_REQUESTS_MAX, |n| n as usize);
    let service = calls::serve(
        host_calls,
        kv,
        Arc::downgrade(&line),
        intake.closed().clone(),
    );
    tasks.spawn("plugin host calls", service);
    let inbound = Inbound {
        events,
        intake: intake.clone(),
        line: line.clone(),
        owed: Arc::new(AtomicU64::new(0)),
    };
    let inflight = Semaphore::new(most.clamp(1, PLUGIN_REQUESTS_MAX));
    let shared = Shared {
        intake,
        line,
        start,
        manifest,
        inflight,
    };
    Ok((
        Instance {
            shared: Arc::new(shared),
        },
        inbound,
    ))
}

impl Instance {
    /// Starts the account. Ask nothing else before it succeeded.
    ///
    /// # Errors
    /// The plugin's own; `Timeout` after `deadline`.
    pub async fn start(&self, deadline: Duration) -> Result<(), SurfaceError> {
        let start = &self.shared.start;
        let request = StartRequest {
            account: start.account_id.clone(),
            config: start.config.clone(),
            host: HostInfo {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                api: super::host_api(),
                log_level: start.log_level.clone(),
                webhook_base: None,
            },
        };
        self.request(Op::Start(request), Bytes::new(), deadline)
            .await
            .map(|_| ())
    }

    /// Asks for one operation; `media` holds its inline attachments or its body. Dropping the
    /// future cancels the operation at the plugin's next await.
    ///
    /// # Errors
    /// `Unsupported` at once for what the manifest does not declare. `Transient`, `NotConnected`:
    /// the plugin was never asked, so it surely did not happen. `Timeout`, `Cancelled`: it was
    /// asked and may have happened. Otherwise the plugin's own.
    pub async fn request(
        &self,
        op: Op,
        media: Bytes,
        deadline: Duration,
    ) -> Result<OpResult, SurfaceError> {
        abilities::check(&self.shared.manifest, &op)?;
        let body = serde_json::to_vec(&op).map_err(|e| {
            SurfaceError::new(
                ErrorKind::InvalidRequest,
                format!("operation cannot be encoded: {e}"),
            )
        })?;
        self.request_body(&body, media, deadline).await
    }

    /// The same with a body as it is, declared or not.
    ///
    /// # Errors
    /// As [`Instance::request`], apart from what is not declared.
    pub(super) async fn request_body(
        &self,
        body: &[u8],
        media: Bytes,
        deadline: Duration,
    ) -> Result<OpResult, SurfaceError> {
        let until = Instant::now() + deadline;
        let Ok(permit) = tokio::time::timeout_at(until, self.shared.inflight.acquire()).await
        else {
            return Err(busy("too many operations under way"));
        };
        let _permit = permit.map_err(|_| gone())?;
        let (status, body, blob) = self.exchange(body, media, until).await?;
        if status == 0 {
            return self.decode(&body, blob);
        }
        let error = serde_json::from_slice(&body).unwrap_or_else(|_| self.garbage("error"));
        if error.kind == ErrorKind::Panic {
            self.panicked(&error.message);
        }
        Err(error)
    }

    async fn exchange(
        &self,
        body: &[u8],
        media: Bytes,
        until: Instant,
    ) -> Result<Answer, SurfaceError> {
        let (intake, line) = (&self.shared.intake, &self.shared.line);
        let (id, answer) = intake.expect().ok_or_else(gone)?;
        // From here on, leaving without an answer tells the plugin to stop working on it.
        let _cancel = Cancel { intake, line, id };
        match line.deliver(kind::REQUEST, id, 0, body, media) {
            rc::OK => {}
            rc::BUSY => return Err(busy("the plugin takes no more operations")),
            rc::CLOSED => return Err(gone()),
            rc::PANIC => {
                self.panicked("while taking an operation");
                return Err(SurfaceError::new(ErrorKind::Panic, "the plugin panicked"));
            }
            code => {
                let text = format!("the plugin refused the operation with code {code}");
                return Err(SurfaceError::new(ErrorKind::Other, text));
            }
        }
        match tokio::time::timeout_at(until, answer).await {
            Ok(answer) => answer.map_err(|_| closed_under_way()),
            Err(_) => {
                add(&intake.counters.timeouts);
                Err(SurfaceError::new(
                    ErrorKind::Timeout,
                    "no answer from the plugin in time",
                ))
            }
        }
    }

    fn decode(&self, body: &[u8], blob: Bytes) -> Result<OpResult, SurfaceError> {
        let mut result = serde_json::from_slice(body).map_err(|_| self.garbage("result"))?;
        match &mut result {
            OpResult::Media(file) => file.bytes = blob,
            OpResult::Http(response) => response.body = blob,
            _ => {}
        }
        Ok(result)
    }

    fn garbage(&self, what: &str) -> SurfaceError {
        self.shared.intake.bad_frame("unreadable answer");
        SurfaceError::new(
            ErrorKind::Other,
            format!("the plugin's {what} cannot be read"),
        )
    }

    fn panicked(&self, text: &str) {
        let intake = &self.shared.intake;
        add(&intake.counters.panics);
        tracing::error!(
            plugin = intake.plugin,
            account = intake.account,
            panic = text,
            "plugin panicked"
        );
        intake.fault(Fault::Panic(text.to_owned()));
    }

    /// Is the plugin alive? A missed one counts towards a restart.
    ///
    /// # Errors
    /// `Timeout` after `deadline`.
    pub async fn ping(&self, deadline: Duration) -> Result<(), SurfaceError> {
        let answered = self.request(Op::Ping, Bytes::new(), deadline).await;
        let fault = if answered.is_ok() {
            Fault::Pong
        } else {
            Fault::MissedPing
        };
        self.shared.intake.fault(fault);
        answered.map(|_| ())
    }

    /// Resolves with the reason when this instance has to be replaced by a new one (see
    /// [`supervise`](super::supervise)); never resolves for a healthy one.
    pub async fn wrong(&self) -> String {
        let mut wrong = self.shared.intake.wrong();
        let why = wrong.wait_for(Option::is_some).await;
        let why = why.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    /// What it did so far.
    pub fn state(&self) -> InstanceState {
        let c = &self.shared.intake.counters;
        let most = self
            .shared
            .manifest
            .limits
            .max_inflight
            .map_or(PLUGIN_REQUESTS_MAX, |n| n as usize);
        let free = self.shared.inflight.available_permits();
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        InstanceState {
            events: of(&c.events),
            unknown_events: of(&c.unknown_events),
            bad_frames: of(&c.bad_frames),
            refused_events: of(&c.refused_events),
            panics: of(&c.panics),
            fatals: of(&c.fatals),
            timeouts: of(&c.timeouts),
            log_lines: of(&c.log_lines),
            log_dropped: of(&c.log_dropped),
            in_flight: most.clamp(1, PLUGIN_REQUESTS_MAX).saturating_sub(free) as u64,
        }
    }

    /// Says goodbye (up to `grace`), then closes. Every operation still under way ends with
    /// `Cancelled`; nothing comes from the plugin afterwards.
    pub async fn stop(&self, why: StopReason, grace: Duration) {
        if let Err(error) = self.request(Op::Stop { why }, Bytes::new(), grace).await {
            let intake = &self.shared.intake;
            tracing::debug!(
                plugin = intake.plugin,
                account = intake.account,
                %error,
                "the plugin did not stop by itself"
            );
        }
        self.close(grace).await;
    }

    /// Ends the instance without a goodbye. False if the plugin holds up its closing past `grace`.
    pub(super) async fn close(&self, grace: Duration) -> bool {
        self.shared.inflight.close();
        self.shared.intake.close();
        let line = self.shared.line.clone();
        // Closing waits for calls under way, which a faulty plugin may hold up.
        let closed = tokio::task::spawn_blocking(move || line.close(0));
        let in_time = tokio::time::timeout(grace, closed).await.is_ok();
        if !in_time {
            tracing::warn!(
                plugin = self.shared.intake.plugin,
                "the plugin holds up its closing"
            );
        }
        in_time
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let intake = &self.shared.intake;
        write!(f, "Instance({}/{})", intake.plugin, intake.account)
    }
}

struct Cancel<'a> {
    intake: &'a Intake,
    line: &'a Line,
    id: u64,
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        if self.intake.forget(self.id) {
            self.line
                .deliver(kind::CANCEL, self.id, 0, &[], Bytes::new());
        }
    }
}

fn gone() -> SurfaceError {
    SurfaceError::new(ErrorKind::NotConnected, "the plugin instance is closed")
}

/// Unlike [`gone`]: the plugin was asked, and may have done it.
fn closed_under_way() -> SurfaceError {
    SurfaceError::new(
        ErrorKind::Cancelled,
        "the plugin instance was closed before it answered",
    )
}

fn busy(why: &str) -> SurfaceError {
    SurfaceError::new(ErrorKind::Transient, format!("busy: {why}"))
}

/// What happens on an account, in order. Held by the account task alone.
pub struct Inbound {
    events: mpsc::Receiver<Raw>,
    intake: Arc<Intake>,
    line: Arc<Line>,
    owed: Arc<AtomicU64>,
}

/// One event and the right to acknowledge it.
#[derive(Debug)]
pub struct InboundEvent {
    /// What happened.
    pub event: Event,
    /// The bytes of its inline attachments.
    pub blob: Bytes,
    /// To be used once the event is on disk.
    pub ack: Ack,
}

impl Inbound {
    /// The next event. Garbage and unknown kinds are counted, answered and skipped. `None` once
    /// the instance is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<InboundEvent> {
        loop {
            let raw = tokio::select! {
                biased;
                () = self.intake.closed().cancelled() => return None,
                raw = self.events.recv() => raw?,
            };
            let ack = Ack {
                id: raw.id,
                intake: self.intake.clone(),
                line: self.line.clone(),
                owed: self.owed.clone(),
                answered: false,
            };
            match serde_json::from_slice(&raw.body) {
                Ok(Event::Unknown) => {
                    add(&self.intake.counters.unknown_events);
                    ack.done();
                }
                Ok(event) => {
                    add(&self.intake.counters.events);
                    return Some(InboundEvent {
                        event,
                        blob: raw.blob,
                        ack,
                    });
                }
                Err(e) => {
                    self.intake.bad_frame("unreadable event");
                    ack.refuse(format!("the event cannot be read: {e}"));
                }
            }
        }
    }
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inbound({}/{})", self.intake.plugin, self.intake.account)
    }
}

/// Answers the plugin's `emit` and gives its credit back. Dropped unused, it refuses.
#[must_use = "the plugin waits until the event is acknowledged"]
pub struct Ack {
    id: u64,
    intake: Arc<Intake>,
    line: Arc<Line>,
    owed: Arc<AtomicU64>,
    answered: bool,
}

impl Ack {
    /// The event is on disk: the plugin may tell its provider.
    pub fn done(mut self) {
        self.answer(0, &[]);
    }

    /// The event was not taken and may be emitted again.
    pub fn refuse(mut self, reason: impl Into<String>) {
        self.refused(reason.into());
    }

    fn refused(&mut self, reason: String) {
        let error = SurfaceError::new(ErrorKind::Transient, reason);
        self.answer(1, &serde_json::to_vec(&error).unwrap_or_default());
    }

    fn answer(&mut self, status: i32, body: &[u8]) {
        self.answered = true;
        if self.id != 0 {
            self.line
                .deliver(kind::RESPONSE, self.id, status, body, Bytes::new());
        }
        let left = self.intake.settled();
        let owed = self.owed.fetch_add(1, Ordering::AcqRel) + 1;
        // In batches, and at once when nothing else would bring the next batch.
        if owed >= PLUGIN_CREDIT_BATCH || left == 0 {
            let owed = self.owed.swap(0, Ordering::AcqRel);
            if owed > 0 {
                self.line.deliver(kind::CREDIT, owed, 0, &[], Bytes::new());
            }
        }
    }
}

impl Drop for Ack {
    fn drop(&mut self) {
        if !self.answered {
            self.refused("the gateway did not take the event".to_owned());
        }
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ack({})", self.id)
    }
}
