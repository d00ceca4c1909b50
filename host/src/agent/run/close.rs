//! The end of a run: what is stored, what clients see, what those who wait get.

use super::super::outcome::{Ending, RunOutcome};
use super::super::queue::AbortReason;
use super::super::runner::{Stop, Thought, Usage};
use super::{Answer, Cut, STORE_FAILED, Work};
use crate::sessions::{AbortRow, AssistantRow, MessageRow, SessionRow, ThoughtRow, TokensRow};
use crate::store::StoreError;
use crate::store::sessions::BodyRow;

/// What clients are told when the gateway stops in the middle of a run.
const STOPPING: &str = "the gateway is stopping";

impl Work<'_> {
    /// Stores the answer, shows the end, and gives the outcome.
    pub(super) async fn close(
        mut self,
        result: Result<Answer, Cut>,
        started_at: u64,
    ) -> RunOutcome {
        let mut outcome = self.outcome(&result, started_at);
        if outcome.ending == Ending::Interrupted {
            self.show_end(&outcome, &result);
            return outcome;
        }
        let stored = match self.said(&outcome, &result) {
            Some(said) => self.store(said, &outcome).await,
            None => {
                let kept = std::mem::take(&mut self.kept);
                self.inner.sessions.settle(kept).await;
                Ok(())
            }
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
            Ok((Stop::Done | Stop::Tools, _)) => (Ending::Answered, None, Some("stop")),
            Ok((Stop::Length, _)) => (Ending::Answered, None, Some("length")),
            Err(Cut::Failed(error)) => (Ending::Failed, Some(error.shown()), Some("error")),
            Err(Cut::TimedOut) => (Ending::TimedOut, None, None),
            Err(Cut::Aborted(_)) => (Ending::Aborted, None, None),
            Err(Cut::Stopping) => (Ending::Interrupted, Some(STOPPING), None),
        };
        let parts = if ending == Ending::Answered {
            self.events.spoken_parts()
        } else {
            self.events.parts()
        };
        let (provider, model) = match &self.asked {
            Some((name, _)) => (name.provider.clone(), name.model.clone()),
            None => (String::new(), String::new()),
        };
        RunOutcome {
            session_id: self.row.session_id.clone(),
            text: parts.join("\n\n"),
            parts,
            error: error.map(str::to_owned),
            provider,
            model,
            usage: self.usage,
            last_usage: result.as_ref().ok().and_then(|(_, usage)| *usage),
            stop_reason,
            started_at,
            ..RunOutcome::unstarted(&self.turn.run_id, &self.turn.key, ending, now)
        }
    }

    /// The message for the transcript; none when an aborted run had not said anything.
    fn said(&self, outcome: &RunOutcome, result: &Result<Answer, Cut>) -> Option<AssistantRow> {
        let text = self.events.last_part().trim().to_owned();
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
            thoughts: self.thoughts.iter().map(thought_row).collect(),
            calls: Vec::new(),
            api: self.asked.as_ref().map_or("", |(_, api)| api).to_owned(),
            provider: outcome.provider.clone(),
            model: outcome.model.clone(),
            tokens: tokens(outcome.last_usage.unwrap_or_default()),
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
        let (usage, aborted) = (outcome.last_usage, outcome.is_cut());
        let memory = self.memory.take().filter(|(_, id)| !id.is_empty());
        let touch = move |row: &mut SessionRow| {
            row.aborted_last_run = aborted;
            row.memories.extend(memory);
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
        let kept = std::mem::take(&mut self.kept);
        let sessions = &self.inner.sessions;
        sessions
            .append_answer(&self.turn.key, key, said, kept, touch)
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
    pub(super) fn replayed(mut self, answered: MessageRow) -> RunOutcome {
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
        let parts = if ending == Ending::Answered {
            self.events.spoken_parts()
        } else {
            self.events.parts()
        };
        let now = answered.timestamp;
        let outcome = RunOutcome {
            session_id: self.row.session_id.clone(),
            text: parts.join("\n\n"),
            parts,
            error: said.error_message,
            provider: said.provider,
            model: said.model,
            ..RunOutcome::unstarted(&self.turn.run_id, &self.turn.key, ending, now)
        };
        self.show_end(&outcome, &Ok((Stop::Done, None)));
        outcome
    }

    /// The transcript can't be written: nothing is run, so that nothing is lost.
    pub(super) fn unstored(mut self, error: &StoreError) -> RunOutcome {
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

/// A thought as it is stored.
pub(super) fn thought_row(thought: &Thought) -> ThoughtRow {
    ThoughtRow {
        text: thought.text.clone(),
        seal: thought.seal.clone(),
        hidden: thought.hidden,
    }
}

/// Tokens as they are stored.
pub(super) fn tokens(usage: Usage) -> TokensRow {
    TokensRow {
        input: usage.input,
        output: usage.output,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write,
        total: usage.total,
    }
}
