//! One run: from a turn to its outcome.
//!
//! Called by the session's task, which never runs two of them at a time. Order of what it does:
//! the message goes into the transcript, `lifecycle start`, the model's text as events, the
//! answer into the transcript, the end as events, the outcome. So whoever reads the history after
//! the final event finds the answer there.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;

use super::events::RunEvents;
use super::model::{self, ModelName};
use super::outcome::{Ending, RunOutcome};
use super::queue::{AbortReason, AbortSwitch};
use super::reset_words::{GREETING, after_reset_word};
use super::runner::{Image, RunnerError, Step, Stop, Usage};
use super::{Inner, Origin, Turn, envelope, prompt};
use crate::config::Config;
use crate::limits;
use crate::sessions::{
    AbortRow, AssistantRow, ImageRow, MessageRow, SessionKey, SessionRow, TokensRow,
};
use crate::store::StoreError;
use crate::store::sessions::{BodyRow, InputRow};

/// What people are told when the transcript can't be written.
const STORE_FAILED: &str = "the session could not be stored";
/// What clients are told when the gateway stops in the middle of a run.
const STOPPING: &str = "the gateway is stopping";

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
    let config = inner.config.current();
    let mut work = Work {
        inner,
        turn,
        config,
        events,
        row: SessionRow::default(),
        asked: None,
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
    config: Arc<Config>,
    events: RunEvents,
    row: SessionRow,
    /// The model that was asked last, and the wire it was reached by.
    asked: Option<(ModelName, &'static str)>,
}

/// The model's own end.
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
        if let Some(rest) = after_reset_word(&self.turn.text, &self.config) {
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
        let sender_label = match &self.turn.origin {
            Origin::Chat { label, .. } => Some(label.clone()),
            Origin::Channel { sender_label, .. } => sender_label.clone(),
            Origin::Agent | Origin::Heartbeat { .. } | Origin::Cron { .. } => None,
        };
        let user = InputRow {
            text: text.to_owned(),
            prompt: Some(news + &prompt::text_of(self.turn, asked, &self.config, now, after_abort)),
            sender_label,
            images: self.turn.images.iter().map(image_row).collect(),
        };
        let key = self.append_key("user");
        let appended = sessions.append_user(&self.turn.key, key, user).await?;
        self.row = appended.row;
        match self.append_key("assistant") {
            Some(key) if !appended.fresh => sessions.by_key(&self.row, &key),
            _ => Ok(None),
        }
    }

    /// What waited for the main session, as the lines that go before its next message.
    fn news(&self) -> String {
        let agent = self.turn.key.agent_id().unwrap_or_default();
        if self.turn.key != SessionKey::main_of(agent, &self.config) {
            return String::new();
        }
        envelope::system_lines(&self.inner.sessions.system_events().take())
    }

    /// True when this run's message is in the transcript already: it is being replayed.
    fn was_said(&self, row: Option<&SessionRow>) -> Result<bool, StoreError> {
        match (self.append_key("user"), row) {
            (Some(key), Some(row)) => Ok(self.inner.sessions.by_key(row, &key)?.is_some()),
            _ => Ok(false),
        }
    }

    /// Asks the models in order until one answers, and follows its text to the end.
    async fn answer(&mut self) -> Result<Answer, RunnerError> {
        let agent = self
            .turn
            .key
            .agent_id()
            .unwrap_or(self.config.agents.default_id());
        let names = model::candidates(&self.config, &self.row.settings, agent);
        let mut failed = None;
        for name in names {
            let runner = match model::runner(&self.config, &name) {
                Ok(runner) => runner,
                Err(error) => {
                    failed = Some(self.note_failure(&name, error));
                    continue;
                }
            };
            let prompt = Arc::new(self.prompt(&name)?);
            self.asked = Some((name.clone(), runner.api()));
            match runner.start(prompt).await {
                Ok(steps) => return self.follow(steps).await,
                Err(error) => failed = Some(self.note_failure(&name, error)),
            }
        }
        Err(failed.unwrap_or_else(|| RunnerError::new("no model is configured")))
    }

    fn note_failure(&self, name: &ModelName, error: RunnerError) -> RunnerError {
        tracing::warn!(run = self.turn.run_id, model = %name, %error, "model did not answer");
        error
    }

    async fn follow(&mut self, mut steps: super::runner::Steps) -> Result<Answer, RunnerError> {
        while let Some(step) = steps.next().await {
            match step? {
                Step::Text(text) => self.events.text(&text),
                Step::End { stop, usage } => return Ok((stop, usage)),
            }
        }
        Err(RunnerError::new("the model ended the answer in the middle"))
    }

    fn prompt(&self, name: &ModelName) -> Result<super::runner::Prompt, RunnerError> {
        let sessions = &self.inner.sessions;
        let transcript = sessions
            .history(&self.turn.key, limits::PROMPT_MESSAGES_MAX)
            .map_err(|e| RunnerError::new(STORE_FAILED).caused_by(e))?;
        let images = self.images(name);
        let defaults = &self.config.agents.defaults;
        let texts = [
            defaults.system_prompt.as_deref(),
            self.turn.extra_system.as_deref(),
        ];
        let system: Vec<&str> = texts.into_iter().flatten().collect();
        Ok(prompt::build(
            &system,
            &transcript,
            images,
            name.context_window(&self.config),
        ))
    }

    fn images(&self, name: &ModelName) -> Vec<Image> {
        let images = &self.turn.images;
        if !images.is_empty() && !name.sees_images(&self.config) {
            let (run, dropped) = (&self.turn.run_id, images.len());
            tracing::warn!(run, model = %name, dropped, "pictures dropped: the model takes none");
            return Vec::new();
        }
        images.clone()
    }

    /// Stores the answer, shows the end, and gives the outcome.
    async fn close(mut self, result: Result<Answer, Cut>, started_at: u64) -> RunOutcome {
        let mut outcome = self.outcome(&result, started_at);
        if outcome.ending == Ending::Interrupted {
            self.show_end(&outcome, &result);
            return outcome;
        }
        let stored = match self.said(&outcome, &result) {
            Some(said) => self.store(said, &outcome).await,
            None => Ok(()),
        };
        if let Err(error) = stored {
            tracing::error!(run = self.turn.run_id, %error, "answer not stored");
        }
        self.show_end(&outcome, &result);
        outcome.ended_at = self.inner.clock.now_ms();
        outcome
    }

    fn outcome(&self, result: &Result<Answer, Cut>, started_at: u64) -> RunOutcome {
        let now = self.inner.clock.now_ms();
        let (ending, error, stop_reason) = match result {
            Ok((Stop::Done, _)) => (Ending::Answered, None, Some("stop")),
            Ok((Stop::Length, _)) => (Ending::Answered, None, Some("length")),
            Err(Cut::Failed(error)) => (Ending::Failed, Some(error.shown()), Some("error")),
            Err(Cut::TimedOut) => (Ending::TimedOut, None, None),
            Err(Cut::Aborted(_)) => (Ending::Aborted, None, None),
            Err(Cut::Stopping) => (Ending::Interrupted, Some(STOPPING), None),
        };
        let silent = ending == Ending::Answered && self.events.is_silent();
        let text = if silent {
            ""
        } else {
            self.events.whole_text().trim()
        };
        let (provider, model) = match &self.asked {
            Some((name, _)) => (name.provider.clone(), name.model.clone()),
            None => (String::new(), String::new()),
        };
        RunOutcome {
            session_id: self.row.session_id.clone(),
            text: text.to_owned(),
            error: error.map(str::to_owned),
            provider,
            model,
            usage: result.as_ref().ok().and_then(|(_, usage)| *usage),
            stop_reason,
            started_at,
            ..RunOutcome::unstarted(&self.turn.run_id, &self.turn.key, ending, now)
        }
    }

    /// The message for the transcript; none when an aborted run had not said anything.
    fn said(&self, outcome: &RunOutcome, result: &Result<Answer, Cut>) -> Option<AssistantRow> {
        let text = self.events.whole_text().trim().to_owned();
        if outcome.ending == Ending::Aborted && text.is_empty() {
            return None;
        }
        let (stop_reason, error_message, origin) = match result {
            Err(Cut::Aborted(AbortReason::Rpc)) => ("aborted", Some("Request was aborted"), "rpc"),
            Err(Cut::Aborted(AbortReason::StopWord)) => {
                ("aborted", Some("Request was aborted"), "stop-command")
            }
            Err(Cut::TimedOut) => ("aborted", Some("Request timed out"), "timeout"),
            _ => (
                outcome.stop_reason.unwrap_or("stop"),
                outcome.error.as_deref(),
                "",
            ),
        };
        let run_id = &self.turn.run_id;
        let cut = outcome.is_cut();
        Some(AssistantRow {
            text,
            api: self.asked.as_ref().map_or("", |(_, api)| api).to_owned(),
            provider: outcome.provider.clone(),
            model: outcome.model.clone(),
            tokens: tokens(outcome.usage.unwrap_or_default()),
            stop_reason: stop_reason.to_owned(),
            error_message: error_message.map(str::to_owned),
            shown_key: cut.then(|| format!("{run_id}:assistant")),
            abort: cut.then(|| AbortRow {
                origin: origin.to_owned(),
                run_id: run_id.clone(),
            }),
        })
    }

    async fn store(&mut self, said: AssistantRow, outcome: &RunOutcome) -> Result<(), StoreError> {
        let name = self.asked.as_ref().map(|(name, _)| name.clone());
        let context = name
            .as_ref()
            .and_then(|name| name.context_window(&self.config));
        let (usage, aborted) = (outcome.usage, outcome.is_cut());
        let touch = move |row: &mut SessionRow| {
            row.aborted_last_run = aborted;
            if let Some(name) = name {
                row.model_provider = Some(name.provider);
                row.model = Some(name.model);
                row.context_tokens = context;
            }
            if let Some(usage) = usage {
                row.tokens = Some(tokens(usage));
            }
        };
        let key = self.append_key("assistant");
        let sessions = &self.inner.sessions;
        sessions
            .append_assistant(&self.turn.key, key, said, touch)
            .await
            .map(|_| ())
    }

    fn show_end(&mut self, outcome: &RunOutcome, result: &Result<Answer, Cut>) {
        match (outcome.ending, result) {
            (Ending::Aborted, Err(Cut::Aborted(reason))) => self.events.abort(*reason),
            (Ending::Aborted, _) => self.events.abort(AbortReason::Rpc),
            (Ending::TimedOut, _) => self.events.end(true),
            (Ending::Answered, _) => self.events.end(false),
            // A message of a channel or a job is run again after the restart.
            (Ending::Interrupted, _) if self.is_replayable() => {}
            _ => self
                .events
                .fail(outcome.error.as_deref().unwrap_or("the run failed")),
        }
    }

    /// A message that was answered before the gateway was restarted: the answer stands.
    fn replayed(mut self, answered: MessageRow) -> RunOutcome {
        let BodyRow::Assistant(said) = answered.body else {
            return self.unstored(&StoreError::Refused("the answer is no answer".into()));
        };
        tracing::info!(
            run = self.turn.run_id,
            "run answered before the restart: answer taken"
        );
        self.events.start();
        self.events.text(&said.text);
        let ending = match (said.stop_reason.as_str(), &said.abort) {
            ("error", _) => Ending::Failed,
            ("aborted", Some(abort)) if abort.origin == "timeout" => Ending::TimedOut,
            ("aborted", _) => Ending::Aborted,
            _ => Ending::Answered,
        };
        let silent = ending == Ending::Answered && self.events.is_silent();
        let now = answered.timestamp;
        let outcome = RunOutcome {
            session_id: self.row.session_id.clone(),
            text: if silent { String::new() } else { said.text },
            error: said.error_message,
            provider: said.provider,
            model: said.model,
            ..RunOutcome::unstarted(&self.turn.run_id, &self.turn.key, ending, now)
        };
        self.show_end(&outcome, &Ok((Stop::Done, None)));
        outcome
    }

    /// The transcript can't be written: nothing is run, so that nothing is lost.
    fn unstored(mut self, error: &StoreError) -> RunOutcome {
        tracing::error!(run = self.turn.run_id, %error, "run not begun: message not stored");
        let now = self.inner.clock.now_ms();
        let (run_id, key) = (&self.turn.run_id, &self.turn.key);
        let outcome = RunOutcome {
            error: Some(STORE_FAILED.to_owned()),
            ..RunOutcome::unstarted(run_id, key, Ending::Interrupted, now)
        };
        self.show_end(&outcome, &Err(Cut::Stopping));
        outcome
    }
}

fn image_row(image: &Image) -> ImageRow {
    let bytes = u64::try_from(image.bytes).unwrap_or(u64::MAX);
    ImageRow {
        mime_type: image.mime_type.to_owned(),
        bytes,
    }
}

fn tokens(usage: Usage) -> TokensRow {
    TokensRow {
        input: usage.input,
        output: usage.output,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write,
        total: usage.total,
    }
}
