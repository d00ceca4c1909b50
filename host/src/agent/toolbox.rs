//! The toolbox: what the agent's models may call.
//!
//! The agent knows only this trait; the tools themselves lie two floors up, where channels,
//! sessions and timers meet, and are handed in by [`super::Agent::set_toolbox`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::runner::{ToolCall, ToolSpec};
use crate::config::Config;
use crate::limits;
use crate::sessions::SessionKey;

/// Where a tool is called from.
#[derive(Clone, Debug)]
pub struct ToolPlace {
    /// The run.
    pub run_id: String,
    /// The call within the run: the same call has the same name, no other call has it.
    pub step: String,
    /// The session.
    pub key: SessionKey,
    /// The agent.
    pub agent: String,
    /// The configuration that the run goes by.
    pub config: Arc<Config>,
}

/// What a tool answers the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolOutput {
    /// The text for the model.
    pub text: String,
    /// It failed; the text says why.
    pub is_error: bool,
    /// One line for people.
    pub meta: Option<String>,
}

impl ToolOutput {
    /// An answer.
    pub fn ok(text: impl Into<String>) -> ToolOutput {
        ToolOutput {
            text: text.into(),
            ..ToolOutput::default()
        }
    }

    /// A failure, told to the model.
    pub fn failed(why: &str) -> ToolOutput {
        ToolOutput {
            text: format!("Error: {why}"),
            is_error: true,
            meta: None,
        }
    }

    /// Adds a line for people.
    #[must_use]
    pub fn about(mut self, meta: impl Into<String>) -> ToolOutput {
        self.meta = Some(meta.into());
        self
    }

    /// The same with a text that a prompt can hold.
    #[must_use]
    pub fn bounded(mut self) -> ToolOutput {
        let end = self.text.char_indices().nth(limits::TOOL_TEXT_CHARS_MAX);
        if let Some((end, _)) = end {
            self.text.truncate(end);
            self.text.push_str("\n...(truncated)...");
        }
        self
    }
}

/// The tools there are. Dropping the future of a call gives up waiting for it; what it began with
/// somebody else may still be done.
pub trait Toolbox: Send + Sync {
    /// What the models of `agent` may call in a session.
    fn offered(&self, config: &Config, agent: &str, key: &SessionKey) -> Vec<ToolSpec>;

    /// How long a call may take, with everything it waits for.
    fn time_max(&self, call: &ToolCall) -> Duration;

    /// Does one call. What isn't offered, or called in a wrong way, is a failure told to the
    /// model.
    fn call(&self, place: ToolPlace, call: ToolCall) -> BoxFuture<'static, ToolOutput>;
}
