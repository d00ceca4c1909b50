//! Whose days usage is counted by, and which of them are meant.

use gateway_schemas::usage::UsageDays;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// Days of one time zone.
#[derive(Clone, Debug)]
pub struct Days(TimeZone);

impl Days {
    /// The days that a client means: those of UTC unless it says otherwise.
    ///
    /// # Errors
    /// The refusal, for an offset that is none.
    pub fn read(mode: Option<UsageDays>, offset: Option<&str>) -> Result<Days, String> {
        let given = offset.map(offset_of).transpose()?;
        Ok(Days(match (mode, given) {
            (Some(UsageDays::Gateway), _) => TimeZone::system(),
            (Some(UsageDays::Specific), Some(offset)) => TimeZone::fixed(offset),
            _ => TimeZone::UTC,
        }))
    }

    /// The day of a moment, `YYYY-MM-DD`.
    pub fn of(&self, ms: u64) -> String {
        self.date(ms).to_string()
    }

    fn date(&self, ms: u64) -> Date {
        let moment = Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX));
        let moment = moment.unwrap_or(Timestamp::UNIX_EPOCH);
        moment.to_zoned(self.0.clone()).date()
    }

    /// The first and last moment of the days meant: from `start` to `end` when both are given,
    /// else so many days that end with today.
    ///
    /// # Errors
    /// The refusal, for a text that is no day.
    pub fn range(
        &self,
        start: Option<&str>,
        end: Option<&str>,
        days: u32,
        now_ms: u64,
    ) -> Result<(u64, u64), String> {
        let start = start.map(|text| day("startDate", text)).transpose()?;
        let end = end.map(|text| day("endDate", text)).transpose()?;
        let (first, last) = match (start, end) {
            (Some(start), Some(end)) => (start, end),
            _ => {
                let today = self.date(now_ms);
                let before = i32::try_from(days.saturating_sub(1)).unwrap_or(i32::MAX);
                let first = today.checked_sub(before.days());
                (first.unwrap_or(Date::MIN), today)
            }
        };
        let behind = last.checked_add(1.day()).unwrap_or(Date::MAX);
        Ok((self.begin(first), self.begin(behind).saturating_sub(1)))
    }

    fn begin(&self, date: Date) -> u64 {
        let begin = date.to_zoned(self.0.clone());
        let ms = begin.map_or(0, |begin| begin.timestamp().as_millisecond());
        u64::try_from(ms).unwrap_or(0)
    }
}

fn day(name: &str, text: &str) -> Result<Date, String> {
    let refused = || format!("at /{name}: must match pattern \"^\\d{{4}}-\\d{{2}}-\\d{{2}}$\"");
    let digits = |c: &u8| c.is_ascii_digit() || *c == b'-';
    if text.len() != 10 || !text.as_bytes().iter().all(digits) {
        return Err(refused());
    }
    text.parse().map_err(|_| refused())
}

/// Reads `UTC+5:30`.
fn offset_of(text: &str) -> Result<Offset, String> {
    let refused =
        || "at /utcOffset: must match pattern \"^UTC[+-]\\d{1,2}(?::[0-5]\\d)?$\"".to_owned();
    let rest = text.strip_prefix("UTC").ok_or_else(refused)?;
    let (sign, rest) = match rest.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => return Err(refused()),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
    let number = |text: &str, most: usize| {
        let fine = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        fine.then(|| text.parse::<i32>().ok()).flatten()
    };
    let hours = number(hours, 2).ok_or_else(refused)?;
    let minutes = number(minutes, 2).filter(|m| *m < 60 && minutes.len() == 2);
    let minutes = minutes.ok_or_else(refused)?;
    Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Sun 2026-11-22 13:02 UTC.
    const NOON: u64 = 1_795_352_520_000;

    #[test]
    fn days_end_with_today() {
        let days = Days::read(None, None).unwrap();
        let (from, to) = days.range(None, None, 30, NOON).unwrap();
        assert_eq!(
            (days.of(from), days.of(to)),
            ("2026-10-24".into(), "2026-11-22".into())
        );
        assert_eq!((to + 1) % 86_400_000, 0);
        let (from, to) = days
            .range(Some("2026-11-01"), Some("2026-11-02"), 1, NOON)
            .unwrap();
        assert_eq!(to + 1 - from, 2 * 86_400_000);
    }

    #[test]
    fn a_day_is_somewhere() {
        let far = Days::read(Some(UsageDays::Specific), Some("UTC+13:30")).unwrap();
        assert_eq!(far.of(NOON), "2026-11-23");
        for wrong in [
            "", "UTC", "UTC+", "UTC5", "UTC+123", "UTC+1:7", "UTC+1:60", "UTC+99", "+1",
        ] {
            assert!(Days::read(None, Some(wrong)).is_err(), "{wrong}");
        }
        for wrong in ["2026-1-1", "2026-13-01", "today", "2026-11-2x"] {
            assert!(
                far.range(Some(wrong), Some("2026-11-01"), 1, NOON).is_err(),
                "{wrong}"
            );
        }
    }
}
