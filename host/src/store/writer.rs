//! The writer thread: the only one that ever writes to the database.
//!
//! It takes the jobs that wait, runs them in one transaction, commits, and only then answers
//! them. So a burst of writers costs one fsync, and what was answered is on disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use redb::{Database, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use crate::limits::{STORE_BATCH_JOBS_MAX, STORE_QUEUE_JOBS_MAX};
use crate::shutdown::panic_text;

/// Runs in the transaction; what it returns is called after the commit, with its outcome.
type Job = Box<dyn FnOnce(&WriteTransaction) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;

pub(super) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Writer {
    pub(super) fn start(db: Arc<Database>) -> std::io::Result<Writer> {
        let (jobs, queue) = mpsc::channel(STORE_QUEUE_JOBS_MAX);
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                write_until_closed(&db, queue);
                drop(db);
                // Nobody may be waiting for the end.
                end.send(()).ok();
            })?;
        Ok(Writer {
            jobs: Mutex::new(Some(jobs)),
            ended: Mutex::new(Some(ended)),
        })
    }

    pub(super) async fn run<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let boxed: Job = Box::new(move |txn| {
            let result = catch_unwind(AssertUnwindSafe(|| job(txn))).unwrap_or_else(|panic| {
                let text = format!("a store job panicked: {}", panic_text(panic));
                Err(StoreError::Io(text.into()))
            });
            Box::new(move |committed| {
                let outcome = match (result, committed) {
                    (Ok(value), Ok(())) => Ok(value),
                    (Ok(_), Err(why)) => Err(StoreError::Io(why.into())),
                    (Err(e), _) => Err(e),
                };
                // The asker may have left; the write stays.
                answer.send(outcome).ok();
            })
        });
        let jobs = self
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let jobs = jobs.ok_or(StoreError::Closed)?;
        jobs.send(boxed).await.map_err(|_| StoreError::Closed)?;
        drop(jobs);
        answered.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn close(&self) {
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let ended = self
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(ended) = ended {
            // An error means the thread is gone already.
            ended.await.ok();
        }
    }
}

fn write_until_closed(db: &Database, mut queue: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(STORE_BATCH_JOBS_MAX);
    while let Some(first) = queue.blocking_recv() {
        batch.push(first);
        while batch.len() < STORE_BATCH_JOBS_MAX {
            match queue.try_recv() {
                Ok(job) => batch.push(job),
                Err(_) => break,
            }
        }
        commit(db, &mut batch);
    }
}

fn commit(db: &Database, batch: &mut Vec<Job>) {
    let txn = match db.begin_write() {
        Ok(txn) => txn,
        Err(e) => {
            // Dropping the jobs drops their answers; the askers see the store as closed.
            tracing::error!(error = %e, jobs = batch.len(), "no write transaction could begin");
            batch.clear();
            return;
        }
    };
    let answers: Vec<Answer> = batch.drain(..).map(|job| job(&txn)).collect();
    let committed = txn.commit().map_err(|e| {
        tracing::error!(error = %e, "a commit failed");
        e.to_string()
    });
    for answer in answers {
        answer(committed.clone());
    }
}
