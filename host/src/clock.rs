//! Time, identifiers and randomness behind one value.
//!
//! The only place that reads the wall clock or the system's random source. Everything above
//! takes a [`Clock`], so that a test can tell which parts depend on time at all.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A moment of the wall clock, ms; what is no moment of the calendar reads as 1970.
pub fn timestamp(ms: u64) -> Timestamp {
    let millis = i64::try_from(ms).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The same where a person lives; in the system's zone when none, or no such zone, is named.
pub fn local(ms: u64, zone: Option<&str>) -> Zoned {
    let zone = zone
        .and_then(|name| TimeZone::get(name).ok())
        .unwrap_or_else(TimeZone::system);
    timestamp(ms).to_zoned(zone)
}

/// Local time as models read it: `Sun 2026-11-22 19:00 UTC`.
pub fn stamp(ms: u64, zone: Option<&str>) -> String {
    local(ms, zone).strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}

/// The source of wall-clock time, identifiers and random bytes.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    _sealed: (),
    /// How far a test has moved it ahead, ms.
    #[cfg(test)]
    ahead: Option<&'static std::sync::atomic::AtomicU64>,
}

impl Clock {
    /// The machine's own clock and random source.
    pub fn system() -> Self {
        Clock {
            _sealed: (),
            #[cfg(test)]
            ahead: None,
        }
    }

    /// Milliseconds since the Unix epoch. A clock set before 1970 reads as 0.
    pub fn now_ms(&self) -> u64 {
        #[allow(clippy::disallowed_methods, reason = "the one home of the wall clock")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since_epoch.map_or(0, crate::spell::millis);
        #[cfg(test)]
        let now = self.ahead.map_or(now, |ahead| {
            1_800_000_000_000 + ahead.load(std::sync::atomic::Ordering::Relaxed)
        });
        now
    }

    /// A clock that stands still until a test moves it. Its few bytes are never given back.
    #[cfg(test)]
    pub(crate) fn movable() -> Self {
        Clock {
            ahead: Some(Box::leak(Box::default())),
            ..Clock::system()
        }
    }

    /// Moves a movable clock, and its copies, ahead.
    #[cfg(test)]
    pub(crate) fn advance(&self, ms: u64) {
        let ahead = self.ahead.expect("a movable clock");
        ahead.fetch_add(ms, std::sync::atomic::Ordering::Relaxed);
    }

    /// A fresh random UUID (version 4), lower case with hyphens.
    pub fn uuid(&self) -> String {
        #[allow(clippy::disallowed_methods, reason = "the one home of identifiers")]
        uuid::Uuid::new_v4().to_string()
    }

    /// `N` bytes from the operating system's random source.
    ///
    /// # Panics
    /// When the operating system has no random source: nothing secret can be made then.
    pub fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        #[allow(clippy::disallowed_methods, reason = "the one home of randomness")]
        getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_differ() {
        let clock = Clock::system();
        assert_ne!(clock.uuid(), clock.uuid());
        assert_ne!(clock.random::<16>(), clock.random::<16>());
        assert!(clock.now_ms() > 1_700_000_000_000);
    }
}
