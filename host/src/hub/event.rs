//! An event encoded once, however many clients get it.

use gateway_schemas::catalogue::{self, Scope};
use gateway_schemas::frame::{EventText, StateVersion, event_tail};
use serde::Serialize;

/// An event ready to be queued: its text, who may see it, and whether a slow client may miss it.
#[derive(Debug)]
pub struct Event {
    text: EventText,
    scope: Scope,
    droppable: bool,
}

impl Event {
    /// Encodes `payload` for the event `name`.
    ///
    /// # Panics
    /// When the catalogue doesn't know `name` or the payload can't be written as JSON (a map
    /// with keys that aren't text): both are mistakes of the program, found by any test.
    pub fn new(name: &'static str, payload: &impl Serialize) -> Event {
        let payload = serde_json::to_string(payload).expect("payload types have text keys");
        Self::of(name, &payload, None)
    }

    /// Like [`Event::new`] with a payload that is JSON text already, and with the versions that
    /// `presence` and `health` events carry.
    ///
    /// # Panics
    /// When the catalogue doesn't know `name`.
    pub fn versioned(name: &'static str, payload: &str, presence: u64, health: u64) -> Event {
        Self::of(name, payload, Some(StateVersion { presence, health }))
    }

    fn of(name: &'static str, payload: &str, versions: Option<StateVersion>) -> Event {
        let spec = catalogue::event(name).expect("events are published under a catalogued name");
        Event {
            text: EventText::new(name, Some(payload), versions),
            scope: spec.scope,
            droppable: spec.droppable,
        }
    }

    /// Overrides whether a slow client may miss it: a chat delta may be missed, its end not.
    #[must_use]
    pub fn droppable(mut self, yes: bool) -> Event {
        self.droppable = yes;
        self
    }

    pub(super) fn scope(&self) -> Scope {
        self.scope
    }

    pub(super) fn is_droppable(&self) -> bool {
        self.droppable
    }

    /// Bytes it takes in a client's queue, without the few of its `seq`.
    pub fn len(&self) -> usize {
        self.text.shared().len()
    }

    /// Never: an event has at least its name.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The whole frame for one client.
    pub fn text(&self, seq: Option<u64>) -> String {
        let shared = self.text.shared();
        let tail = event_tail(seq);
        let mut text = String::with_capacity(shared.len() + tail.len());
        text.push_str(shared);
        text.push_str(&tail);
        text
    }
}
