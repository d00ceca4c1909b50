//! The agent: turns into answers, one run at a time in each session.
//!
//! [`Agent`] is the handle that the router and the methods use. A submitted [`Turn`] waits in its
//! session's queue ([`queue`]), becomes a run ([`run`]) that asks a model ([`runner`],
//! [`runners`]), is shown to clients ([`events`]) and kept for those who wait ([`results`]).
//! Promises: runs of one session never overlap; each run has exactly one [`RunOutcome`]; a run
//! goes on when the client that started it leaves.

pub mod attachments;
pub mod envelope;
pub mod events;
pub mod live;
pub mod model;
pub mod outcome;
mod prompt;
mod queue;
mod reset_words;
mod results;
mod run;
pub mod runner;
pub mod runners;
mod silent;
pub mod stop_words;
pub mod thinking;
pub mod toolbox;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};

use crate::approvals::Approvals;
use crate::clock::Clock;
use crate::config::ConfigHandle;
use crate::hub::{ConnId, Hub};
use crate::limits;
use crate::sessions::{Accepted, SessionKey, Sessions};
use crate::shutdown::Tasks;
use envelope::Facts;
use live::Live;
pub use outcome::{Ending, Run, RunOutcome};
use queue::Queue;
pub use queue::{collected, mode as queue_mode};
use results::Results;
use runner::Image;
use thinking::Thinking;
use toolbox::Toolbox;

/// One message for the agent.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Id of the run; clients know it as their idempotency key.
    pub run_id: String,
    /// The session.
    pub key: SessionKey,
    /// The plain text.
    pub text: String,
    /// Pictures; dropped when the model can't see.
    pub images: Vec<Image>,
    /// Where it came from.
    pub origin: Origin,
    /// Time limit: none for the configured one, zero for the longest allowed.
    pub timeout: Option<Duration>,
    /// More standing instructions, for this run only.
    pub extra_system: Option<String>,
    /// How long to think, for this run only; none for what the session or the agent says.
    pub thinking: Option<Thinking>,
    /// The model for this run only, as `agents.defaults.model` would name it; its fallbacks stay.
    pub model: Option<String>,
    /// The connection that is shown the tools at work, if it can show them.
    pub watcher: Option<ConnId>,
    /// Who reads the answer while it grows, beside the clients of the hub.
    pub live: Option<Live>,
    /// What is kept on disk of the messages in it until they are answered.
    pub kept: Vec<String>,
}

impl Turn {
    /// The name of the sender, as transcripts keep it.
    pub fn sender_label(&self) -> Option<String> {
        match &self.origin {
            Origin::Chat { label, .. } => Some(label.clone()),
            Origin::Channel { sender_label, .. } => sender_label.clone(),
            Origin::Agent
            | Origin::Outside { .. }
            | Origin::Heartbeat { .. }
            | Origin::Cron { .. } => None,
        }
    }

    /// A plain message: no pictures, and everything else as configured.
    pub fn new(run_id: &str, key: SessionKey, text: &str, origin: Origin) -> Turn {
        Turn {
            run_id: run_id.to_owned(),
            key,
            text: text.to_owned(),
            images: Vec::new(),
            origin,
            timeout: None,
            extra_system: None,
            thinking: None,
            model: None,
            watcher: None,
            live: None,
            kept: Vec::new(),
        }
    }
}

/// Where a turn came from; decides its envelope, its events and who may stop it.
#[derive(Clone, Debug)]
pub enum Origin {
    /// `chat.send` of a client.
    Chat {
        /// The client.
        owner: Owner,
        /// Its name for the model and for `senderLabel`.
        label: String,
        /// Its program id.
        id: String,
        /// Its shown name.
        display_name: Option<String>,
        /// While another run is active the message may be answered together with others, by a
        /// later run under an id of its own.
        collect: bool,
    },
    /// `agent` of a client.
    Agent,
    /// A program that asks over HTTP.
    Outside {
        /// What the model reads instead of the plain text. No word in the text means anything to
        /// the gateway.
        prompt: String,
    },
    /// A person on a channel. A run of the same id that is in the transcript already is not run
    /// again: its message is kept once and its answer, if there is one, stands.
    Channel {
        /// What is known about the message.
        facts: Vec<Facts>,
        /// The sender's name.
        sender_label: Option<String>,
    },
    /// The gateway's own look-around: `agent` events, but no `chat` events.
    Heartbeat {
        /// Characters beside the acknowledgement that still make it one.
        ack_max_chars: usize,
    },
    /// A cron job in a session of its own. A run of the same id is not run again, as for channels.
    Cron {
        /// What the model reads instead of the plain text.
        prompt: String,
    },
}

/// Who started a run, and so may stop it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The connection.
    pub conn: ConnId,
    /// The device, on any of its connections.
    pub device_id: Option<String>,
}

/// Why a turn is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// The session's queue is full.
    SessionFull,
    /// Too many sessions have runs.
    TooManySessions,
    /// The gateway is stopping.
    Stopping,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubmitError::SessionFull => write!(
                f,
                "session queue is full: {} messages wait for the active run; try again later",
                limits::SESSION_RUNS_WAITING_MAX
            ),
            SubmitError::TooManySessions => write!(
                f,
                "{} sessions have active runs; try again later",
                limits::SESSIONS_ACTIVE_MAX
            ),
            SubmitError::Stopping => f.write_str("the gateway is stopping"),
        }
    }
}

impl std::error::Error for SubmitError {}

/// Who asks for a run to stop, and how far that goes.
#[derive(Clone, Debug)]
pub enum AbortBy {
    /// A client by `chat.abort`: runs of `chat.send` that it may stop.
    Client {
        /// The client.
        owner: Owner,
        /// It may stop the runs of others.
        admin: bool,
    },
    /// The same by a stop word in `chat.send`.
    ClientStopWord {
        /// The client.
        owner: Owner,
        /// It may stop the runs of others.
        admin: bool,
    },
    /// A person on a channel by a stop word: whatever runs in the session.
    Person,
    /// Whoever submitted the named run and reads its answer no more: that run alone.
    Starter,
    /// The gateway before it resets the session: whatever runs in it.
    Reset,
}

/// Why nothing was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortError {
    /// The run belongs to another session.
    OtherSession,
    /// The run belongs to somebody else.
    Unauthorized,
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

/// What all runs share.
struct Inner {
    config: ConfigHandle,
    clock: Clock,
    hub: Hub,
    sessions: Sessions,
    tasks: Tasks,
    results: Results,
    queues: Mutex<HashMap<SessionKey, Queue>>,
    slots: Semaphore,
    toolbox: OnceLock<Arc<dyn Toolbox>>,
    approvals: OnceLock<Approvals>,
}

impl fmt::Debug for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Agent")
    }
}

impl Agent {
    /// An agent without any run. Its runs are tasks of `tasks`: stopping that set stops them.
    pub fn new(
        config: ConfigHandle,
        clock: Clock,
        hub: Hub,
        sessions: Sessions,
        tasks: Tasks,
    ) -> Agent {
        let inner = Inner {
            config,
            clock,
            hub,
            sessions,
            tasks,
            results: Results::default(),
            queues: Mutex::default(),
            slots: Semaphore::new(limits::RUNS_AT_ONCE_MAX),
            toolbox: OnceLock::new(),
            approvals: OnceLock::new(),
        };
        let agent = Agent {
            inner: Arc::new(inner),
        };
        let (inner, start_ms) = (agent.inner.clone(), clock.now_ms());
        agent.inner.tasks.spawn("cut-off messages", async move {
            match inner.sessions.report_cut_off(start_ms).await {
                Ok(0) => {}
                Ok(told) => tracing::warn!(told, "messages were cut off by the last stop"),
                Err(error) => tracing::error!(%error, "cut-off messages could not be told"),
            }
        });
        agent
    }

    /// Hands in what models may call; counts from the next round on. Only the first one counts.
    pub fn set_toolbox(&self, toolbox: Arc<dyn Toolbox>) {
        let _first_counts = self.inner.toolbox.set(toolbox);
    }

    /// Hands in who is asked when a program that answers wants to do something. Without it such a
    /// program is told no. Only the first one counts.
    pub fn set_approvals(&self, approvals: Approvals) {
        let _first_counts = self.inner.approvals.set(approvals);
    }

    /// Takes a turn. It runs at once when its session is idle, and waits otherwise.
    ///
    /// # Errors
    /// [`SubmitError`] when it can't wait.
    pub fn submit(&self, turn: Turn) -> Result<Run, SubmitError> {
        queue::submit(&self.inner, turn)
    }

    /// Takes a turn that a client is told is accepted: resolves when it is on disk, by its own run
    /// or, when it has to wait, as a message that waits.
    ///
    /// # Errors
    /// [`SubmitError`] when it can't wait.
    pub async fn accept(&self, turn: Turn) -> Result<Run, SubmitError> {
        let idle = !queue::is_busy(&self.inner, &turn.key);
        if idle && self.inner.slots.available_permits() > 0 {
            let run = self.submit(turn)?;
            queue::opened(&self.inner, &run).await;
            return Ok(run);
        }
        self.promise(turn).await
    }

    /// The same for an asker who leaves at once: the turn is on disk first in any case.
    ///
    /// # Errors
    /// [`SubmitError`] when it can't wait.
    pub async fn promise(&self, turn: Turn) -> Result<Run, SubmitError> {
        let sessions = &self.inner.sessions;
        let accepted = sessions.accepted(&turn.run_id, &turn.key, &turn.text, turn.sender_label());
        // The asker may leave in the middle.
        let (sender, taken) = oneshot::channel();
        let agent = self.clone();
        self.inner.tasks.spawn("accepted turn", async move {
            let _asker_left = sender.send(agent.keep_and_submit(turn, accepted).await);
        });
        taken.await.unwrap_or(Err(SubmitError::Stopping))
    }

    async fn keep_and_submit(
        &self,
        mut turn: Turn,
        accepted: Accepted,
    ) -> Result<Run, SubmitError> {
        let sessions = &self.inner.sessions;
        let place = accepted.place.clone();
        match sessions.keep(accepted).await {
            Ok(()) => turn.kept.push(place.clone()),
            Err(error) => tracing::error!(%error, "accepted message not kept"),
        }
        let run = self.submit(turn);
        if run.is_err() {
            sessions.settle(vec![place]).await;
        }
        run
    }

    /// Waits for the end of a run, also of one that is not submitted yet; none when the time is
    /// over first.
    pub async fn wait(&self, run_id: &str, timeout: Duration) -> Option<Arc<RunOutcome>> {
        self.inner.results.wait(run_id, timeout).await
    }

    /// A run by its id, while it is remembered.
    pub fn run(&self, run_id: &str) -> Option<Run> {
        self.inner.results.get(run_id)
    }

    /// Stops the session's run, or only the one named, and what waits to be answered after it.
    /// Resolves when the stopped runs are over; gives their ids.
    ///
    /// # Errors
    /// [`AbortError`] when the named or active run is not the asker's to stop.
    pub async fn abort(
        &self,
        key: &SessionKey,
        run_id: Option<&str>,
        by: AbortBy,
    ) -> Result<Vec<String>, AbortError> {
        queue::abort(&self.inner, key, run_id, by).await
    }

    /// Stops a run whose answer nobody reads any more. Resolves when it is over.
    pub async fn leave(&self, run: &Run) {
        let stopped = queue::abort(&self.inner, &run.key, Some(&run.run_id), AbortBy::Starter);
        // Over already, or not to be stopped any more: nothing is left to do.
        stopped.await.ok();
    }

    /// What models may call, once it was handed in.
    pub fn toolbox(&self) -> Option<Arc<dyn Toolbox>> {
        self.inner.toolbox.get().cloned()
    }

    /// The id of the session's active run.
    pub fn active(&self, key: &SessionKey) -> Option<String> {
        queue::active(&self.inner, key)
    }

    /// Stops whatever runs or waits in a session and waits until it is idle; false when it is
    /// still active after `patience`.
    pub async fn quiet(&self, key: &SessionKey, patience: Duration) -> bool {
        let stopped = self.abort(key, None, AbortBy::Reset);
        let in_time = tokio::time::timeout(patience, stopped).await.is_ok();
        in_time && self.active(key).is_none()
    }
}
