//! Jobs that run by the clock.
//!
//! [`Cron`] is the handle that the methods use; the cron task (`task.rs`) owns the jobs. `input.rs`
//! puts lenient input in order, `create.rs` makes and changes jobs, `schedule.rs` says when,
//! `book.rs` keeps what is due, `run.rs` runs a turn of the agent, `announce.rs` and `webhook.rs`
//! bring its answer away, `alert.rs` tells of failures, `list.rs` and `shown.rs` show all of it.
//! Promises: what was answered survives a crash, a job that runs once runs once, and a pause of
//! the gateway is no storm.

mod alert;
mod announce;
mod book;
mod create;
pub mod input;
mod list;
mod run;
mod schedule;
mod shown;
pub mod stored;
mod task;
mod webhook;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use gateway_schemas::cron as wire;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::channels::Channels;
use crate::clock::Clock;
use crate::config::{ConfigHandle, env};
use crate::hub::Hub;
use crate::limits::CRON_QUEUE_MAX;
use crate::sessions::Sessions;
use crate::shutdown::Tasks;
use crate::store::cron::{self as disk, JobRow};
use crate::store::{Store, StoreError};
use crate::timers::heartbeat::Heartbeats;
use book::Book;
use task::CronTask;

/// What the cron task needs.
#[derive(Clone)]
pub struct Parts {
    /// The configuration in force.
    pub config: ConfigHandle,
    /// Time and ids.
    pub clock: Clock,
    /// The database.
    pub store: Store,
    /// Takes the events.
    pub hub: Hub,
    /// Who runs.
    pub agent: Agent,
    /// What the agent remembers.
    pub sessions: Sessions,
    /// Where answers go.
    pub channels: Channels,
    /// What is woken for the main session.
    pub heartbeats: Heartbeats,
    /// Cancelled when the gateway stops.
    pub stop: CancellationToken,
}

impl Parts {
    fn is_enabled(&self) -> bool {
        let skipped = env::var(env::SKIP_CRON).is_some_and(|text| text == "1");
        !skipped && self.config.current().cron.enabled != Some(false)
    }
}

/// Why something is not done.
#[derive(Debug)]
pub enum CronError {
    /// The caller did something wrong.
    Invalid(String),
    /// It doesn't go; clients know the words with `Error: ` before them.
    Thrown(String),
    /// The disk failed.
    Store(StoreError),
    /// The gateway stops.
    Stopping,
}

impl std::fmt::Display for CronError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(text) | Self::Thrown(text) => f.write_str(text),
            Self::Store(_) => f.write_str("the cron store failed"),
            Self::Stopping => f.write_str("the gateway is stopping"),
        }
    }
}

impl std::error::Error for CronError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for CronError {
    fn from(error: StoreError) -> Self {
        CronError::Store(error)
    }
}

type Answer<T> = oneshot::Sender<Result<T, CronError>>;
/// What becomes of a job, decided by its owner.
type Change = Box<dyn FnOnce(&JobRow) -> Result<JobRow, CronError> + Send>;

/// A request to the cron task.
enum Ask {
    Look(Box<dyn FnOnce(&Book) + Send>),
    Add(Box<JobRow>, Answer<JobRow>),
    Change(String, Change, Answer<JobRow>),
    Remove(String, Answer<bool>),
    Run {
        id: String,
        force: bool,
        answer: Answer<wire::CronRan>,
    },
}

/// Access to the jobs. Cheap to clone.
#[derive(Clone)]
pub struct Cron {
    parts: Parts,
    asks: mpsc::Sender<Ask>,
    unstarted: Arc<Mutex<Option<mpsc::Receiver<Ask>>>>,
}

impl std::fmt::Debug for Cron {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cron")
    }
}

impl Cron {
    /// A handle whose task does not run yet.
    pub fn new(parts: Parts) -> Cron {
        let (asks, queue) = mpsc::channel(CRON_QUEUE_MAX);
        Cron {
            parts,
            asks,
            unstarted: Arc::new(Mutex::new(Some(queue))),
        }
    }

    /// Reads the jobs and lets them run, until `tasks` stop.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn start(&self, tasks: &Tasks) -> Result<(), StoreError> {
        let queue = self
            .unstarted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(queue) = queue {
            let task = CronTask::open(self.parts.clone())?;
            tasks.spawn("cron", task.run(queue));
        }
        Ok(())
    }

    /// A page of jobs.
    ///
    /// # Errors
    /// [`CronError::Stopping`].
    pub async fn list(&self, params: wire::CronListParams) -> Result<wire::CronList, CronError> {
        self.look(move |book| list::jobs(book, &params)).await
    }

    /// One job, if there is one of this id.
    ///
    /// # Errors
    /// [`CronError::Stopping`].
    pub async fn get(&self, id: &str) -> Result<Option<wire::CronJob>, CronError> {
        let id = id.to_owned();
        self.look(move |book| book.get(&id).map(shown::job)).await
    }

    /// Every job, in no order.
    ///
    /// # Errors
    /// [`CronError::Stopping`].
    pub async fn all(&self) -> Result<Vec<wire::CronJob>, CronError> {
        self.look(|book| book.jobs().map(shown::job).collect())
            .await
    }

    /// How many jobs there are, and when the next is due.
    ///
    /// # Errors
    /// [`CronError::Stopping`].
    pub async fn status(&self) -> Result<wire::CronStatus, CronError> {
        let enabled = self.parts.is_enabled();
        let folder = self.parts.config.current().paths.state_dir.join("cron");
        self.look(move |book| wire::CronStatus {
            enabled,
            store_path: folder.join("jobs.json").display().to_string(),
            jobs: book.len() as u64,
            next_wake_at_ms: book.next_wake().filter(|_| enabled),
        })
        .await
    }

    /// Makes a job.
    ///
    /// # Errors
    /// [`CronError`] that says what is wrong with it.
    pub async fn add(&self, params: wire::CronAddParams) -> Result<wire::CronJob, CronError> {
        let (clock, config) = (self.parts.clock, self.parts.config.current());
        let job = create::job(params, clock.uuid(), &config, clock.now_ms())?;
        let added = self.ask(|answer| Ask::Add(Box::new(job), answer)).await?;
        Ok(shown::job(&added))
    }

    /// Changes a job.
    ///
    /// # Errors
    /// [`CronError`] that says what is wrong with the change; the job stays as it was then.
    pub async fn update(
        &self,
        id: &str,
        patch: wire::CronPatch,
    ) -> Result<wire::CronJob, CronError> {
        let (clock, config) = (self.parts.clock, self.parts.config.current());
        let change: Change =
            Box::new(move |job| create::patch(job, patch, &config, clock.now_ms()));
        let changed = self.ask(|answer| Ask::Change(id.to_owned(), change, answer));
        Ok(shown::job(&changed.await?))
    }

    /// Forgets a job; false when there was none.
    ///
    /// # Errors
    /// [`CronError`] when the disk fails.
    pub async fn remove(&self, id: &str) -> Result<bool, CronError> {
        self.ask(|answer| Ask::Remove(id.to_owned(), answer)).await
    }

    /// Lets a job run now; without `force` only if its time has come.
    ///
    /// # Errors
    /// [`CronError::Thrown`] for an unknown job.
    pub async fn run(&self, id: &str, force: bool) -> Result<wire::CronRan, CronError> {
        let id = id.to_owned();
        self.ask(|answer| Ask::Run { id, force, answer }).await
    }

    /// A page of the run log.
    ///
    /// # Errors
    /// [`CronError`] when the log can't be read or no job is named.
    pub async fn runs(&self, params: wire::CronRunsParams) -> Result<wire::CronRuns, CronError> {
        let job = params.id.as_deref().or(params.job_id.as_deref());
        let all = match params.scope {
            Some(scope) => scope == wire::CronRunsScope::All,
            None => job.is_none(),
        };
        if !all && job.is_none() {
            return Err(CronError::Invalid(
                "invalid cron.runs params: missing id".to_owned(),
            ));
        }
        let job = job.filter(|_| !all);
        let rows = self.parts.store.read(|txn| disk::runs(txn, job))?;
        let names = match all {
            true => self.look(list::names).await?,
            false => list::Names::default(),
        };
        Ok(list::runs(rows, &params, &names))
    }

    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Book) -> T + Send + 'static,
    ) -> Result<T, CronError> {
        let (answer, answered) = oneshot::channel();
        let look = Ask::Look(Box::new(move |book| {
            // Whoever asked may have left.
            answer.send(look(book)).ok();
        }));
        self.asks
            .send(look)
            .await
            .map_err(|_| CronError::Stopping)?;
        answered.await.map_err(|_| CronError::Stopping)
    }

    async fn ask<T>(&self, ask: impl FnOnce(Answer<T>) -> Ask) -> Result<T, CronError> {
        let (answer, answered) = oneshot::channel();
        let sent = self.asks.send(ask(answer)).await;
        sent.map_err(|_| CronError::Stopping)?;
        answered.await.map_err(|_| CronError::Stopping)?
    }
}
