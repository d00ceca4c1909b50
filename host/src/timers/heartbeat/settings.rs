//! What the configuration says about heartbeats: `agents.defaults.heartbeat`, and
//! `agents.list[].heartbeat` over it.
//!
//! Read by the heartbeat task, `health` and `status`. Pure.

use std::time::Duration;

use crate::clock;
use crate::config::{ActiveHours, Config, HeartbeatConfig};
use crate::spell;

/// What the agent is asked when the configuration says nothing else.
const DEFAULT_PROMPT: &str = "Read HEARTBEAT.md if it is in the workspace and do what it says. \
    Don't repeat tasks of earlier conversations. If nothing needs attention, answer HEARTBEAT_OK.";
/// The interval when the configuration names none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// How much beside the acknowledgement still counts as one, characters.
const DEFAULT_ACK_MAX_CHARS: u32 = 300;

/// The heartbeat of one agent.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    keys: HeartbeatConfig,
}

/// The heartbeat of one agent; none for an agent without. As soon as an entry of `agents.list` has
/// a heartbeat of its own, only such agents have one.
pub fn of(config: &Config, agent: &str) -> Option<Settings> {
    let shared = &config.agents.defaults.heartbeat;
    let own = config.agents.get(agent).and_then(|a| a.heartbeat.as_ref());
    if config.agents.list.iter().any(|a| a.heartbeat.is_some()) {
        return own.map(|own| Settings {
            keys: own.over(shared),
        });
    }
    (agent == config.agents.default_id()).then(|| Settings {
        keys: shared.clone(),
    })
}

impl Settings {
    /// The interval; `None` when the agent doesn't look around by itself.
    pub fn interval(&self) -> Option<Duration> {
        let every = match &self.keys.every {
            None => DEFAULT_INTERVAL,
            Some(text) => spell::parse_interval(text)?,
        };
        (!every.is_zero()).then_some(every)
    }

    /// What the agent is asked.
    pub fn prompt(&self) -> &str {
        self.keys.prompt.as_deref().unwrap_or(DEFAULT_PROMPT)
    }

    /// How much beside the acknowledgement still counts as one, characters.
    pub fn ack_max_chars(&self) -> u32 {
        self.keys.ack_max_chars.unwrap_or(DEFAULT_ACK_MAX_CHARS)
    }

    /// Where alerts go: `none`, `last` or a channel id.
    pub fn target(&self) -> &str {
        self.keys.target.as_deref().map_or("none", str::trim)
    }

    /// The target in that channel, when one is named.
    pub fn to(&self) -> Option<&str> {
        self.keys.to.as_deref().filter(|to| !to.trim().is_empty())
    }

    /// The account it is sent by, when one is named.
    pub fn account_id(&self) -> Option<&str> {
        self.keys.account_id.as_deref()
    }

    /// Whether alerts may go to a direct chat.
    pub fn direct_allowed(&self) -> bool {
        self.keys.direct_policy.as_deref() != Some("block")
    }

    /// Whether it looks around by itself at this time of the day. A zone nobody knows is the
    /// host's; hours that can't be read are no bound.
    pub fn is_active_at(&self, config: &Config, now_ms: u64) -> bool {
        let Some(hours) = &self.keys.active_hours else {
            return true;
        };
        let Some((start, end)) = bounds(hours) else {
            return true;
        };
        let person = config.agents.defaults.user_timezone.as_deref();
        let zone = match hours.timezone.as_deref().map(str::trim) {
            Some("local") => None,
            None | Some("" | "user") => person,
            Some(name) => Some(name),
        };
        let minute = minute_of_day(zone, now_ms);
        match start.cmp(&end) {
            std::cmp::Ordering::Less => (start..end).contains(&minute),
            // Over midnight.
            std::cmp::Ordering::Greater => minute >= start || minute < end,
            std::cmp::Ordering::Equal => false,
        }
    }
}

/// Minutes of the day from and to; none when one of them is no time.
fn bounds(hours: &ActiveHours) -> Option<(u32, u32)> {
    let start = hours.start.as_deref().map_or(Some(0), minutes)?;
    let end = hours.end.as_deref().map_or(Some(24 * 60), minutes)?;
    Some((start, end))
}

/// `HH:MM`, up to `24:00`.
fn minutes(text: &str) -> Option<u32> {
    let (hour, minute) = text.trim().split_once(':')?;
    let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour.checked_mul(60)?.checked_add(minute)?;
    (minute < 60 && total <= 24 * 60).then_some(total)
}

fn minute_of_day(zone: Option<&str>, now_ms: u64) -> u32 {
    let now = clock::local(now_ms, zone);
    u32::from(now.hour().unsigned_abs()) * 60 + u32::from(now.minute().unsigned_abs())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::AgentsConfig;
    use serde_json::{Value, json};

    fn config(agents: Value) -> Config {
        let mut config = Config::for_tests(std::path::Path::new("/nowhere"));
        config.agents = serde_json::from_value::<AgentsConfig>(agents).unwrap();
        config
    }

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
                spell::parse_interval(text),
                Some(Duration::from_secs(seconds)),
                "{text}"
            );
        }
        assert_eq!(spell::parse_interval("soon"), None);
        assert_eq!(spell(Some(Duration::from_secs(1800))), "30m");
        assert_eq!(spell(Some(Duration::from_secs(7200))), "2h");
        assert_eq!(spell(Some(Duration::from_secs(90))), "90s");
    }

    #[test]
    fn an_agent_with_a_heartbeat_of_its_own_silences_the_others() {
        let shared = json!({ "every": "10m", "target": "last" });
        let two = config(json!({ "defaults": { "heartbeat": shared },
            "list": [{ "id": "a" }, { "id": "b" }] }));
        assert!(of(&two, "a").is_some() && of(&two, "b").is_none());
        let own = config(json!({ "defaults": { "heartbeat": shared },
            "list": [{ "id": "a" }, { "id": "b", "heartbeat": { "every": "5m" } }] }));
        assert!(of(&own, "a").is_none());
        let b = of(&own, "b").unwrap();
        assert_eq!(b.interval(), Some(Duration::from_secs(300)));
        assert_eq!(b.target(), "last");
    }

    /// 2026-11-22 is a Sunday in standard time; New York is five hours behind.
    #[test]
    fn active_hours_are_those_of_their_zone() {
        let at = |hours: Value, time: &str| {
            let agents = json!({ "defaults": { "userTimezone": "America/New_York",
                "heartbeat": { "activeHours": hours } } });
            let config = config(agents);
            let now: jiff::Timestamp = time.parse().unwrap();
            let now = u64::try_from(now.as_millisecond()).unwrap();
            of(&config, "main").unwrap().is_active_at(&config, now)
        };
        let day = json!({ "start": "08:00", "end": "22:00" });
        assert!(!at(day.clone(), "2026-11-22T12:59:59Z"));
        assert!(at(day.clone(), "2026-11-22T13:00:00Z"));
        assert!(!at(day, "2026-11-23T03:00:00Z"));
        let utc = json!({ "start": "08:00", "end": "24:00", "timezone": "UTC" });
        assert!(at(utc.clone(), "2026-11-22T23:59:00Z"));
        assert!(!at(utc, "2026-11-22T00:00:00Z"));
        let night = json!({ "start": "22:00", "end": "06:00", "timezone": "UTC" });
        assert!(
            at(night.clone(), "2026-11-22T05:59:00Z") && at(night.clone(), "2026-11-22T23:00:00Z")
        );
        assert!(!at(night, "2026-11-22T06:00:00Z"));
        assert!(!at(
            json!({ "start": "08:00", "end": "08:00" }),
            "2026-11-22T12:00:00Z"
        ));
        assert!(at(json!({ "start": "dawn" }), "2026-11-22T12:00:00Z"));
    }
}
