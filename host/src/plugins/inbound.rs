//! One account's events, seen from the host: what happens, in order, and its acknowledgement.
//! Made by `instance`, held by the account task.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use gateway_plugin::abi::kind;
use gateway_plugin::message::{ErrorKind, Event, SurfaceError};
use tokio::sync::mpsc;

use super::intake::{Intake, Raw, add};
use super::line::Line;
use crate::limits::PLUGIN_CREDIT_BATCH;

/// What happens on an account, in order. Held by the account task alone.
pub struct Inbound {
    events: mpsc::Receiver<Raw>,
    intake: Arc<Intake>,
    line: Arc<dyn Line>,
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
    /// The events of one instance.
    pub(super) fn new(
        events: mpsc::Receiver<Raw>,
        intake: Arc<Intake>,
        line: Arc<dyn Line>,
    ) -> Inbound {
        Inbound {
            events,
            intake,
            line,
            owed: Arc::new(AtomicU64::new(0)),
        }
    }

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
    line: Arc<dyn Line>,
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
