//! Times for people: how long something took, how long ago it was.

/// A duration in its two largest units: `2d 3h`, `4m 10s`, `850ms`.
pub fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let pair = |big: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit} {small}{small_unit}"),
    };
    match (days, hours, minutes, seconds) {
        (1.., ..) => pair(days, "d", hours, "h"),
        (0, 1.., ..) => pair(hours, "h", minutes, "m"),
        (0, 0, 1.., _) => pair(minutes, "m", seconds % 60, "s"),
        (0, 0, 0, 1..) => format!("{seconds}s"),
        _ => format!("{ms}ms"),
    }
}

/// How long before `now_ms` the moment was, in one unit; `–` when there is none.
pub fn ago(moment_ms: Option<u64>, now_ms: u64) -> String {
    let Some(moment) = moment_ms else {
        return "–".to_owned();
    };
    let seconds = now_ms.saturating_sub(moment) / 1000;
    match seconds {
        0..=4 => "just now".to_owned(),
        5..=59 => format!("{seconds}s ago"),
        60..=3_599 => format!("{}m ago", seconds / 60),
        3_600..=86_399 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_two_units() {
        let cases = [
            (0, "0ms"),
            (850, "850ms"),
            (59_999, "59s"),
            (60_000, "1m"),
            (250_000, "4m 10s"),
            (7_500_000, "2h 5m"),
            (183_600_000, "2d 3h"),
        ];
        for (ms, expected) in cases {
            assert_eq!(duration(ms), expected, "{ms}");
        }
    }

    #[test]
    fn ages_show_one_unit_and_never_go_negative() {
        let now = 1_000_000_000;
        assert_eq!(ago(None, now), "–");
        assert_eq!(ago(Some(now + 9_000), now), "just now");
        assert_eq!(ago(Some(now - 42_000), now), "42s ago");
        assert_eq!(ago(Some(now - 300_000), now), "5m ago");
        assert_eq!(ago(Some(now - 7_200_000), now), "2h ago");
        assert_eq!(ago(Some(now - 200_000_000), now), "2d ago");
    }
}
