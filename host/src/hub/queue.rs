//! What waits to be written to one client.
//!
//! Filled by anybody, emptied by the client's connection task alone. Bounded in bytes: beyond
//! the bound a droppable event is left out (its `seq` isn't spent) and any other event closes the
//! connection as a slow consumer. Responses always fit, because requests in flight are bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Event;
use crate::limits::{CLIENT_QUEUE_BYTES_MAX, CLIENT_QUEUE_EVENTS_MAX};

/// Why a connection ends whose client doesn't take its events.
const SLOW_CONSUMER: &str = "slow consumer";

/// One thing to write.
#[derive(Debug)]
pub enum Item {
    /// An event, with the connection's number for it unless it is targeted.
    Event {
        /// The event, shared with other clients.
        event: Arc<Event>,
        /// Its number on this connection.
        seq: Option<u64>,
    },
    /// A whole frame.
    Text(String),
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// WebSocket close code.
    pub code: u16,
    /// Close reason.
    pub reason: String,
}

/// The queue of one client.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    seq: u64,
    closing: Option<Closing>,
}

impl Queue {
    /// Queues a broadcast event under the next number.
    pub fn push_event(&self, event: &Arc<Event>) {
        let mut state = self.lock();
        if !state.has_room(event) {
            return self.refuse(state, event);
        }
        state.seq += 1;
        let seq = Some(state.seq);
        self.add(
            state,
            event.len(),
            Item::Event {
                event: event.clone(),
                seq,
            },
        );
    }

    /// Queues an event for this client alone.
    pub fn push_targeted(&self, event: &Arc<Event>) {
        let state = self.lock();
        if !state.has_room(event) {
            return self.refuse(state, event);
        }
        self.add(
            state,
            event.len(),
            Item::Event {
                event: event.clone(),
                seq: None,
            },
        );
    }

    /// Queues a response from another task. Never refused while the connection lives.
    pub fn push_response(&self, text: String) {
        let state = self.lock();
        self.add(state, text.len(), Item::Text(text));
    }

    /// Queues a response from the connection's own task, which empties the queue next anyway.
    pub fn push_own(&self, text: String) {
        let mut state = self.lock();
        state.bytes += text.len();
        state.items.push_back(Item::Text(text));
    }

    /// Whether the connection ends because its client was too slow: nothing more is written.
    pub fn is_overrun(&self) -> bool {
        self.lock()
            .closing
            .as_ref()
            .is_some_and(|c| c.reason == SLOW_CONSUMER)
    }

    /// Moves everything that waits to the end of `out`; gives the queue's room back.
    pub fn take(&self, out: &mut Vec<Item>) {
        let mut state = self.lock();
        out.extend(state.items.drain(..));
        state.bytes = 0;
        // A burst must not keep its memory for the connection's whole life.
        if state.items.capacity() > 64 {
            state.items.shrink_to(16);
        }
    }

    /// Asks the connection to end once what waits is written. The first reason stays.
    pub fn close(&self, closing: Closing) {
        let mut state = self.lock();
        state.closing.get_or_insert(closing);
        drop(state);
        self.changed.notify_one();
    }

    /// The reason to end, if there is one.
    pub fn closing(&self) -> Option<Closing> {
        self.lock().closing.clone()
    }

    /// Resolves when something was queued or the connection should end.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn refuse(&self, mut state: MutexGuard<'_, State>, event: &Event) {
        if event.is_droppable() || state.closing.is_some() {
            return;
        }
        // What waits would never arrive in time: the room goes back at once.
        state.items.clear();
        state.bytes = 0;
        state.closing = Some(Closing {
            code: 1008,
            reason: "slow consumer".into(),
        });
        drop(state);
        self.changed.notify_one();
    }

    fn add(&self, mut state: MutexGuard<'_, State>, bytes: usize, item: Item) {
        let wake = state.items.is_empty();
        state.bytes += bytes;
        state.items.push_back(item);
        drop(state);
        if wake {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn has_room(&self, event: &Event) -> bool {
        self.closing.is_none()
            && self.bytes + event.len() <= CLIENT_QUEUE_BYTES_MAX
            && self.items.len() < CLIENT_QUEUE_EVENTS_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(bytes: usize, droppable: bool) -> Arc<Event> {
        let payload = format!("\"{}\"", "x".repeat(bytes));
        Arc::new(Event::versioned("health", &payload, 1, 1).droppable(droppable))
    }

    fn drain(queue: &Queue) -> Vec<Option<u64>> {
        let mut items = Vec::new();
        queue.take(&mut items);
        items
            .iter()
            .map(|item| match item {
                Item::Event { seq, .. } => *seq,
                Item::Text(_) => None,
            })
            .collect()
    }

    #[test]
    fn a_dropped_event_spends_no_number() {
        let queue = Queue::default();
        let large = event(CLIENT_QUEUE_BYTES_MAX / 2, true);
        for _ in 0..3 {
            queue.push_event(&large);
        }
        queue.push_event(&event(1, true));
        assert_eq!(drain(&queue), [Some(1), Some(2)]);
        queue.push_event(&event(1, true));
        assert_eq!(drain(&queue), [Some(3)]);
        assert!(queue.closing().is_none());
    }

    #[test]
    fn an_event_that_must_arrive_closes_a_full_queue() {
        let queue = Queue::default();
        let large = event(CLIENT_QUEUE_BYTES_MAX / 2, false);
        for _ in 0..3 {
            queue.push_event(&large);
        }
        assert_eq!(
            queue.closing().map(|c| c.reason),
            Some("slow consumer".into())
        );
        assert!(drain(&queue).is_empty());
    }

    #[test]
    fn the_count_is_bounded_too() {
        let queue = Queue::default();
        let small = event(1, true);
        for _ in 0..CLIENT_QUEUE_EVENTS_MAX + 5 {
            queue.push_event(&small);
        }
        assert_eq!(drain(&queue).len(), CLIENT_QUEUE_EVENTS_MAX);
    }

    #[test]
    fn responses_pass_a_full_queue() {
        let queue = Queue::default();
        let large = event(CLIENT_QUEUE_BYTES_MAX / 2, true);
        queue.push_event(&large);
        queue.push_event(&large);
        queue.push_response("r".into());
        assert_eq!(drain(&queue), [Some(1), None]);
    }

    #[test]
    fn the_first_reason_to_close_stays() {
        let queue = Queue::default();
        queue.close(Closing {
            code: 1012,
            reason: "service restart".into(),
        });
        queue.close(Closing {
            code: 1008,
            reason: "other".into(),
        });
        assert_eq!(queue.closing().map(|c| c.code), Some(1012));
    }
}
