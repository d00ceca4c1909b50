//! The agent's regular look-around, and the last one's outcome.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_schemas::system::Heartbeat;

use crate::config::Config;
use crate::hub::{Event, Hub};

/// What the agent is asked when the configuration says nothing else.
const DEFAULT_PROMPT: &str = "Read HEARTBEAT.md if it is in the workspace and do what it says. \
    Don't repeat tasks of earlier conversations. If nothing needs attention, answer HEARTBEAT_OK.";
/// The interval when the configuration names none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// How much beside the acknowledgement still counts as one, characters.
const DEFAULT_ACK_MAX_CHARS: u32 = 300;

/// The last heartbeat. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    hub: Hub,
    last: Arc<Mutex<Option<Heartbeat>>>,
}

impl Heartbeats {
    /// None so far.
    pub fn new(hub: Hub) -> Self {
        Heartbeats {
            hub,
            last: Arc::default(),
        }
    }

    /// The last one.
    pub fn last(&self) -> Option<Heartbeat> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes one and tells everybody.
    pub fn note(&self, heartbeat: Heartbeat) {
        let event = Event::new("heartbeat", &heartbeat);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(heartbeat);
        self.hub.publish(event);
    }
}

/// The configured interval; `None` when heartbeats are off.
pub fn interval(config: &Config) -> Option<Duration> {
    let every = match &config.agents.defaults.heartbeat.every {
        None => DEFAULT_INTERVAL,
        Some(text) => parse_interval(text)?,
    };
    (!every.is_zero()).then_some(every)
}

/// `30m`, `1h30m`, `90s`, `500ms`; a bare number counts minutes.
fn parse_interval(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let millis = match &rest[..unit] {
            "ms" => 1,
            "s" => 1_000,
            "" | "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = &rest[unit..];
    }
    Some(total)
}

/// An interval in the largest unit that fits; `disabled` for none.
pub fn spell(every: Option<Duration>) -> String {
    match every.map(|e| e.as_secs()) {
        None => "disabled".into(),
        Some(s) if s % 3600 == 0 => format!("{}h", s / 3600),
        Some(s) if s % 60 == 0 => format!("{}m", s / 60),
        Some(s) => format!("{s}s"),
    }
}

/// What the agent is asked.
pub fn prompt(config: &Config) -> &str {
    config
        .agents
        .defaults
        .heartbeat
        .prompt
        .as_deref()
        .unwrap_or(DEFAULT_PROMPT)
}

/// How much beside the acknowledgement still counts as one, characters.
pub fn ack_max_chars(config: &Config) -> u32 {
    config
        .agents
        .defaults
        .heartbeat
        .ack_max_chars
        .unwrap_or(DEFAULT_ACK_MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_and_spelt() {
        for (text, seconds) in [
            ("30m", 1800),
            ("1h30m", 5400),
            ("90s", 90),
            ("5", 300),
            ("0m", 0),
        ] {
            assert_eq!(
                parse_interval(text),
                Some(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        assert_eq!(parse_interval("soon"), None);
        assert_eq!(spell(Some(Duration::from_secs(1800))), "30m");
        assert_eq!(spell(Some(Duration::from_secs(7200))), "2h");
        assert_eq!(spell(Some(Duration::from_secs(90))), "90s");
    }
}
