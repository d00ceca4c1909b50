//! One run: from a turn to its outcome.
//!
//! Called by the session's task, which never runs two of them at a time. Order of what it does:
//! the message goes into the transcript, `lifecycle start`, the model's text and tools as events
//! ([`ask`]), the answer into the transcript, the end as events, the outcome ([`close`]). So whoever reads the history after
//! the final event finds the answer there.

mod ask;
mod close;

use std::sync::Arc;
use std::time::Duration;

use super::events::RunEvents;
use super::model::ModelName;
use super::outcome::RunOutcome;
use super::queue::{AbortReason, AbortSwitch};
use super::reset_words::{GREETING, after_reset_word};
use super::runner::{Image, RunnerError, Stop, Thought, Usage};
use super::{Inner, Origin, Turn, envelope, prompt};
use crate::config::Config;
use crate::limits;
use crate::sessions::{ImageRow, MessageRow, SessionKey, SessionRow, SystemEvent};
use crate::store::StoreError;
use crate::store::sessions::InputRow;

/// What people are told when the transcript can't be written.
const STORE_FAILED: &str = "the session could not be stored";

/// Runs a turn to its end.
pub async fn run(inner: &Inner, turn: &Turn, switch: &AbortSwitch) -> RunOutcome {
    let heartbeat = match turn.origin {
        Origin::Heartbeat { ack_max_chars } => Some(ack_max_chars),
        _ => None,
    };
    let events = RunEvents::new(
        inner.hub.clone(),
        inner.clock,
        &turn.run_id,
        &turn.key,
        heartbeat,
    );
    let events = events.watched_by(turn.watcher).read_by(turn.live.clone());
    let config = inner.config.current();
    let mut work = Work {
        inner,
        turn,
        switch,
        kept: turn.kept.clone(),
        config,
        events,
        row: SessionRow::default(),
        asked: None,
        thoughts: Vec::new(),
        memory: None,
        usage: None,
    };
    // Sessions beyond the number of runs at once wait here; stopping and aborting end that too.
    let waited = tokio::select! {
        biased;
        cut = work.cut(switch, None) => Err(cut),
        slot = inner.slots.acquire() => Ok(slot),
    };
    let _slot = match waited {
        Ok(slot) => slot,
        Err(cut) => {
            switch.ends();
            return work.close(Err(cut), inner.clock.now_ms()).await;
        }
    };
    let opened = work.open().await;
    switch.opens();
    if !matches!(opened, Ok(None)) {
        switch.ends();
    }
    match opened {
        Ok(None) => {}
        Ok(Some(answered)) => return work.replayed(answered),
        Err(error) => return work.unstored(&error),
    }
    let started_at = work.events.start();
    let time = time_limit(turn, &work.config);
    let result = tokio::select! {
        biased;
        cut = cut(switch, inner.tasks.stop_token(), Some(time)) => Err(cut),
        answer = work.answer() => answer.map_err(Cut::Failed),
    };
    switch.ends();
    work.close(result, started_at).await
}

/// Why a run ended without the model's own end.
enum Cut {
    Aborted(AbortReason),
    TimedOut,
    Stopping,
    Failed(RunnerError),
}

/// Resolves when the run is to be cut.
async fn cut(
    switch: &AbortSwitch,
    stop: &tokio_util::sync::CancellationToken,
    time: Option<Duration>,
) -> Cut {
    let timer = async {
        match time {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        reason = switch.aborted() => Cut::Aborted(reason),
        () = stop.cancelled() => Cut::Stopping,
        () = timer => Cut::TimedOut,
    }
}

fn time_limit(turn: &Turn, config: &Config) -> Duration {
    let configured = Duration::from_secs(config.agents.defaults.timeout_seconds);
    match turn.timeout.unwrap_or(configured) {
        Duration::ZERO => limits::RUN_TIME_MAX,
        time => time.min(limits::RUN_TIME_MAX),
    }
}

/// The state of one run.
struct Work<'a> {
    inner: &'a Inner,
    turn: &'a Turn,
    switch: &'a AbortSwitch,
    /// Accepted messages that are settled with this run's answer.
    kept: Vec<String>,
    config: Arc<Config>,
    events: RunEvents,
    row: SessionRow,
    /// The model that was asked last, and the wire it was reached by.
    asked: Option<(ModelName, &'static str)>,
    /// What that model thought since it was asked.
    thoughts: Vec<Thought>,
    /// The runner's name and the id under which its program keeps the conversation from now on.
    memory: Option<(String, String)>,
    /// Tokens of all rounds so far.
    usage: Option<Usage>,
}

/// The model's own end, with the tokens of the last round.
type Answer = (Stop, Option<Usage>);

impl Work<'_> {
    async fn cut(&self, switch: &AbortSwitch, time: Option<Duration>) -> Cut {
        cut(switch, self.inner.tasks.stop_token(), time).await
    }

    /// True for a run that is made again after a restart, under the same id.
    fn is_replayable(&self) -> bool {
        matches!(
            self.turn.origin,
            Origin::Channel { .. } | Origin::Cron { .. }
        )
    }

    /// The key under which a message of this run is appended once, for runs that may be replayed.
    fn append_key(&self, role: &str) -> Option<String> {
        self.is_replayable()
            .then(|| format!("{}:{role}", self.turn.run_id))
    }

    /// Puts the message into the transcript. Gives the answer if the run was made before.
    async fn open(&mut self) -> Result<Option<MessageRow>, StoreError> {
        let sessions = &self.inner.sessions;
        let mut before = sessions.get(&self.turn.key)?;
        let (mut text, mut asked) = (self.turn.text.as_str(), self.turn.text.as_str());
        let outside = matches!(self.turn.origin, Origin::Outside { .. });
        let reset = after_reset_word(&self.turn.text, &self.config).filter(|_| !outside);
        if let Some(rest) = reset {
            if !self.was_said(before.as_ref())? {
                before = Some(sessions.reset(&self.turn.key).await?);
            }
            (text, asked) = if rest.is_empty() {
                (text, GREETING)
            } else {
                (rest, rest)
            };
        }
        let after_abort = before.is_some_and(|row| row.aborted_last_run);
        let now = self.inner.clock.now_ms();
        let news = self.news();
        let sender_label = self.turn.sender_label();
        // What waited is kept already; runs that are made again keep themselves.
        let of_client = outside || matches!(self.turn.origin, Origin::Chat { .. } | Origin::Agent);
        let (run_id, key) = (&self.turn.run_id, &self.turn.key);
        let accepted = (of_client && self.kept.is_empty())
            .then(|| sessions.accepted(run_id, key, text, sender_label.clone()));
        self.kept
            .extend(accepted.iter().map(|accepted| accepted.place.clone()));
        let user = InputRow {
            text: text.to_owned(),
            prompt: Some(
                envelope::system_lines(&news)
                    + &prompt::text_of(self.turn, asked, &self.config, now, after_abort),
            ),
            sender_label,
            images: self.turn.images.iter().map(image_row).collect(),
        };
        let key = self.append_key("user");
        let appended = sessions.append_accepted(&self.turn.key, key, user, accepted);
        let appended = match appended.await {
            Ok(appended) if appended.fresh => {
                sessions.told(news).await;
                appended
            }
            other => {
                sessions.system_events().put_back(news);
                other?
            }
        };
        self.row = appended.row;
        self.events.levels(&self.row.settings);
        match self.append_key("assistant") {
            Some(key) if !appended.fresh => sessions.by_key(&self.row, &key),
            _ => Ok(None),
        }
    }

    /// What waited for the main session and goes before its next message.
    fn news(&self) -> Vec<SystemEvent> {
        let agent = self.turn.key.agent_id().unwrap_or_default();
        if self.turn.key != SessionKey::main_of(agent, &self.config) {
            return Vec::new();
        }
        self.inner.sessions.system_events().take()
    }

    /// True when this run's message is in the transcript already: it is being replayed.
    fn was_said(&self, row: Option<&SessionRow>) -> Result<bool, StoreError> {
        match (self.append_key("user"), row) {
            (Some(key), Some(row)) => Ok(self.inner.sessions.by_key(row, &key)?.is_some()),
            _ => Ok(false),
        }
    }
}

fn image_row(image: &Image) -> ImageRow {
    let bytes = u64::try_from(image.bytes).unwrap_or(u64::MAX);
    ImageRow {
        mime_type: image.mime_type.to_owned(),
        bytes,
    }
}
