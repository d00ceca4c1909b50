//! When a conversation begins anew by itself: after the daily hour, or after an idle time.
//!
//! Called when the first message of a run is appended. Pure: configuration and two times in,
//! yes or no out.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use serde_json::Value;

use crate::config::Config;

/// The hour of the daily reset when the configuration names none.
const HOUR_DEFAULT: i8 = 4;

/// True when a session last changed at `updated_ms` begins anew at `now_ms`, by `session.reset`
/// (`mode`, `atHour`, `idleMinutes`) or the older `session.idleMinutes`.
pub fn is_due(config: &Config, updated_ms: u64, now_ms: u64) -> bool {
    let session = &config.session.other;
    let reset = session.get("reset");
    let setting = |name: &str| reset.and_then(|r| r.get(name));
    let idle = setting("idleMinutes")
        .or(session.get("idleMinutes"))
        .and_then(Value::as_u64);
    let idle_due = idle
        .is_some_and(|minutes| now_ms.saturating_sub(updated_ms) >= minutes.saturating_mul(60_000));
    let mode = setting("mode").and_then(Value::as_str);
    if mode.unwrap_or(if idle.is_some() { "idle" } else { "daily" }) == "idle" {
        return idle_due;
    }
    let hour = setting("atHour")
        .and_then(Value::as_i64)
        .and_then(|h| i8::try_from(h).ok());
    idle_due
        || daily_due(
            updated_ms,
            now_ms,
            hour.unwrap_or(HOUR_DEFAULT),
            TimeZone::system(),
        )
}

/// True when the daily hour lies between the two times.
fn daily_due(updated_ms: u64, now_ms: u64, hour: i8, zone: TimeZone) -> bool {
    last_reset(now_ms, hour, zone).is_some_and(|reset| {
        let updated = i64::try_from(updated_ms).unwrap_or(i64::MAX);
        updated < reset.timestamp().as_millisecond()
    })
}

fn last_reset(now_ms: u64, hour: i8, zone: TimeZone) -> Option<Zoned> {
    let now = Timestamp::from_millisecond(i64::try_from(now_ms).ok()?)
        .ok()?
        .to_zoned(zone);
    let today = now
        .with()
        .hour(hour.clamp(0, 23))
        .minute(0)
        .second(0)
        .subsec_nanosecond(0);
    let today = today.build().ok()?;
    if today <= now {
        Some(today)
    } else {
        today.checked_sub(1.day()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    /// Sun 2026-11-22 04:00 UTC.
    const RESET: u64 = 1_795_320_000_000;

    fn check(updated: u64, now: u64, expected: bool) {
        assert_eq!(
            daily_due(updated, now, 4, TimeZone::UTC),
            expected,
            "{updated} {now}"
        );
    }

    #[test]
    fn the_daily_hour_lies_between() {
        check(RESET - 1, RESET, true);
        check(RESET - 1, RESET + 23 * HOUR_MS, true);
        check(RESET, RESET + 23 * HOUR_MS, false);
        check(RESET - HOUR_MS, RESET - 1, false);
        check(RESET - 25 * HOUR_MS, RESET - 1, true);
        check(RESET + HOUR_MS, RESET - HOUR_MS, false);
    }
}
