//! Times on the command line: a number and a unit.

use std::time::Duration;

/// A time above zero; a bare number counts milliseconds.
pub fn milliseconds(text: &str) -> Result<Duration, String> {
    let time = duration(text, 1)?;
    if time.is_zero() {
        Err("must be more than 0".to_owned())
    } else {
        Ok(time)
    }
}

/// A time from now with its unit, such as `20m`; none for anything else.
pub fn wait(text: &str) -> Option<Duration> {
    let bare = text.chars().all(|c| c.is_ascii_digit());
    duration(text, 1).ok().filter(|_| !bare)
}

/// A time; a bare number counts seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    duration(text, 1_000)
}

/// A number with `ms`, `s`, `m`, `h` or `d`; without one it counts `unit_ms` milliseconds.
fn duration(text: &str, unit_ms: u64) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => unit_ms,
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        other => return Err(format!("unknown unit {other}: use ms, s, m, h or d")),
    };
    let number: u64 = digits
        .parse()
        .map_err(|_| "write a number, or 10s, 2m".to_owned())?;
    number
        .checked_mul(factor)
        .map(Duration::from_millis)
        .ok_or_else(|| "too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(milliseconds("1500"), Ok(Duration::from_millis(1_500)));
        assert_eq!(milliseconds("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(seconds("90"), Ok(Duration::from_secs(90)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        for wrong in ["", "0", "ten", "5w", "-1", "99999999999999999m"] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
    }
}
