//! When a job runs next.
//!
//! Pure: a schedule and the time in, a time out. Expressions are read by `croner`, whose rules
//! are those of the scheduler that clients are used to: in the hour that a clock skips, a job of a
//! fixed time runs when the clock has moved on; in the hour it repeats, it runs once, and one of
//! every hour twice.

use croner::Cron as Pattern;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use super::CronError;
use crate::limits::{CRON_AHEAD_MS_MAX, CRON_EXPR_BYTES_MAX, CRON_REFIRE_MS, CRON_STAGGER_MS};
use crate::spell;
use crate::store::cron::ScheduleRow;

/// How long ago an `at` may be, ms.
const PAST_GRACE_MS: u64 = 60_000;

/// The first time after `now_ms`, ms; none when there is none any more. A schedule `at` gives its
/// moment, whatever the time: whether it ran is the job's business.
pub fn next(schedule: &ScheduleRow, job_id: &str, now_ms: u64) -> Option<u64> {
    match schedule {
        ScheduleRow::At { ms, .. } => Some(*ms),
        ScheduleRow::Every {
            every_ms,
            anchor_ms,
        } => {
            let every = (*every_ms).max(1);
            let passed = now_ms
                .checked_sub(*anchor_ms)
                .map_or(0, |ms| ms / every + 1);
            let next = anchor_ms.checked_add(passed.checked_mul(every)?)?;
            Some(next.max(now_ms.saturating_add(CRON_REFIRE_MS.min(every))))
        }
        ScheduleRow::Calendar {
            expr,
            tz,
            stagger_ms,
        } => {
            let pattern = pattern(expr).ok()?;
            let zone = zone(tz.as_deref()).ok()?;
            let offset = offset(job_id, stagger_ms.unwrap_or(0));
            let from = millis(now_ms.saturating_sub(offset))?.to_zoned(zone);
            let next = pattern.find_next_occurrence(&from, false).ok()?;
            let next = u64::try_from(next.timestamp().as_millisecond()).ok()?;
            Some(next.saturating_add(offset))
        }
    }
}

/// A moment as clients write it: ISO-8601, without a zone in UTC, or a date alone.
pub fn moment(text: &str) -> Option<u64> {
    let text = text.trim();
    let utc = |time: civil::DateTime| time.to_zoned(TimeZone::UTC).ok();
    let stamp = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| utc(text.parse::<civil::DateTime>().ok()?).map(|zoned| zoned.timestamp()))?;
    u64::try_from(stamp.as_millisecond()).ok()
}

/// Refuses a schedule that never runs, or not in time.
///
/// # Errors
/// [`CronError::Invalid`] with what is wrong.
pub fn check(schedule: &ScheduleRow, now_ms: u64) -> Result<(), CronError> {
    match schedule {
        ScheduleRow::At { ms, .. } => check_moment(*ms, now_ms),
        ScheduleRow::Every {
            every_ms,
            anchor_ms,
        } => {
            let most = now_ms.saturating_add(CRON_AHEAD_MS_MAX);
            if now_ms.saturating_add(*every_ms) > most || *anchor_ms > most {
                return Err(CronError::Invalid(
                    "schedule.everyMs or anchorMs is more than 10 years ahead".into(),
                ));
            }
            Ok(())
        }
        ScheduleRow::Calendar { expr, tz, .. } => {
            pattern(expr)?;
            zone(tz.as_deref())?;
            next(schedule, "", now_ms).map(|_| ()).ok_or_else(|| {
                CronError::Invalid(format!("schedule.expr \"{expr}\" never comes to pass"))
            })
        }
    }
}

fn check_moment(at_ms: u64, now_ms: u64) -> Result<(), CronError> {
    let (at, now) = (spell::moment(at_ms), spell::moment(now_ms));
    let ago = now_ms.saturating_sub(at_ms);
    if ago > PAST_GRACE_MS {
        let minutes = ago / 60_000;
        return Err(CronError::Invalid(format!(
            "schedule.at is in the past: {at} ({minutes} minutes ago). Current time: {now}"
        )));
    }
    let ahead = at_ms.saturating_sub(now_ms);
    if ahead > CRON_AHEAD_MS_MAX {
        let years = ahead / (CRON_AHEAD_MS_MAX / 10);
        return Err(CronError::Invalid(format!(
            "schedule.at is too far in the future: {at} ({years} years ahead). Maximum allowed: \
             10 years"
        )));
    }
    Ok(())
}

/// The spread that an expression gets which names none: what runs at the full hour, every hour,
/// or every few.
pub fn default_stagger(expr: &str) -> Option<u64> {
    let fields: Vec<&str> = expr.split_whitespace().collect();
    let (minute, hour) = match fields[..] {
        [minute, hour, _, _, _] => (minute, hour),
        ["0", minute, hour, _, _, _] => (minute, hour),
        _ => return None,
    };
    (minute == "0" && hour.contains('*')).then_some(CRON_STAGGER_MS)
}

fn pattern(expr: &str) -> Result<Pattern, CronError> {
    let wrong = |why: &str| CronError::Invalid(format!("invalid schedule.expr \"{expr}\": {why}"));
    if expr.len() > CRON_EXPR_BYTES_MAX {
        let text = format!("schedule.expr is longer than {CRON_EXPR_BYTES_MAX} bytes");
        return Err(CronError::Invalid(text));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build();
    parser.parse(expr).map_err(|e| wrong(&e.to_string()))
}

fn zone(name: Option<&str>) -> Result<TimeZone, CronError> {
    match name.map(str::trim).filter(|name| !name.is_empty()) {
        None => Ok(TimeZone::system()),
        Some(name) => TimeZone::get(name)
            .map_err(|_| CronError::Invalid(format!("unknown schedule.tz \"{name}\""))),
    }
}

/// Where in the spread a job has its place, always the same.
fn offset(job_id: &str, spread_ms: u64) -> u64 {
    if spread_ms == 0 {
        return 0;
    }
    // FNV-1a: any even spread does.
    let hash = job_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    hash % spread_ms
}

fn millis(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}
