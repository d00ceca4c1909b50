//! When an instance has to be started anew, and when it is given up: pure decisions over times,
//! without a clock. `intake` notes faults, the account task asks [`Restarts`] what to do next.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits::{
    PLUGIN_BACKOFF_FIRST, PLUGIN_BACKOFF_MAX, PLUGIN_BAD_FRAMES_MAX, PLUGIN_FAULT_WINDOW,
    PLUGIN_MISSED_PINGS_MAX, PLUGIN_PANICS_MAX, PLUGIN_RESTART_WINDOW, PLUGIN_RESTARTS_MAX,
};

/// Something an instance should not have done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An operation panicked; the panic was caught.
    Panic(String),
    /// The plugin asks to be started anew: one of its tasks is dead.
    Fatal(String),
    /// Its process is gone.
    Gone(String),
    /// A ping was not answered within its deadline.
    MissedPing,
    /// A ping was answered.
    Pong,
    /// A frame made no sense.
    BadFrame,
}

/// What an instance did lately.
#[derive(Debug, Default)]
pub struct Health {
    panics: VecDeque<Duration>,
    missed_pings: u32,
    bad_frames: u32,
}

impl Health {
    /// Notes what happened at `now` (since the instance was opened). `Some`: start it anew,
    /// because of this.
    pub fn note(&mut self, fault: Fault, now: Duration) -> Option<String> {
        match fault {
            Fault::Fatal(why) | Fault::Gone(why) => Some(why),
            Fault::Panic(why) => {
                self.panics.push_back(now);
                while self
                    .panics
                    .front()
                    .is_some_and(|t| now.saturating_sub(*t) > PLUGIN_FAULT_WINDOW)
                {
                    self.panics.pop_front();
                }
                (self.panics.len() >= PLUGIN_PANICS_MAX).then(|| {
                    format!("{PLUGIN_PANICS_MAX} panics within 5 minutes, the last: {why}")
                })
            }
            Fault::Pong => {
                self.missed_pings = 0;
                None
            }
            Fault::MissedPing => {
                self.missed_pings += 1;
                (self.missed_pings >= PLUGIN_MISSED_PINGS_MAX)
                    .then(|| format!("{PLUGIN_MISSED_PINGS_MAX} pings in a row were not answered"))
            }
            Fault::BadFrame => {
                self.bad_frames += 1;
                (self.bad_frames >= PLUGIN_BAD_FRAMES_MAX)
                    .then(|| format!("{PLUGIN_BAD_FRAMES_MAX} frames made no sense"))
            }
        }
    }
}

/// What to do with an account whose instance ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start it after this time.
    RestartAfter(Duration),
    /// Leave it alone until a person does something.
    Quarantine,
}

/// An account's restarts.
#[derive(Debug, Default)]
pub struct Restarts {
    times: VecDeque<Duration>,
    in_a_row: u32,
}

impl Restarts {
    /// An instance misbehaved at `now`. `jitter` is any number from 0 to 1.
    pub fn after_fault(&mut self, now: Duration, jitter: f64) -> Next {
        while self
            .times
            .front()
            .is_some_and(|t| now.saturating_sub(*t) > PLUGIN_RESTART_WINDOW)
        {
            self.times.pop_front();
        }
        if self.times.len() >= PLUGIN_RESTARTS_MAX {
            return Next::Quarantine;
        }
        self.times.push_back(now);
        Next::RestartAfter(self.backoff(jitter))
    }

    /// A start failed for a passing reason (the provider is away): never given up.
    pub fn after_failed_start(&mut self, jitter: f64) -> Duration {
        self.backoff(jitter)
    }

    /// The account is well again: the next wait is short.
    pub fn well(&mut self) {
        self.in_a_row = 0;
    }

    fn backoff(&mut self, jitter: f64) -> Duration {
        let wait = PLUGIN_BACKOFF_FIRST
            .saturating_mul(1 << self.in_a_row.min(16))
            .min(PLUGIN_BACKOFF_MAX);
        self.in_a_row = self.in_a_row.saturating_add(1);
        // Between half and all of it, so that accounts do not return in step.
        wait.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn three_panics_in_five_minutes() {
        let mut health = Health::default();
        let panic = || Fault::Panic("boom".to_owned());
        assert_eq!(health.note(panic(), at(0)), None);
        assert_eq!(health.note(panic(), at(100)), None);
        assert_eq!(
            health.note(panic(), at(301)),
            None,
            "the first no longer counts"
        );
        let why = health.note(panic(), at(302)).expect("a restart");
        assert!(why.ends_with("the last: boom"), "{why}");
    }

    #[test]
    fn pings_count_in_a_row_only() {
        let mut health = Health::default();
        for _ in 0..2 {
            assert_eq!(health.note(Fault::MissedPing, at(0)), None);
        }
        assert_eq!(health.note(Fault::Pong, at(0)), None);
        for _ in 0..2 {
            assert_eq!(health.note(Fault::MissedPing, at(0)), None);
        }
        assert!(health.note(Fault::MissedPing, at(0)).is_some());
    }

    #[test]
    fn garbage_and_fatal() {
        let mut health = Health::default();
        let verdicts = (0..100)
            .filter_map(|_| health.note(Fault::BadFrame, at(0)))
            .count();
        assert_eq!(verdicts, 1);
        let why = health.note(Fault::Fatal("poll ended".to_owned()), at(1));
        assert_eq!(why.as_deref(), Some("poll ended"));
    }

    #[test]
    fn restarts_wait_longer_and_end_in_quarantine() {
        let mut restarts = Restarts::default();
        let waits: Vec<Next> = (0..6)
            .map(|i| restarts.after_fault(at(i * 60), 1.0))
            .collect();
        let after = |s| Next::RestartAfter(at(s));
        let expected = [
            after(1),
            after(2),
            after(4),
            after(8),
            after(16),
            Next::Quarantine,
        ];
        assert_eq!(waits, expected);
        assert_eq!(
            restarts.after_fault(at(1_900), 0.0),
            Next::RestartAfter(at(16))
        );
        restarts.well();
        assert_eq!(restarts.after_failed_start(1.0), at(1));
        let longest = (0..40).map(|_| restarts.after_failed_start(1.0)).max();
        assert_eq!(longest, Some(at(300)));
    }
}
