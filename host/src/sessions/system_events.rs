//! Texts for the main session that wait for its next prompt: beacons with news, reminders.
//!
//! Filled by `system-event`, shown by `status`, taken by the next run of the main session. In
//! memory only, as clients expect: a beacon is news for minutes, not for ever.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::SYSTEM_EVENTS_MAX;

/// What waits. Cheap to clone. Bounded: the oldest goes first.
#[derive(Clone, Debug, Default)]
pub struct SystemEvents(Arc<Mutex<VecDeque<SystemEvent>>>);

/// One waiting text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemEvent {
    /// When it came, ms.
    pub at_ms: u64,
    /// The text.
    pub text: String,
}

impl SystemEvents {
    /// Adds a text; one equal to the last is not repeated.
    pub fn push(&self, at_ms: u64, text: String) {
        let mut events = self.lock();
        if events.back().is_some_and(|last| last.text == text) {
            return;
        }
        if events.len() >= SYSTEM_EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(SystemEvent { at_ms, text });
    }

    /// What waits, oldest first.
    pub fn list(&self) -> Vec<String> {
        self.lock().iter().map(|event| event.text.clone()).collect()
    }

    /// Takes what waits, for a prompt.
    pub fn take(&self) -> Vec<SystemEvent> {
        self.lock().drain(..).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<SystemEvent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_bounded_and_not_repeated() {
        let events = SystemEvents::default();
        for i in 0..SYSTEM_EVENTS_MAX + 3 {
            events.push(1, i.to_string());
            events.push(2, i.to_string());
        }
        assert_eq!(events.list().len(), SYSTEM_EVENTS_MAX);
        let first = SystemEvent {
            at_ms: 1,
            text: "3".into(),
        };
        assert_eq!(events.take().first(), Some(&first));
        assert!(events.list().is_empty());
    }
}
