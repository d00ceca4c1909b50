//! Texts for the main session that wait for its next prompt: beacons with news, reminders.
//!
//! Filled by `system-event`, shown by `status`, taken by the next run of the main session. In
//! memory only, as clients expect: a beacon is news for minutes, not for ever. Reminders of cron jobs
//! are on disk too, and leave it when they were told.

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
    /// The key of a reminder on disk.
    pub reminder: Option<String>,
}

impl SystemEvents {
    /// Adds a text; one equal to the last is not repeated.
    pub fn push(&self, at_ms: u64, text: String) {
        let mut events = self.lock();
        if events.back().is_some_and(|last| last.text == text) {
            return;
        }
        let passing = events.iter().filter(|event| event.reminder.is_none());
        if passing.count() >= SYSTEM_EVENTS_MAX
            && let Some(oldest) = events.iter().position(|event| event.reminder.is_none())
        {
            events.remove(oldest);
        }
        events.push_back(SystemEvent {
            at_ms,
            text,
            reminder: None,
        });
    }

    /// Adds a reminder that is on disk under `key`. Whoever leaves it bounds their number.
    pub fn remind(&self, at_ms: u64, text: String, key: String) {
        self.lock().push_back(SystemEvent {
            at_ms,
            text,
            reminder: Some(key),
        });
    }

    /// How many reminders wait.
    pub fn reminders(&self) -> usize {
        let events = self.lock();
        events
            .iter()
            .filter(|event| event.reminder.is_some())
            .count()
    }

    /// Puts back what could not be told, before what came since.
    pub fn put_back(&self, untold: Vec<SystemEvent>) {
        let mut events = self.lock();
        for event in untold.into_iter().rev() {
            events.push_front(event);
        }
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
            reminder: None,
        };
        assert_eq!(events.take().first(), Some(&first));
        assert!(events.list().is_empty());
    }
}
