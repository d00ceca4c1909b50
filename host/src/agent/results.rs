//! Runs by id, while they last and for a while after: what `agent.wait` asks.
//!
//! Owned by the agent. Promises a bound: at most [`limits::RUNS_KEPT_MAX`] runs, finished ones
//! for [`limits::RUN_KEPT_MS`].

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::outcome::{Run, RunOutcome};
use crate::limits;
use crate::sessions::SessionKey;

/// The end of a run that the run's task sets.
pub type EndSender = watch::Sender<Option<Arc<RunOutcome>>>;

/// All runs that may be asked for.
#[derive(Debug, Default)]
pub struct Results {
    runs: Mutex<Runs>,
    added: Notify,
}

#[derive(Debug, Default)]
struct Runs {
    by_id: HashMap<String, Run>,
    finished: VecDeque<(u64, String)>,
}

impl Results {
    /// Adds a run and gives both of its ends. A run of the same id is replaced.
    pub fn add(&self, run_id: &str, key: &SessionKey) -> (Run, EndSender) {
        let (sender, end) = watch::channel(None);
        let run = Run {
            run_id: run_id.to_owned(),
            key: key.clone(),
            end,
        };
        self.lock().by_id.insert(run_id.to_owned(), run.clone());
        self.added.notify_waiters();
        (run, sender)
    }

    /// Notes the end of a run, and forgets the oldest ones.
    pub fn finish(&self, sender: &EndSender, outcome: RunOutcome) {
        let (run_id, now) = (outcome.run_id.clone(), outcome.ended_at);
        sender.send_replace(Some(Arc::new(outcome)));
        let mut runs = self.lock();
        runs.finished.push_back((now, run_id));
        while runs.finished.front().is_some_and(|(ended_at, _)| {
            runs.finished.len() > limits::RUNS_KEPT_MAX
                || ended_at.saturating_add(limits::RUN_KEPT_MS) < now
        }) {
            let Some((_, old)) = runs.finished.pop_front() else {
                break;
            };
            // An id that runs again is not forgotten with its first end.
            if runs
                .by_id
                .get(&old)
                .is_some_and(|run| run.ended().is_some())
            {
                runs.by_id.remove(&old);
            }
        }
    }

    /// The run of an id, if it is known.
    pub fn get(&self, run_id: &str) -> Option<Run> {
        self.lock().by_id.get(run_id).cloned()
    }

    /// Waits for the end of a run, also of one that is not known yet.
    pub async fn wait(&self, run_id: &str, timeout: Duration) -> Option<Arc<RunOutcome>> {
        let ended = async {
            loop {
                let added = self.added.notified();
                tokio::pin!(added);
                added.as_mut().enable();
                match self.get(run_id) {
                    Some(run) => break run.done().await,
                    None => added.await,
                }
            }
        };
        tokio::time::timeout(timeout, ended).await.ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
