//! What clients see of a run: events `agent` and `chat` (protocol/12 §2–3).
//!
//! Owned by the run's task. Promises: `seq` counts from 1; the order is start, texts, one end;
//! exactly one `chat` event ends a run; nothing is shown of a text that may still become a silent
//! reply.

use std::time::Instant;

use gateway_schemas::agent::{
    AgentEvent, AgentStream, AssistantText, Lifecycle, LifecycleEnd, LifecycleError, LifecycleStart,
};
use gateway_schemas::chat::{AssistantMessage, ChatEvent, ChatState, ContentPart, Message};

use super::queue::AbortReason;
use super::silent;
use crate::clock::Clock;
use crate::hub::{Event, Hub};
use crate::limits;
use crate::sessions::SessionKey;

/// The events of one run.
#[derive(Debug)]
pub struct RunEvents {
    hub: Hub,
    clock: Clock,
    run_id: String,
    key: SessionKey,
    /// False for runs of the gateway itself (heartbeats): they have no `chat` events.
    chat: bool,
    /// In a heartbeat's run, the characters beside its acknowledgement that still make it one.
    heartbeat: Option<usize>,
    seq: u64,
    started_at: u64,
    text: String,
    /// Bytes of `text` that `agent` events have shown.
    shown: usize,
    /// Bytes of `text` that the last `chat` delta showed, and when.
    told: Option<(usize, Instant)>,
}

impl RunEvents {
    /// The events of a run that has not started yet.
    pub fn new(
        hub: Hub,
        clock: Clock,
        run_id: &str,
        key: &SessionKey,
        heartbeat: Option<usize>,
    ) -> Self {
        RunEvents {
            hub,
            clock,
            run_id: run_id.to_owned(),
            key: key.clone(),
            chat: heartbeat.is_none(),
            heartbeat,
            seq: 0,
            started_at: 0,
            text: String::new(),
            shown: 0,
            told: None,
        }
    }

    /// The run begins. Returns when, ms.
    pub fn start(&mut self) -> u64 {
        self.started_at = self.clock.now_ms();
        let started_at = self.started_at;
        self.agent(AgentStream::Lifecycle(Lifecycle::Start(LifecycleStart {
            started_at,
        })));
        started_at
    }

    /// More text of the model.
    pub fn text(&mut self, delta: &str) {
        self.text.push_str(delta);
        // Blanks at the end wait for what follows them.
        let visible = self.text.trim_end().len();
        if visible <= self.shown || silent::may_become_silent(&self.text) {
            return;
        }
        let new = self.text[self.shown..visible].to_owned();
        let text = AssistantText {
            text: self.text[..visible].to_owned(),
            delta: new,
            media_urls: None,
        };
        self.shown = visible;
        self.agent(AgentStream::Assistant(text));
        let due = self
            .told
            .is_none_or(|(_, at)| at.elapsed() >= limits::CHAT_DELTA_SPACING);
        if due {
            self.delta();
        }
    }

    /// The whole text so far, as the model wrote it.
    pub fn whole_text(&self) -> &str {
        &self.text
    }

    /// True when the whole text stands for no reply.
    pub fn is_silent(&self) -> bool {
        silent::is_silent(&self.text, self.heartbeat)
    }

    /// The run is over; `timed_out` when its time limit cut it.
    pub fn end(&mut self, timed_out: bool) {
        self.agent(AgentStream::Lifecycle(Lifecycle::End(LifecycleEnd {
            started_at: timed_out.then_some(self.started_at),
            ended_at: self.clock.now_ms(),
            aborted: timed_out.then_some(true),
            stop_reason: None,
        })));
        let silent = self.is_silent();
        if !silent {
            self.flush();
        }
        let message = (!silent).then(|| self.message(self.text.trim()));
        self.chat(ChatState::Final, |event| event.message = message);
    }

    /// The model failed.
    pub fn fail(&mut self, error: &str) {
        self.agent(AgentStream::Lifecycle(Lifecycle::Error(LifecycleError {
            error: error.to_owned(),
            started_at: None,
            ended_at: self.clock.now_ms(),
        })));
        self.chat(ChatState::Error, |event| {
            event.error_message = Some(error.to_owned())
        });
    }

    /// A client or a person stopped the run. No lifecycle end follows.
    pub fn abort(&mut self, reason: AbortReason) {
        self.seq += 1;
        let partial = self.text.trim();
        let hidden = partial.is_empty() || silent::may_become_silent(partial);
        let message = (!hidden).then(|| self.message(partial));
        self.chat(ChatState::Aborted, |event| {
            event.stop_reason = Some(reason.stop_reason().to_owned());
            event.message = message;
        });
    }

    /// The message waits for another run's end: its own run id ends at once, without text.
    pub fn queued(&mut self) {
        self.seq = 1;
        self.chat(ChatState::Final, |_| {});
    }

    /// Shows the text that the spacing of deltas held back.
    fn flush(&mut self) {
        if self.told.is_some_and(|(bytes, _)| bytes < self.shown) {
            self.delta();
        }
    }

    fn delta(&mut self) {
        self.told = Some((self.shown, Instant::now()));
        let message = self.message(self.text[..self.shown].trim());
        self.chat(ChatState::Delta, |event| event.message = Some(message));
    }

    fn agent(&mut self, body: AgentStream) {
        self.seq += 1;
        let event = AgentEvent {
            run_id: self.run_id.clone(),
            body,
            session_key: Some(self.key.to_string()),
            seq: self.seq,
            ts: self.clock.now_ms(),
        };
        self.hub.publish(Event::new("agent", &event));
    }

    fn chat(&self, state: ChatState, fill: impl FnOnce(&mut ChatEvent)) {
        if !self.chat {
            return;
        }
        let mut event = chat_event(&self.run_id, &self.key, self.seq, state);
        fill(&mut event);
        let droppable = state == ChatState::Delta;
        self.hub
            .publish(Event::new("chat", &event).droppable(droppable));
    }

    fn message(&self, text: &str) -> Message {
        Message::Assistant(Box::new(AssistantMessage {
            content: vec![ContentPart::text(text)],
            timestamp: self.clock.now_ms(),
            ..AssistantMessage::default()
        }))
    }
}

/// A `chat` event without message.
pub fn chat_event(run_id: &str, key: &SessionKey, seq: u64, state: ChatState) -> ChatEvent {
    ChatEvent {
        run_id: run_id.to_owned(),
        session_key: key.to_string(),
        seq,
        state,
        message: None,
        error_message: None,
        usage: None,
        stop_reason: None,
    }
}

/// The `chat` event that shows a text of the gateway itself.
pub fn final_event(run_id: &str, key: &SessionKey, seq: u64, message: Option<Message>) -> Event {
    let event = chat_event(run_id, key, seq, ChatState::Final);
    Event::new("chat", &ChatEvent { message, ..event }).droppable(false)
}
