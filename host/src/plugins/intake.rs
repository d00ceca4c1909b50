//! Frames that come from one instance. Called on the plugin's threads by `line`, so everything
//! here is short, bounded and never calls back into the plugin.
//!
//! Events and host calls go into bounded queues, responses wake their askers, logs are re-emitted,
//! faults are counted and judged by `supervise`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use gateway_plugin::abi::{kind, rc};
use gateway_plugin::message::{ErrorKind, SurfaceError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::logs::LogGate;
use super::supervise::{Fault, Health};
use crate::limits::{
    PLUGIN_BLOB_BYTES_MAX, PLUGIN_BODY_BYTES_MAX, PLUGIN_CALLS_MAX, PLUGIN_EVENTS_MAX,
};

/// A RESPONSE frame: status, body, blob.
pub(super) type Answer = (i32, Vec<u8>, Bytes);

/// An EVENT or REQUEST frame as it came.
pub(super) struct Raw {
    pub(super) id: u64,
    pub(super) body: Vec<u8>,
    pub(super) blob: Bytes,
}

/// One instance's frames and what is known about its behaviour.
pub(super) struct Intake {
    pub(super) plugin: String,
    pub(super) account: String,
    pub(super) counters: Counters,
    events: mpsc::Sender<Raw>,
    calls: mpsc::Sender<Raw>,
    /// Events taken from the plugin and not acknowledged yet.
    outstanding: AtomicUsize,
    pending: Mutex<Option<HashMap<u64, oneshot::Sender<Answer>>>>,
    next_id: AtomicU64,
    log: Mutex<LogGate>,
    health: Mutex<Health>,
    wrong: watch::Sender<Option<String>>,
    opened: Instant,
    /// The instance is closed: nothing more is taken or given out.
    closed: CancellationToken,
    /// Why it ended, if nobody asked it to.
    ended: OnceLock<SurfaceError>,
    /// Its process, if it has one of its own.
    process: OnceLock<u32>,
    confined: OnceLock<String>,
    silent: watch::Sender<bool>,
}

/// What an instance did, since it was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) events: AtomicU64,
    pub(super) unknown_events: AtomicU64,
    pub(super) bad_frames: AtomicU64,
    pub(super) refused_events: AtomicU64,
    pub(super) panics: AtomicU64,
    pub(super) fatals: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) log_lines: AtomicU64,
    pub(super) log_dropped: AtomicU64,
}

pub(super) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Intake {
    /// The intake of one instance, with the far ends of its two queues.
    pub(super) fn new(
        plugin: &str,
        account: &str,
    ) -> (Intake, mpsc::Receiver<Raw>, mpsc::Receiver<Raw>) {
        let (events, event_queue) = mpsc::channel(PLUGIN_EVENTS_MAX);
        let (calls, call_queue) = mpsc::channel(PLUGIN_CALLS_MAX);
        let intake = Intake {
            plugin: plugin.to_owned(),
            account: account.to_owned(),
            counters: Counters::default(),
            events,
            calls,
            outstanding: AtomicUsize::new(0),
            pending: Mutex::new(Some(HashMap::new())),
            next_id: AtomicU64::new(1),
            log: Mutex::default(),
            health: Mutex::default(),
            wrong: watch::Sender::new(None),
            opened: Instant::now(),
            closed: CancellationToken::new(),
            ended: OnceLock::new(),
            process: OnceLock::new(),
            confined: OnceLock::new(),
            silent: watch::Sender::new(false),
        };
        (intake, event_queue, call_queue)
    }

    /// Takes one frame; answers a code of `abi::rc`.
    pub(super) fn take(&self, what: u32, id: u64, status: i32, body: &[u8], blob: Bytes) -> i32 {
        if self.closed.is_cancelled() {
            return rc::CLOSED;
        }
        if body.len() > PLUGIN_BODY_BYTES_MAX || blob.len() > PLUGIN_BLOB_BYTES_MAX {
            self.bad_frame("too large");
            return rc::BAD_FRAME;
        }
        match what {
            kind::EVENT => self.event(id, body, blob),
            kind::REQUEST => self.call(id, body, blob),
            kind::RESPONSE => self.response(id, status, body, blob),
            kind::LOG => self.log(body),
            kind::FATAL => self.fatal(body),
            _ => {
                self.bad_frame("unknown kind");
                rc::UNSUPPORTED
            }
        }
    }

    fn event(&self, id: u64, body: &[u8], blob: Bytes) -> i32 {
        let taken = self
            .outstanding
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| {
                (n < PLUGIN_EVENTS_MAX).then_some(n + 1)
            });
        if taken.is_err() {
            add(&self.counters.refused_events);
            return rc::BUSY;
        }
        match self.events.try_send(Raw {
            id,
            body: body.to_vec(),
            blob,
        }) {
            Ok(()) => rc::OK,
            Err(refused) => {
                self.settled();
                match refused {
                    mpsc::error::TrySendError::Full(_) => {
                        add(&self.counters.refused_events);
                        rc::BUSY
                    }
                    mpsc::error::TrySendError::Closed(_) => rc::CLOSED,
                }
            }
        }
    }

    /// One taken event is acknowledged. Gives how many are still outstanding.
    pub(super) fn settled(&self) -> usize {
        self.outstanding
            .fetch_sub(1, Ordering::AcqRel)
            .saturating_sub(1)
    }

    fn call(&self, id: u64, body: &[u8], blob: Bytes) -> i32 {
        match self.calls.try_send(Raw {
            id,
            body: body.to_vec(),
            blob,
        }) {
            Ok(()) => rc::OK,
            Err(mpsc::error::TrySendError::Full(_)) => rc::BUSY,
            Err(mpsc::error::TrySendError::Closed(_)) => rc::CLOSED,
        }
    }

    fn response(&self, id: u64, status: i32, body: &[u8], blob: Bytes) -> i32 {
        if id == 0 || id >= self.next_id.load(Ordering::Relaxed) {
            self.bad_frame("answer to a request that was never made");
            return rc::BAD_FRAME;
        }
        let asker = locked(&self.pending)
            .as_mut()
            .and_then(|pending| pending.remove(&id));
        if let Some(asker) = asker {
            // An asker whose deadline has passed is gone: its answer is nobody's.
            asker.send((status, body.to_vec(), blob)).ok();
        }
        rc::OK
    }

    fn log(&self, body: &[u8]) -> i32 {
        let mut gate = locked(&self.log);
        if gate.admit(self.opened.elapsed()) {
            add(&self.counters.log_lines);
            if !gate.emit(&self.plugin, &self.account, body) {
                drop(gate);
                self.bad_frame("unreadable log line");
            }
        } else {
            add(&self.counters.log_dropped);
        }
        rc::OK
    }

    fn fatal(&self, body: &[u8]) -> i32 {
        add(&self.counters.fatals);
        let why = match serde_json::from_slice::<SurfaceError>(body) {
            Ok(error) => error.message,
            Err(_) => "it did not say why".to_owned(),
        };
        tracing::error!(
            plugin = self.plugin,
            account = self.account,
            why,
            "plugin gave up"
        );
        self.fault(Fault::Fatal(why));
        rc::OK
    }

    /// Counts and logs a frame that made no sense.
    pub(super) fn bad_frame(&self, why: &str) {
        add(&self.counters.bad_frames);
        tracing::debug!(
            plugin = self.plugin,
            account = self.account,
            why,
            "bad frame dropped"
        );
        self.fault(Fault::BadFrame);
    }

    /// Judges what happened; [`Intake::wrong`] is woken if the instance must be started anew.
    pub(super) fn fault(&self, fault: Fault) {
        let verdict = locked(&self.health).note(fault, self.opened.elapsed());
        if let Some(why) = verdict {
            self.wrong.send_if_modified(|wrong| {
                let first = wrong.is_none();
                wrong.get_or_insert(why);
                first
            });
        }
    }

    /// Tells when the instance must be started anew.
    pub(super) fn wrong(&self) -> watch::Receiver<Option<String>> {
        self.wrong.subscribe()
    }

    /// A new request's id and the place its answer comes to; `None` once closed.
    pub(super) fn expect(&self) -> Option<(u64, oneshot::Receiver<Answer>)> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        locked(&self.pending).as_mut()?.insert(id, sender);
        Some((id, receiver))
    }

    /// Nobody waits for this answer any more. `true` if somebody did until now.
    pub(super) fn forget(&self, id: u64) -> bool {
        locked(&self.pending)
            .as_mut()
            .is_some_and(|pending| pending.remove(&id).is_some())
    }

    /// Cancelled when the instance ends.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }

    /// The instance ends: every asker is told now, no new one is taken.
    pub(super) fn close(&self) {
        self.closed.cancel();
        drop(locked(&self.pending).take());
    }

    /// Its process ended by itself: everybody who waits is told why, and it is started anew.
    pub(super) fn died(&self, why: String) {
        let told = SurfaceError::new(ErrorKind::Cancelled, why.clone());
        if self.ended.set(told).is_ok() {
            self.fault(Fault::Gone(why));
        }
        self.close();
    }

    /// Its process could not load it. Trying again would change nothing.
    pub(super) fn refuse(&self, why: &str) {
        let why = format!("the plugin cannot be loaded: {why}");
        self.ended
            .set(SurfaceError::new(ErrorKind::Config, why))
            .ok();
        self.close();
    }

    /// Why it ended, if nobody asked it to.
    pub(super) fn why_ended(&self) -> Option<&SurfaceError> {
        self.ended.get()
    }

    /// A line that its process wrote past the log.
    pub(super) fn said(&self, line: &str) {
        let mut gate = locked(&self.log);
        if gate.admit(self.opened.elapsed()) {
            add(&self.counters.log_lines);
            gate.said(&self.plugin, &self.account, line);
        } else {
            add(&self.counters.log_dropped);
        }
    }

    /// Events that were refused before they got here.
    pub(super) fn refused_events(&self, how_many: u64) {
        let counter = &self.counters.refused_events;
        counter.fetch_add(how_many.min(1 << 32), Ordering::Relaxed);
    }

    /// It lives in a process of its own.
    pub(super) fn in_process(&self, id: u32) {
        self.process.set(id).ok();
    }

    /// What holds that process.
    pub(super) fn confined(&self, how: String) {
        self.confined.set(how).ok();
    }

    /// Whether it left the last question after its life unanswered.
    pub(super) fn silent(&self, is: bool) {
        self.silent.send_replace(is);
    }

    /// Tells when that changes.
    pub(super) fn silence(&self) -> watch::Receiver<bool> {
        self.silent.subscribe()
    }

    /// Its process, what holds it, and whether it is silent.
    pub(super) fn home(&self) -> (Option<u32>, Option<String>, bool) {
        let silent = *self.silent.borrow();
        (
            self.process.get().copied(),
            self.confined.get().cloned(),
            silent,
        )
    }
}
