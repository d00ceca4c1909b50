//! The agent's regular look-around, and the last one's outcome.
//!
//! Every interval the default agent is asked in its main session whether anything needs attention,
//! but only if its workspace has a `HEARTBEAT.md` with something in it: an empty list costs no
//! model run. The outcome is the `heartbeat` event and what `last-heartbeat` answers.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_schemas::system::{Heartbeat, HeartbeatIndicator, HeartbeatStatus};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::agent::{Agent, Ending, Origin, RunOutcome, Turn};
use crate::clock::Clock;
use crate::config::{Config, ConfigHandle};
use crate::hub::{Event, Hub};
use crate::sessions::SessionKey;
use crate::shutdown::Tasks;

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

    /// Looks around every interval until `tasks` stop; not at all when heartbeats are off.
    pub fn start(&self, agent: Agent, config: ConfigHandle, clock: Clock, tasks: &Tasks) {
        let Some(every) = interval(&config.current()) else {
            return;
        };
        let (heartbeats, stop) = (self.clone(), tasks.stop_token().clone());
        tasks.spawn("heartbeat", async move {
            let mut beats = interval_at(Instant::now() + every, every);
            beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let look_around = async {
                loop {
                    beats.tick().await;
                    heartbeats.note(look_around(&agent, &config.current(), &clock).await);
                }
            };
            stop.run_until_cancelled(look_around).await;
        });
    }
}

async fn look_around(agent: &Agent, config: &Config, clock: &Clock) -> Heartbeat {
    let heartbeat = |status, reason: &str| Heartbeat {
        ts: clock.now_ms(),
        status,
        to: None,
        account_id: None,
        preview: None,
        duration_ms: None,
        has_media: None,
        reason: Some(reason.to_owned()),
        channel: None,
        silent: None,
        indicator_type: None,
    };
    // Nothing to do is the usual case, and a missing file is no error.
    let list = std::fs::read_to_string(workspace(config).join("HEARTBEAT.md")).unwrap_or_default();
    if !has_content(&list) {
        return heartbeat(HeartbeatStatus::Skipped, "empty-heartbeat-file");
    }
    let started = Instant::now();
    let turn = Turn {
        run_id: clock.uuid(),
        key: SessionKey::main_of(config.agents.default_id(), config),
        text: prompt(config).to_owned(),
        images: Vec::new(),
        origin: Origin::Heartbeat,
        timeout: None,
        extra_system: None,
    };
    let outcome = match agent.submit(turn) {
        Ok(run) => run.done().await,
        Err(e) => return heartbeat(HeartbeatStatus::Skipped, &e.to_string()),
    };
    let (status, indicator) = judge(&outcome);
    let reason = match status {
        HeartbeatStatus::Failed => outcome.error.as_deref().unwrap_or("the run failed"),
        HeartbeatStatus::Skipped => "target-none",
        _ => "interval",
    };
    Heartbeat {
        preview: (!outcome.text.is_empty()).then(|| outcome.text.chars().take(200).collect()),
        duration_ms: Some(crate::spell::millis(started.elapsed())),
        silent: matches!(status, HeartbeatStatus::OkToken | HeartbeatStatus::OkEmpty)
            .then_some(true),
        indicator_type: Some(indicator),
        ..heartbeat(status, reason)
    }
}

/// Alerts are shown to clients by the event; delivery to a chat comes with `target`.
fn judge(outcome: &RunOutcome) -> (HeartbeatStatus, HeartbeatIndicator) {
    match outcome.ending {
        Ending::Answered if outcome.text.is_empty() => {
            (HeartbeatStatus::OkToken, HeartbeatIndicator::Ok)
        }
        Ending::Answered => (HeartbeatStatus::Skipped, HeartbeatIndicator::Alert),
        _ => (HeartbeatStatus::Failed, HeartbeatIndicator::Error),
    }
}

fn workspace(config: &Config) -> PathBuf {
    let named = config.agents.defaults.workspace.as_ref().map(PathBuf::from);
    named.unwrap_or_else(|| config.paths.state_dir.join("workspace"))
}

/// Something beside headings and empty check boxes.
fn has_content(list: &str) -> bool {
    let line_counts = |line: &str| {
        let rest = line.trim().trim_start_matches(['-', '*']).trim();
        !rest.is_empty() && !rest.starts_with('#') && rest != "[ ]"
    };
    list.lines().any(line_counts)
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
    fn an_empty_list_is_no_work() {
        assert!(!has_content("# Heartbeat\n\n- [ ]\n"));
        assert!(has_content("# Heartbeat\n- water the plants\n"));
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
