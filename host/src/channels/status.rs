//! How an account stands, as its task notes it and clients read it.
//!
//! The account task and the delivery write here under a short lock; `channels.status` and the
//! health snapshot read. Counters and times are the host's: a plugin only says what changed.

use gateway_plugin::message::{
    AccountUpdate, ConnectionState, Link, Peer, ProbeReport, SurfaceError,
};
use gateway_schemas::channels::{ChannelAccount, ChannelProbe, ChannelSummary};
use serde_json::{Map, Value, json};

use super::settings::AccountPlan;

/// What the account task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started: switched off, or its configuration is wrong.
    Off,
    /// The plugin is being started, or will be after a pause.
    Starting,
    /// The plugin serves it.
    Running,
    /// The plugin serves it with trouble: it lost its provider.
    Degraded,
    /// Its plugin is about to be changed: no new send begins, those in flight end.
    Draining,
    /// Stopped until somebody changes something.
    Stopped,
    /// The plugin misbehaved too often; stopped until enabled again.
    Quarantined,
}

impl Phase {
    /// As clients read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
            Self::Quarantined => "quarantined",
        }
    }

    /// True while the plugin serves the account.
    pub fn serves(self) -> bool {
        matches!(self, Self::Running | Self::Degraded)
    }
}

/// The last probe and when it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Probed {
    /// When it ended, milliseconds.
    pub at_ms: u64,
    /// What clients see of it.
    pub probe: ChannelProbe,
}

/// Everything that is known about an account's life.
#[derive(Clone, Debug)]
pub struct Status {
    /// What its task is doing.
    pub phase: Phase,
    /// What went wrong last, for people.
    pub last_error: Option<String>,
    /// When a message came in last, milliseconds.
    pub last_inbound_ms: Option<u64>,
    /// When a message went out last, milliseconds.
    pub last_outbound_ms: Option<u64>,
    /// Events of kinds this gateway has no use for.
    pub ignored_events: u64,
    /// Messages that could not be journalled and were refused.
    pub refused_messages: u64,
    /// How often it was started anew by itself since somebody started it.
    pub restarts: u64,
    connected: Option<bool>,
    reconnect_attempts: u64,
    last_start_ms: Option<u64>,
    last_stop_ms: Option<u64>,
    last_connected_ms: Option<u64>,
    last_event_ms: Option<u64>,
    last_disconnect: Option<Value>,
    me: Option<Peer>,
    facts: Map<String, Value>,
    probed: Option<Probed>,
    /// Its plugin's process, and what holds it.
    process: Option<(u32, String)>,
    /// How it stood before its plugin's process fell silent.
    before_silence: Option<(Phase, Option<String>)>,
}

impl Status {
    /// Of an account that nobody started yet.
    pub fn new(problem: Option<String>) -> Status {
        Status {
            phase: Phase::Off,
            last_error: problem,
            last_inbound_ms: None,
            last_outbound_ms: None,
            ignored_events: 0,
            refused_messages: 0,
            restarts: 0,
            connected: None,
            reconnect_attempts: 0,
            last_start_ms: None,
            last_stop_ms: None,
            last_connected_ms: None,
            last_event_ms: None,
            last_disconnect: None,
            me: None,
            facts: Map::new(),
            probed: None,
            process: None,
            before_silence: None,
        }
    }

    /// The plugin is being started.
    pub fn starting(&mut self) {
        self.phase = Phase::Starting;
        self.connected = self.connected.map(|_| false);
    }

    /// The plugin is about to be changed.
    pub fn draining(&mut self, now_ms: u64) {
        self.phase = Phase::Draining;
        self.last_stop_ms = Some(now_ms);
    }

    /// The plugin failed and will be started anew.
    pub fn failed(&mut self, why: String, now_ms: u64) {
        self.restarts += 1;
        self.ended(Phase::Starting, Some(why), now_ms);
    }

    /// The plugin's process does not answer.
    pub fn silent(&mut self) {
        if self.phase.serves() {
            self.before_silence = Some((self.phase, self.last_error.take()));
            self.phase = Phase::Degraded;
            self.last_error = Some("the plugin's process does not answer".to_owned());
        }
    }

    /// It answers again.
    pub fn heard(&mut self) {
        if let Some((phase, error)) = self.before_silence.take() {
            self.phase = phase;
            self.last_error = error;
        }
    }

    /// The plugin started; in a process of its own if it has one.
    pub fn started(&mut self, process: Option<(u32, String)>, now_ms: u64) {
        self.process = process;
        // A plugin may report its connection before `start` returns.
        if self.phase == Phase::Starting {
            self.phase = Phase::Running;
        }
        self.last_start_ms = Some(now_ms);
        self.last_error = None;
    }

    /// The plugin no longer serves the account.
    pub fn ended(&mut self, phase: Phase, why: Option<String>, now_ms: u64) {
        if self.phase.serves() {
            self.last_stop_ms = Some(now_ms);
        }
        self.phase = phase;
        self.process = None;
        self.before_silence = None;
        self.connected = self.connected.map(|_| false);
        if why.is_some() {
            self.last_error = why;
        }
    }

    /// The plugin told how it stands with its provider.
    pub fn connection(&mut self, state: &ConnectionState, now_ms: u64) {
        self.last_event_ms = Some(now_ms);
        match state.state {
            Link::Connected => {
                self.connected = Some(true);
                self.last_connected_ms = Some(now_ms);
                self.reconnect_attempts = 0;
                self.last_error = None;
                self.turn(Phase::Running);
            }
            Link::Degraded => {
                self.connected = Some(true);
                self.last_error = state.detail.clone();
                self.turn(Phase::Degraded);
            }
            Link::Connecting | Link::LoggedOut | Link::Stopped => self.lost(state, now_ms),
            Link::Unknown => {}
        }
    }

    fn lost(&mut self, state: &ConnectionState, now_ms: u64) {
        let was_connected = self.connected.replace(false) == Some(true);
        let failed = state.detail.is_some() || state.state != Link::Connecting;
        if was_connected || (failed && self.last_disconnect.is_none()) {
            self.last_disconnect = Some(json!({
                "at": now_ms,
                "status": state.status_code,
                "error": state.detail,
                "loggedOut": state.logged_out.unwrap_or(state.state == Link::LoggedOut),
            }));
        }
        if let Some(attempt) = state.reconnect_attempt {
            self.reconnect_attempts = u64::from(attempt);
        }
        if state.detail.is_some() {
            self.last_error = state.detail.clone();
        }
        if failed {
            self.turn(Phase::Degraded);
        }
    }

    /// A connection event never revives an account whose task has ended it.
    fn turn(&mut self, phase: Phase) {
        if matches!(
            self.phase,
            Phase::Starting | Phase::Running | Phase::Degraded
        ) {
            self.phase = phase;
        }
    }

    /// The plugin told who the account is.
    pub fn account(&mut self, update: &AccountUpdate) {
        self.me = Some(update.me.clone());
        if let Value::Object(native) = &update.native {
            self.facts.extend(native.clone());
        }
    }

    /// The provider was asked how the account is doing.
    pub fn probed(
        &mut self,
        answer: &Result<ProbeReport, SurfaceError>,
        elapsed_ms: u64,
        now_ms: u64,
    ) {
        let mut probe = ChannelProbe {
            ok: false,
            status: None,
            error: None,
            elapsed_ms: Some(elapsed_ms),
            extra: Map::new(),
        };
        match answer {
            Ok(report) => {
                probe.ok = report.ok;
                probe.error = report.error.clone().map(Some);
                if let Value::Object(native) = &report.native {
                    probe.extra.extend(native.clone());
                }
                if let Some(me) = &report.me {
                    self.me = Some(me.clone());
                }
                if let Some(me) = &self.me {
                    probe.extra.entry("bot").or_insert_with(|| bot(me));
                }
            }
            Err(e) => probe.error = Some(Some(e.message.clone())),
        }
        self.probed = Some(Probed {
            at_ms: now_ms,
            probe,
        });
    }

    /// The account's row of `channels.status`.
    pub fn account_row(&self, id: &str, plan: &AccountPlan) -> ChannelAccount {
        let access = &plan.access;
        let mut extra = self.facts.clone();
        extra.insert("state".into(), self.phase.as_str().into());
        if let Some((pid, confined)) = &self.process {
            let process = json!({ "pid": pid, "confined": confined });
            extra.insert("process".into(), process);
        }
        let unmentioned = access
            .groups
            .values()
            .any(|g| g.require_mention == Some(false));
        extra.insert("allowUnmentionedGroups".into(), unmentioned.into());
        if let Some(me) = &self.me {
            extra.entry("bot").or_insert_with(|| bot(me));
        }
        let mode = take_text(&mut extra, "mode");
        ChannelAccount {
            account_id: id.to_owned(),
            name: plan.name.clone(),
            enabled: Some(plan.enabled),
            configured: Some(is_configured(plan)),
            running: Some(self.phase.serves()),
            connected: self.connected,
            reconnect_attempts: self.connected.map(|_| self.reconnect_attempts),
            last_connected_at: self.connected.map(|_| self.last_connected_ms),
            last_disconnect: self.connected.map(|_| self.last_disconnect.clone()),
            last_event_at: Some(self.last_event_ms),
            last_error: Some(self.last_error.clone()),
            last_start_at: Some(self.last_start_ms),
            last_stop_at: Some(self.last_stop_ms),
            last_inbound_at: Some(self.last_inbound_ms),
            last_outbound_at: Some(self.last_outbound_ms),
            last_probe_at: Some(self.probed.as_ref().map(|p| p.at_ms)),
            mode: mode.map(Some),
            dm_policy: Some(access.dm.as_str().to_owned()),
            allow_from: (!access.allow_from.is_empty())
                .then(|| access.allow_from.entries().to_vec()),
            token_source: plan.token_source.map(str::to_owned),
            token_status: plan
                .token_source
                .map(|source| token_status(source).to_owned()),
            probe: self.probed.as_ref().map(|p| p.probe.clone()),
            extra,
            ..ChannelAccount::default()
        }
    }

    /// The account's part of the summaries in `channels.status` and health.
    pub fn summary(&self, plan: &AccountPlan) -> ChannelSummary {
        let mut extra = self.facts.clone();
        if let Some(source) = plan.token_source {
            extra.insert("tokenSource".into(), source.into());
        }
        ChannelSummary {
            configured: is_configured(plan),
            running: Some(self.phase.serves()),
            connected: self.connected,
            reconnect_attempts: self.connected.map(|_| self.reconnect_attempts),
            last_connected_at: self.connected.map(|_| self.last_connected_ms),
            last_start_at: Some(self.last_start_ms),
            last_stop_at: Some(self.last_stop_ms),
            last_error: Some(self.last_error.clone()),
            last_probe_at: Some(self.probed.as_ref().map(|p| p.at_ms)),
            probe: self.probed.as_ref().map(|p| p.probe.clone()),
            extra,
            ..ChannelSummary::default()
        }
    }
}

fn is_configured(plan: &AccountPlan) -> bool {
    plan.token_source != Some("none")
}

fn token_status(source: &str) -> &'static str {
    if source == "none" {
        "missing"
    } else {
        "available"
    }
}

fn bot(me: &Peer) -> Value {
    json!({ "id": me.id, "username": me.handle.as_ref().or(me.name.as_ref()) })
}

fn take_text(facts: &mut Map<String, Value>, key: &str) -> Option<String> {
    match facts.get(key) {
        Some(Value::String(_)) => facts
            .remove(key)
            .and_then(|v| v.as_str().map(str::to_owned)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Status {
        let mut status = Status::new(None);
        status.phase = Phase::Starting;
        status.started(None, 10);
        status
    }

    #[test]
    fn a_lost_and_found_connection_shows() {
        let mut status = running();
        status.connection(&ConnectionState::of(Link::Connected), 20);
        assert_eq!(
            (status.phase, status.connected),
            (Phase::Running, Some(true))
        );
        let lost = ConnectionState {
            reconnect_attempt: Some(3),
            ..ConnectionState::of(Link::Connecting).because("connection reset")
        };
        status.connection(&lost, 30);
        assert_eq!(
            (status.phase, status.connected),
            (Phase::Degraded, Some(false))
        );
        assert_eq!(status.reconnect_attempts, 3);
        assert_eq!(status.last_error.as_deref(), Some("connection reset"));
        let at = status
            .last_disconnect
            .as_ref()
            .and_then(|d| d["at"].as_u64());
        assert_eq!(at, Some(30));
        status.connection(&ConnectionState::of(Link::Connected), 40);
        assert_eq!(
            (status.phase, status.reconnect_attempts),
            (Phase::Running, 0)
        );
        assert_eq!(status.last_error, None);
    }

    #[test]
    fn silence_shows_and_passes() {
        let mut status = running();
        status.silent();
        assert_eq!(status.phase, Phase::Degraded);
        assert!(status.last_error.is_some());
        status.heard();
        assert_eq!((status.phase, &status.last_error), (Phase::Running, &None));
        status.silent();
        status.ended(Phase::Starting, Some("killed".into()), 20);
        status.heard();
        assert_eq!(status.phase, Phase::Starting, "it ended meanwhile");
    }

    #[test]
    fn a_first_connecting_is_no_trouble() {
        let mut status = running();
        status.connection(&ConnectionState::of(Link::Connecting), 20);
        assert_eq!(
            (status.phase, status.connected),
            (Phase::Running, Some(false))
        );
        assert_eq!(status.last_disconnect, None);
    }

    #[test]
    fn a_late_event_does_not_revive_a_stopped_account() {
        let mut status = running();
        status.ended(Phase::Stopped, Some("token refused".into()), 20);
        status.connection(&ConnectionState::of(Link::Connected), 30);
        assert_eq!(status.phase, Phase::Stopped);
    }
}
