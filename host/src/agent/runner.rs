//! The runner: what turns a prompt into an answer.
//!
//! Implemented in `runners/`, called by the run. A runner knows nothing of sessions, events or
//! clients. Promises of every implementation: retries and waiting happen before the first text is
//! handed out, never after; dropping the future or the stream stops the work at once.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde_json::Value;

use super::thinking::Thinking;
use super::toolbox::ToolOutput;
use crate::error::Boxed;

/// Who said a line of the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// Standing instructions.
    System,
    /// The person (or client) the agent talks to.
    User,
    /// The agent itself.
    Assistant,
    /// A tool that the agent called.
    Tool,
}

/// A picture that belongs to a line of the prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `image/png`, `image/jpeg`, `image/gif` or `image/webp`.
    pub mime_type: &'static str,
    /// The bytes in base64.
    pub base64: String,
    /// Number of bytes before base64.
    pub bytes: usize,
}

/// What the model thought before it spoke. Some providers want it back, sealed as they gave it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thought {
    /// The text; empty when the provider hides it.
    pub text: String,
    /// The provider's seal, opaque.
    pub seal: Option<String>,
    /// The provider hides the text: all of it lies in the seal.
    pub hidden: bool,
}

/// A call of a tool by the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    /// The provider's id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments; text that was no JSON stands as that text.
    pub arguments: Value,
}

/// A tool as the model is told of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolSpec {
    /// Its name, unique.
    pub name: &'static str,
    /// What it does and when to use it.
    pub description: &'static str,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// One line of the prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Who said it.
    pub speaker: Speaker,
    /// What was said, as the model reads it.
    pub text: String,
    /// Pictures; empty for a model that can't see.
    pub images: Vec<Image>,
    /// What the agent thought first.
    pub thoughts: Vec<Thought>,
    /// The tools that the agent called with it.
    pub calls: Vec<ToolCall>,
    /// For a tool's line: the call it answers, and whether it failed.
    pub answers: Option<(String, bool)>,
}

impl Line {
    /// A line of text.
    pub fn new(speaker: Speaker, text: impl Into<String>) -> Line {
        Line {
            speaker,
            text: text.into(),
            images: Vec::new(),
            thoughts: Vec::new(),
            calls: Vec::new(),
            answers: None,
        }
    }
}

/// What the model is asked: the conversation so far, the newest line last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prompt {
    /// The lines, oldest first.
    pub lines: Vec<Line>,
    /// The newest line as it was written, without its envelope.
    pub said: String,
    /// How long to think first; `Off` for a model that doesn't.
    pub thinking: Thinking,
    /// What the model may call.
    pub tools: Vec<ToolSpec>,
    /// The id under which the runner's program keeps this conversation, if it does.
    pub memory: Option<String>,
}

/// Tokens of one model call, as the provider counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens that were not read from a cache.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: u64,
    /// All of them.
    pub total: u64,
}

/// Why the model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was done.
    Done,
    /// The provider's length limit cut it.
    Length,
    /// It waits for the tools it called.
    Tools,
}

/// One step of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// More text, never empty.
    Text(String),
    /// More of what the model thinks, never empty; for watching only.
    Thinking(String),
    /// A whole thought, to be kept.
    Thought(Thought),
    /// A tool is called; before the end.
    Call(ToolCall),
    /// The runner's program itself begins to use a tool; for watching only.
    Using(ToolCall),
    /// It is done with that, and this came of it.
    Used(ToolCall, ToolOutput),
    /// The id under which the runner's program keeps this conversation from now on.
    Memory(String),
    /// The end; nothing follows. `usage` is absent when the provider does not count.
    End {
        /// Why it ended.
        stop: Stop,
        /// What it cost.
        usage: Option<Usage>,
    },
}

/// An answer while it is made.
pub type Steps = BoxStream<'static, Result<Step, RunnerError>>;

/// Makes answers with one model.
pub trait Runner: Send + Sync {
    /// The wire it speaks, as transcripts name it (`openai-completions`).
    fn api(&self) -> &'static str;

    /// Starts an answer and resolves when its first step is there.
    ///
    /// # Errors
    /// [`RunnerError`] when no answer can be begun, after all retries.
    fn start(&self, prompt: Arc<Prompt>) -> BoxFuture<'static, Result<Steps, RunnerError>>;

    /// The name under which the ids of conversations are kept, for a runner whose program
    /// remembers them itself.
    fn memory_name(&self) -> Option<String> {
        None
    }
}

/// Why there is no answer, or no more of it.
#[derive(Debug)]
pub struct RunnerError {
    shown: String,
    source: Option<Boxed>,
}

impl RunnerError {
    /// An error with its text for RPC clients: one bounded line without secrets.
    pub fn new(shown: impl Into<String>) -> Self {
        RunnerError {
            shown: shown.into(),
            source: None,
        }
    }

    /// Adds what happened underneath, for the log only.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Boxed>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The text for RPC clients.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl fmt::Display for RunnerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RunnerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e.as_ref() as _)
    }
}
