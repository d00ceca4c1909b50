//! One account's plugin object, seen from the host: operations in; events come out of `inbound`.
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
    ErrorKind, HostInfo, Op, OpResult, StartRequest, StopReason, SurfaceError,
};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::inbound::Inbound;
use super::intake::{Answer, Intake, add};
use super::line::{Line, refusal};
use super::supervise::Fault;
use super::{KvStore, PluginError, abilities, calls};
use crate::limits::{PLUGIN_EVENTS_MAX, PLUGIN_REQUESTS_MAX};
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
    line: Arc<dyn Line>,
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
    /// Its process, if it has one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What holds that process; such as `landlock 7, system calls, limits`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confined: Option<String>,
    /// Its process left the last question after its life unanswered.
    pub silent: bool,
}

/// Opens an instance over the line that `connect` makes for its frames.
pub(super) fn open(
    manifest: Arc<super::Manifest>,
    start: AccountStart,
    kv: Arc<dyn KvStore>,
    tasks: &Tasks,
    connect: impl FnOnce(&Arc<Intake>) -> Result<Arc<dyn Line>, PluginError>,
) -> Result<(Instance, Inbound), PluginError> {
    let (intake, events, host_calls) = Intake::new(&manifest.id, &start.account_id);
    let intake = Arc::new(intake);
    let line = connect(&intake)?;
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
    let inbound = Inbound::new(events, intake.clone(), line.clone());
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
        let _permit = permit.map_err(|_| self.gone())?;
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
        let (intake, line) = (&self.shared.intake, &*self.shared.line);
        let (id, answer) = intake.expect().ok_or_else(|| self.gone())?;
        let code = line.deliver(kind::REQUEST, id, 0, body, media);
        if code != rc::OK {
            intake.forget(id);
            if code == rc::PANIC {
                self.panicked("while taking an operation");
            }
            return Err(if code == rc::CLOSED {
                self.gone()
            } else {
                refusal(code)
            });
        }
        // From here on, leaving without an answer tells the plugin to stop working on it.
        let _cancel = Cancel { intake, line, id };
        match tokio::time::timeout_at(until, answer).await {
            Ok(answer) => answer.map_err(|_| self.closed_under_way()),
            Err(_) => {
                add(&intake.counters.timeouts);
                Err(SurfaceError::new(
                    ErrorKind::Timeout,
                    "no answer from the plugin in time",
                ))
            }
        }
    }

    /// The plugin was never asked.
    fn gone(&self) -> SurfaceError {
        let told = self.shared.intake.why_ended();
        let text = told.map_or("the plugin instance is closed", |told| &told.message);
        let kind = match told {
            Some(told) if told.kind != ErrorKind::Cancelled => told.kind,
            _ => ErrorKind::NotConnected,
        };
        SurfaceError::new(kind, text)
    }

    /// Unlike [`Instance::gone`]: the plugin was asked, and may have done it.
    fn closed_under_way(&self) -> SurfaceError {
        let told = self.shared.intake.why_ended().cloned();
        told.unwrap_or_else(|| {
            let text = "the plugin instance was closed before it answered";
            SurfaceError::new(ErrorKind::Cancelled, text)
        })
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

    /// Resolves when its process stops answering (`true`), or answers again (`false`); at once if
    /// that is so already.
    pub async fn until_silent(&self, is: bool) {
        let mut silent = self.shared.intake.silence();
        // The intake, which tells, lives as long as this instance.
        silent.wait_for(|silent| *silent == is).await.ok();
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
        let (pid, confined, silent) = self.shared.intake.home();
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
            pid,
            confined,
            silent,
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
        let closed = async {
            let closing = line.clone();
            tokio::task::spawn_blocking(move || closing.close(0))
                .await
                .ok();
            line.gone().await;
        };
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
    line: &'a dyn Line,
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

fn busy(why: &str) -> SurfaceError {
    SurfaceError::new(ErrorKind::Transient, format!("busy: {why}"))
}
