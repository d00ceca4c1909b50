//! How a run ended, for everybody who waits for it.

use std::sync::Arc;

use tokio::sync::watch;

use super::runner::Usage;
use crate::sessions::SessionKey;

/// What people on a channel read when the model failed; the cause is in the log.
pub const NEUTRAL_ERROR: &str =
    "Sorry, I could not get an answer from the model. Please try again in a moment.";
/// What everybody reads when the run's time limit cut it.
pub const TIMED_OUT: &str = "Request timed out before a response was generated. Please try again, \
    or increase `agents.defaults.timeoutSeconds` in your config.";

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The model answered, or was silent.
    Answered,
    /// The model failed; `error` says why.
    Failed,
    /// The time limit cut it.
    TimedOut,
    /// A client or a person stopped it.
    Aborted,
    /// The message waits and is answered by a later run together with others.
    Collected,
    /// The gateway could not run it at all (stopping, or the store failed): nothing was answered,
    /// the same message may be submitted again.
    Interrupted,
}

/// The end of one run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// The run.
    pub run_id: String,
    /// Its session.
    pub key: SessionKey,
    /// The transcript it belongs to; empty when the session could not be opened.
    pub session_id: String,
    /// How it ended.
    pub ending: Ending,
    /// The answer; the part there was of it when the run was cut. Empty when silent.
    pub text: String,
    /// The same answer in parts: one for each text between tool calls.
    pub parts: Vec<String>,
    /// Why there is no (more) text, one line for RPC clients.
    pub error: Option<String>,
    /// Provider that answered.
    pub provider: String,
    /// Model that answered.
    pub model: String,
    /// What all rounds cost, when the provider counts.
    pub usage: Option<Usage>,
    /// What the last one cost.
    pub last_usage: Option<Usage>,
    /// `stop`, `length`, `error`; absent when the run was cut.
    pub stop_reason: Option<&'static str>,
    /// When it began, ms.
    pub started_at: u64,
    /// When it was over, ms.
    pub ended_at: u64,
}

impl RunOutcome {
    /// An outcome of a run that never began.
    pub fn unstarted(run_id: &str, key: &SessionKey, ending: Ending, now_ms: u64) -> RunOutcome {
        RunOutcome {
            run_id: run_id.to_owned(),
            key: key.clone(),
            session_id: String::new(),
            ending,
            text: String::new(),
            parts: Vec::new(),
            error: None,
            provider: String::new(),
            model: String::new(),
            usage: None,
            last_usage: None,
            stop_reason: None,
            started_at: now_ms,
            ended_at: now_ms,
        }
    }

    /// What a person on a channel gets; none when there is nothing to deliver.
    pub fn reply(&self) -> Option<&str> {
        match self.ending {
            Ending::Answered => (!self.text.is_empty()).then_some(self.text.as_str()),
            Ending::Failed => Some(NEUTRAL_ERROR),
            Ending::TimedOut => Some(TIMED_OUT),
            Ending::Aborted | Ending::Collected | Ending::Interrupted => None,
        }
    }

    /// What an RPC client gets as the run's payloads.
    pub fn payloads(&self) -> Vec<&str> {
        match self.ending {
            Ending::Failed => self.error.as_deref().into_iter().collect(),
            Ending::Answered | Ending::Aborted => self.parts.iter().map(String::as_str).collect(),
            _ => self.reply().into_iter().collect(),
        }
    }

    /// True when the run was cut before its end.
    pub fn is_cut(&self) -> bool {
        matches!(self.ending, Ending::TimedOut | Ending::Aborted)
    }
}

/// A submitted run: its id, and its end when it comes.
#[derive(Clone, Debug)]
pub struct Run {
    pub(super) run_id: String,
    pub(super) key: SessionKey,
    pub(super) end: watch::Receiver<Option<Arc<RunOutcome>>>,
}

impl Run {
    /// The run's id.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The end, if it has come.
    pub fn ended(&self) -> Option<Arc<RunOutcome>> {
        self.end.borrow().clone()
    }

    /// Waits for the end. Dropping the future does not touch the run.
    pub async fn done(&self) -> Arc<RunOutcome> {
        let mut end = self.end.clone();
        let outcome = end
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|seen| seen.clone());
        outcome.unwrap_or_else(|| {
            // The task died without an outcome; a panic is in the log already.
            let lost = RunOutcome::unstarted(&self.run_id, &self.key, Ending::Interrupted, 0);
            Arc::new(RunOutcome {
                error: Some("the run was lost".to_owned()),
                ..lost
            })
        })
    }
}
