//! What clients see of a run: events `agent` and `chat` (protocol/12 §2–3).
//!
//! Owned by the run's task. Promises: `seq` counts from 1; the order is start, texts, one end;
//! exactly one `chat` event ends a run; nothing is shown of a text that may still become a silent
//! reply.

use std::time::Instant;

use gateway_schemas::agent::{
    AgentEvent, AgentStream, AssistantText, Lifecycle, LifecycleEnd, LifecycleError,
    LifecycleStart, ThinkingText, ToolDone, ToolPhase, ToolStart,
};
use gateway_schemas::chat::{AssistantMessage, ChatEvent, ChatState, ContentPart, Message};

use super::live::Live;
use super::queue::AbortReason;
use super::runner::ToolCall;
use super::silent;
use super::toolbox::ToolOutput;
use crate::clock::Clock;
use crate::hub::{ConnId, Event, Hub};
use crate::limits;
use crate::sessions::{SessionKey, SettingsRow};

/// What a connection declares that can show tools at work.
const TOOL_EVENTS: &str = "tool-events";

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
    /// Where in `text` each part but the first begins: a part for each text between tool calls.
    parts: Vec<usize>,
    /// What the model thinks, of this part.
    thoughts: String,
    /// Who is shown the tools.
    watcher: Option<ConnId>,
    /// Who reads the text beside the clients.
    live: Option<Live>,
    /// What tools answer is shown, too.
    tool_answers: bool,
    /// Thoughts are shown.
    show_thoughts: bool,
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
            parts: Vec::new(),
            thoughts: String::new(),
            watcher: None,
            live: None,
            tool_answers: false,
            show_thoughts: false,
            shown: 0,
            told: None,
        }
    }

    /// Shows the tools at work to this connection, if it can show them.
    pub fn watched_by(mut self, watcher: Option<ConnId>) -> Self {
        self.watcher = watcher;
        self
    }

    /// Gives the text to this reader too.
    pub fn read_by(mut self, live: Option<Live>) -> Self {
        self.live = live;
        self
    }

    /// How much is shown, as the session is set.
    pub fn levels(&mut self, settings: &SettingsRow) {
        let word = |name: &str| settings.words.get(name).map(String::as_str);
        self.tool_answers = word("verboseLevel") == Some("full");
        self.show_thoughts = word("reasoningLevel") == Some("stream");
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
        if visible <= self.shown || silent::may_become_silent(self.last_part()) {
            return;
        }
        if let Some(live) = &self.live {
            let (start, fresh) = (self.part_start(), self.shown <= self.part_start());
            live.push(&self.text[self.shown.max(start)..visible], fresh);
        }
        let new = self.text[self.shown..visible].to_owned();
        let text = AssistantText {
            text: self.text[self.part_start()..visible].to_owned(),
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

    /// Whether somebody saw some of the text already.
    pub fn has_shown_text(&self) -> bool {
        self.shown > 0
    }

    /// More of what the model thinks.
    pub fn thinking(&mut self, delta: &str) {
        if !self.show_thoughts {
            return;
        }
        self.thoughts.push_str(delta);
        let text = self.thoughts.clone();
        let delta = delta.to_owned();
        self.agent(AgentStream::Thinking(ThinkingText { text, delta }));
    }

    /// A tool is called. What clients have not seen of the text goes before it.
    pub fn tool_start(&mut self, call: &ToolCall) {
        self.flush();
        self.tool(ToolPhase::Start(ToolStart {
            name: call.name.clone(),
            tool_call_id: call.id.clone(),
            args: call.arguments.clone(),
        }));
    }

    /// A tool is done.
    pub fn tool_result(&mut self, call: &ToolCall, output: &ToolOutput) {
        let result = gateway_schemas::agent::ToolOutput {
            content: vec![ContentPart::text(output.text.as_str())],
            details: None,
        };
        self.tool(ToolPhase::Result(ToolDone {
            name: call.name.clone(),
            tool_call_id: call.id.clone(),
            meta: output.meta.clone(),
            is_error: output.is_error,
            result: self.tool_answers.then_some(result),
        }));
    }

    /// What follows is said after a tool was called.
    pub fn next_part(&mut self) {
        self.parts.push(self.text.len());
        self.thoughts.clear();
    }

    fn part_start(&self) -> usize {
        self.parts.last().copied().unwrap_or(0)
    }

    /// The text since the last tool call, as the model wrote it.
    pub fn last_part(&self) -> &str {
        &self.text[self.part_start()..]
    }

    /// The texts between tool calls that are not empty.
    pub fn parts(&self) -> Vec<String> {
        let starts = std::iter::once(&0).chain(&self.parts);
        let end = self.text.len();
        let ends = self.parts.iter().chain(std::iter::once(&end));
        let parts = starts
            .zip(ends)
            .map(|(from, to)| self.text[*from..*to].trim());
        parts
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// The same without those that stand for no reply.
    pub fn spoken_parts(&self) -> Vec<String> {
        let mut parts = self.parts();
        parts.retain(|part| !silent::is_silent(part, self.heartbeat));
        parts
    }

    /// The run is over; `timed_out` when its time limit cut it.
    pub fn end(&mut self, timed_out: bool) {
        self.agent(AgentStream::Lifecycle(Lifecycle::End(LifecycleEnd {
            started_at: timed_out.then_some(self.started_at),
            ended_at: self.clock.now_ms(),
            aborted: timed_out.then_some(true),
            stop_reason: None,
        })));
        if silent::is_silent(self.last_part(), self.heartbeat) {
            self.text.truncate(self.part_start());
        } else {
            self.flush();
        }
        let text = self.text.trim();
        let message = (!text.is_empty()).then(|| self.message(text));
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
        let event = self.agent_event(body);
        self.hub.publish(event);
    }

    /// For the one who began the run, if it can show tools.
    fn tool(&mut self, phase: ToolPhase) {
        let event = self.agent_event(AgentStream::Tool(phase));
        let Some(watcher) = self.watcher else { return };
        let clients = self.hub.clients();
        let client = clients.iter().find(|client| client.caller.conn == watcher);
        if client.is_some_and(|client| client.caller.has_cap(TOOL_EVENTS)) {
            self.hub.send_to(&[watcher], event);
        }
    }

    fn agent_event(&mut self, body: AgentStream) -> Event {
        self.seq += 1;
        let event = AgentEvent {
            run_id: self.run_id.clone(),
            body,
            session_key: Some(self.key.to_string()),
            seq: self.seq,
            ts: self.clock.now_ms(),
        };
        Event::new("agent", &event)
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
