//! What reaches a run while it lasts: the word that stops it, and messages put into it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use super::super::Turn;
use crate::limits::SESSION_RUNS_WAITING_MAX;

/// Stops one run and remembers why; says when it can't be stopped any more. Holds the messages
/// that are put into it at its next step.
#[derive(Debug, Default)]
pub struct AbortSwitch {
    token: CancellationToken,
    opened: CancellationToken,
    reason: OnceLock<AbortReason>,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    ending: bool,
    steered: Vec<Turn>,
}

/// Why a run was stopped, as transcripts and `chat` events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortReason {
    /// `chat.abort`, a reset, or a newer message.
    Rpc,
    /// A stop word.
    StopWord,
}

impl AbortReason {
    /// `stopReason` of the `chat` event.
    pub fn stop_reason(self) -> &'static str {
        match self {
            AbortReason::Rpc => "rpc",
            AbortReason::StopWord => "stop",
        }
    }
}

impl AbortSwitch {
    pub(super) fn abort(&self, reason: AbortReason) {
        let _first_reason_counts = self.reason.set(reason);
        self.token.cancel();
    }

    /// The run's message is on disk, or can't be.
    pub fn opens(&self) {
        self.opened.cancel();
    }

    /// Resolves then.
    pub async fn opened(&self) {
        self.opened.cancelled().await;
    }

    /// From now on the run is as good as over: clients are about to see its end. A message that
    /// comes after that starts a run of its own, and nothing stops this one.
    pub fn ends(&self) {
        self.lock().ending = true;
    }

    pub(super) fn is_ending(&self) -> bool {
        self.lock().ending
    }

    /// Puts a message into the run, unless it is as good as over or holds as many as may wait: then
    /// the message comes back.
    pub(super) fn steer(&self, turn: Turn) -> Option<Turn> {
        let mut inside = self.lock();
        let full = inside.steered.len() >= SESSION_RUNS_WAITING_MAX;
        if full || inside.ending || self.token.is_cancelled() {
            return Some(turn);
        }
        inside.steered.push(turn);
        None
    }

    /// Takes the messages that were put into the run since this was asked last.
    pub fn steered(&self) -> Vec<Turn> {
        std::mem::take(&mut self.lock().steered)
    }

    /// Resolves when the run is to stop.
    pub async fn aborted(&self) -> AbortReason {
        self.token.cancelled().await;
        self.reason.get().copied().unwrap_or(AbortReason::Rpc)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
