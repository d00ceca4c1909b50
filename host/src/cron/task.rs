//! The cron task: the only one that changes jobs and begins their runs.
//!
//! One loop: what is asked, what ended, what is due. A change is on disk before it is answered or
//! shown; a run is on disk as running before it begins, and its end, the job's next run and the
//! reminder it leaves are one transaction. So after a crash a job is where it was: one that runs
//! once ran, runs again under the same id, or is still due.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use gateway_schemas::cron::{CronAction, CronEvent, CronNotRun, CronRan};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::book::{self, After, Book};
use super::{Ask, CronError, Parts, alert, announce, run, shown};
use crate::hub::Event;
use crate::limits::{CRON_FORGET_INTERVAL_MS, CRON_JOBS_MAX, CRON_REMINDERS_MAX, CRON_TIMER_MAX};
use crate::spell::millis;
use crate::store::StoreError;
use crate::store::cron::{
    self as disk, ArrivalRow, EndRow, JobRow, PayloadRow, ReminderRow, RunRow, RunningRow, WayRow,
};

/// A run, or a message about one.
type Work = Pin<Box<dyn Future<Output = Option<Ended>> + Send>>;

/// A run that is over.
struct Ended {
    job_id: String,
    run_id: String,
    run: RunRow,
    /// It took one of the places of agent turns.
    turn: bool,
}

/// A job that waits to begin.
#[derive(Clone)]
struct Wanted {
    id: String,
    why: Why,
}

/// Why a job begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Its time has come.
    Due,
    /// Somebody asked for it: it runs although it is off.
    Asked,
    /// The end of the gateway cut its run.
    Cut,
}

/// The owner of all jobs.
pub(super) struct CronTask {
    parts: Parts,
    book: Book,
    waiting: VecDeque<Wanted>,
    running: FuturesUnordered<Work>,
    turns: usize,
    /// Runs that clients asked for, to name them.
    manual: u64,
    /// When old runs were forgotten last, ms.
    forgot_ms: u64,
}

impl CronTask {
    /// Reads the jobs.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub(super) fn open(parts: Parts) -> Result<CronTask, StoreError> {
        let now_ms = parts.clock.now_ms();
        let (book, cut) = Book::open(parts.store.read(disk::jobs)?, now_ms);
        let mut task = CronTask {
            parts,
            book,
            waiting: VecDeque::new(),
            running: FuturesUnordered::new(),
            turns: 0,
            manual: 0,
            forgot_ms: 0,
        };
        for (key, reminder) in task.parts.store.read(disk::reminders)? {
            task.remind(key, &reminder);
        }
        for job in cut {
            let why = Why::Cut;
            task.waiting.push_back(Wanted { id: job.id, why });
        }
        Ok(task)
    }

    /// Runs until the gateway stops.
    pub(super) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        let stop = self.parts.stop.clone();
        let mut changes = self.parts.config.changes();
        loop {
            let pause = self.pause();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                ask = asks.recv() => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => return,
                },
                Some(ended) = self.running.next(), if !self.running.is_empty() => {
                    if let Some(ended) = ended {
                        self.finish(ended).await;
                    }
                }
                _ = changes.changed() => {}
                () = sleep(pause) => self.step().await,
            }
        }
    }

    /// How long nothing is due. The clock may be set, so it is looked at now and then.
    fn pause(&self) -> Duration {
        if !self.waiting.is_empty() && self.next_wanted().is_some() {
            return Duration::ZERO;
        }
        if !self.parts.is_enabled() {
            return CRON_TIMER_MAX;
        }
        let now_ms = self.parts.clock.now_ms();
        let next = self.book.next_wake();
        let wait = next.map(|next| Duration::from_millis(next.saturating_sub(now_ms)));
        wait.unwrap_or(CRON_TIMER_MAX).min(CRON_TIMER_MAX)
    }

    /// Takes what is due, and begins one job.
    async fn step(&mut self) {
        self.forget_old_runs();
        if self.parts.is_enabled() {
            let due = self.book.take_due(self.parts.clock.now_ms());
            let due = due.into_iter().map(|id| Wanted { id, why: Why::Due });
            self.waiting.extend(due);
        }
        if let Some(place) = self.next_wanted()
            && let Some(wanted) = self.waiting.remove(place)
        {
            self.begin(wanted).await;
        }
    }

    /// Now and then, beside everything else.
    fn forget_old_runs(&mut self) {
        let now_ms = self.parts.clock.now_ms();
        if now_ms.saturating_sub(self.forgot_ms) < CRON_FORGET_INTERVAL_MS {
            return;
        }
        self.forgot_ms = now_ms;
        let Some(kept) = self.parts.config.current().cron.retention() else {
            return;
        };
        let before_ms = now_ms.saturating_sub(millis(kept));
        let sessions = self.parts.sessions.clone();
        self.running.push(Box::pin(async move {
            match sessions.forget_runs(before_ms).await {
                Ok(0) => {}
                Ok(gone) => tracing::info!(gone, "sessions of old cron runs are forgotten"),
                Err(error) => tracing::warn!(%error, "old cron runs are not forgotten"),
            }
            None
        }));
    }

    /// The first that may begin: turns of the agent wait for a place, reminders don't.
    fn next_wanted(&self) -> Option<usize> {
        let most = self.parts.config.current().cron.max_concurrent_runs;
        let full = self.turns >= most.unwrap_or(1).max(1);
        let is_turn = |wanted: &Wanted| {
            let job = self.book.get(&wanted.id);
            job.is_some_and(|job| matches!(job.payload, PayloadRow::Turn(_)))
        };
        self.waiting
            .iter()
            .position(|wanted| !full || !is_turn(wanted))
    }

    async fn answer(&mut self, ask: Ask) {
        // Whoever asked may have left: what was decided stays.
        match ask {
            Ask::Look(look) => look(&self.book),
            Ask::Add(job, answer) => drop(answer.send(self.add(*job).await)),
            Ask::Change(id, change, answer) => {
                drop(answer.send(self.change(&id, change).await));
            }
            Ask::Remove(id, answer) => drop(answer.send(self.remove(&id).await)),
            Ask::Run { id, force, answer } => drop(answer.send(self.run_now(&id, force))),
        }
    }

    async fn add(&mut self, job: JobRow) -> Result<JobRow, CronError> {
        if self.book.len() >= CRON_JOBS_MAX {
            let text = format!("there are {CRON_JOBS_MAX} cron jobs already: remove some first");
            return Err(CronError::Invalid(text));
        }
        self.save(&job).await?;
        self.tell_next(&job, CronAction::Added);
        self.book.put(job.clone());
        Ok(job)
    }

    async fn change(&mut self, id: &str, change: super::Change) -> Result<JobRow, CronError> {
        let old = self.book.get(id).ok_or_else(|| unknown(id))?;
        let job = change(old)?;
        self.save(&job).await?;
        self.tell_next(&job, CronAction::Updated);
        self.book.put(job.clone());
        Ok(job)
    }

    async fn remove(&mut self, id: &str) -> Result<bool, CronError> {
        if self.book.get(id).is_none() {
            return Ok(false);
        }
        let gone = id.to_owned();
        self.parts
            .store
            .write(move |txn| disk::remove(txn, &gone))
            .await?;
        self.book.remove(id);
        self.waiting.retain(|wanted| wanted.id != id);
        self.tell(&shown::event(id, CronAction::Removed));
        Ok(true)
    }

    fn run_now(&mut self, id: &str, force: bool) -> Result<CronRan, CronError> {
        let job = self.book.get(id).ok_or_else(|| unknown(id))?;
        let now_ms = self.parts.clock.now_ms();
        let waits = self.waiting.iter().any(|wanted| wanted.id == id);
        let is_due = job.enabled && job.state.next_ms.is_some_and(|next| next <= now_ms);
        let not = if waits || book::is_running(job, now_ms) {
            Some(CronNotRun::AlreadyRunning)
        } else {
            (!force && !is_due).then_some(CronNotRun::NotDue)
        };
        if let Some(reason) = not {
            return Ok(CronRan {
                ok: true,
                ran: Some(false),
                reason: Some(reason),
                ..CronRan::default()
            });
        }
        self.manual += 1;
        let run_id = format!("manual:{id}:{now_ms}:{}", self.manual);
        let id = id.to_owned();
        self.waiting.push_back(Wanted {
            id,
            why: Why::Asked,
        });
        Ok(CronRan {
            ok: true,
            enqueued: Some(true),
            run_id: Some(run_id),
            ..CronRan::default()
        })
    }

    async fn begin(&mut self, wanted: Wanted) {
        let now_ms = self.parts.clock.now_ms();
        let Some(mut job) = self.book.get(&wanted.id).cloned() else {
            return;
        };
        if !job.enabled && wanted.why == Why::Due {
            return;
        }
        let resumed = job.state.running.clone().filter(|_| wanted.why == Why::Cut);
        let running = match resumed {
            Some(running) if running.resumed => return self.give_up(job, running).await,
            Some(running) => {
                let running = RunningRow {
                    resumed: true,
                    ..running
                };
                job.state.running = Some(running.clone());
                running
            }
            None if book::is_running(&job, now_ms) => return,
            None => book::begin(&mut job, self.parts.clock.uuid(), now_ms),
        };
        // Without its mark on disk it could run twice.
        if let Err(error) = self.save(&job).await {
            tracing::error!(job = job.id, %error, "a job could not begin: it is tried again");
            self.waiting.push_back(wanted);
            return sleep(Duration::from_secs(1)).await;
        }
        self.book.put(job.clone());
        self.tell(&CronEvent {
            run_at_ms: Some(running.at_ms),
            ..shown::event(&job.id, CronAction::Started)
        });
        let turn = matches!(job.payload, PayloadRow::Turn(_));
        self.turns += usize::from(turn);
        self.running
            .push(perform(self.parts.clone(), job, running, turn));
    }

    /// A run that was cut by two ends of the gateway is not begun a third time.
    async fn give_up(&mut self, job: JobRow, running: RunningRow) {
        let mut entry = run::entry(&job, running.at_ms);
        entry.ts = self.parts.clock.now_ms();
        entry.duration_ms = entry.ts.saturating_sub(running.at_ms);
        entry.end = EndRow::Error;
        entry.error = Some("the gateway ended twice while this job ran".into());
        let (job_id, run_id, turn) = (job.id, running.run_id, false);
        self.finish(Ended {
            job_id,
            run_id,
            run: entry,
            turn,
        })
        .await;
    }

    async fn finish(&mut self, ended: Ended) {
        let Ended {
            job_id,
            run_id,
            mut run,
            turn,
        } = ended;
        self.turns = self.turns.saturating_sub(usize::from(turn));
        let config = self.parts.config.current();
        let job = self.book.get(&job_id).cloned();
        let own = |job: &JobRow| {
            job.state
                .running
                .as_ref()
                .is_some_and(|r| r.run_id == run_id)
        };
        // A job that was removed, or given another run meanwhile, keeps only the entry.
        let Some(mut job) = job.filter(own) else {
            let written = self.parts.store.write(move |txn| disk::note_run(txn, &run));
            if let Err(error) = written.await {
                tracing::error!(job = job_id, %error, "a run is not in the log");
            }
            return;
        };
        let reminder = self.reminder(&job, &mut run);
        let after = book::end(&mut job, &mut run, &config.cron.retry);
        let alerts = alert::due(&config.cron, &mut job, &run);
        let (row, entry, left) = (job.clone(), run.clone(), reminder.clone());
        let write = move |txn: &redb::WriteTransaction| {
            disk::note_run(txn, &entry)?;
            match after {
                After::Kept => disk::put(txn, &row)?,
                After::Gone => drop(disk::remove(txn, &row.id)?),
            }
            left.map(|reminder| disk::remind(txn, &reminder))
                .transpose()
        };
        let written = self.parts.store.write(write).await;
        match after {
            After::Kept => self.book.put(job.clone()),
            After::Gone => drop(self.book.remove(&job_id)),
        }
        self.tell(&shown::finished(&run));
        if after == After::Gone {
            self.tell(&shown::event(&job_id, CronAction::Removed));
        }
        match (written, reminder) {
            (Ok(Some(key)), Some(reminder)) => self.remind(key, &reminder),
            (Ok(_), _) => {}
            (Err(error), _) => tracing::error!(job = job_id, %error, "the end of a run is lost"),
        }
        for alert in alerts {
            let (parts, job) = (self.parts.clone(), job.clone());
            self.running.push(Box::pin(async move {
                alert::send(&parts, &job, alert).await;
                None
            }));
        }
    }

    /// What a run in the main session leaves behind.
    fn reminder(&self, job: &JobRow, run: &mut RunRow) -> Option<ReminderRow> {
        let PayloadRow::Event { text } = &job.payload else {
            return None;
        };
        if run.end != EndRow::Ok {
            return None;
        }
        let waiting = self.parts.sessions.system_events().reminders();
        if waiting >= CRON_REMINDERS_MAX {
            run.end = EndRow::Skipped;
            run.error = Some(format!("{waiting} reminders wait for the main session"));
            return None;
        }
        Some(ReminderRow {
            job_id: job.id.clone(),
            at_ms: run.run_at_ms,
            text: text.clone(),
            wake: job.wake_now,
        })
    }

    /// Puts a stored reminder before the main session's next prompt.
    fn remind(&self, key: String, reminder: &ReminderRow) {
        let events = self.parts.sessions.system_events();
        events.remind(reminder.at_ms, reminder.text.clone(), key);
        if reminder.wake {
            let config = self.parts.config.current();
            let reason = format!("cron:{}", reminder.job_id);
            self.parts
                .heartbeats
                .wake(config.agents.default_id(), &reason);
        }
    }

    /// Not bound to the task, whose runs are nobody else's to look at.
    fn save(&self, job: &JobRow) -> impl Future<Output = Result<(), CronError>> + Send + use<> {
        let (store, job) = (self.parts.store.clone(), job.clone());
        async move { Ok(store.write(move |txn| disk::put(txn, &job)).await?) }
    }

    fn tell_next(&self, job: &JobRow, action: CronAction) {
        self.tell(&CronEvent {
            next_run_at_ms: job.state.next_ms,
            ..shown::event(&job.id, action)
        });
    }

    fn tell(&self, event: &CronEvent) {
        self.parts.hub.publish(Event::new("cron", event));
    }
}

fn unknown(id: &str) -> CronError {
    CronError::Thrown(format!("unknown cron job id: {id}"))
}

fn perform(parts: Parts, job: JobRow, running: RunningRow, turn: bool) -> Work {
    Box::pin(async move {
        let run = match &job.payload {
            PayloadRow::Turn(turn) => run::turn(&parts, &job, turn, &running).await?,
            PayloadRow::Event { text } => event(&parts, &job, text, &running).await,
        };
        Some(Ended {
            job_id: job.id,
            run_id: running.run_id,
            run,
            turn,
        })
    })
}

/// A run in the main session is over as soon as its text is left there; a web server is told
/// before.
async fn event(parts: &Parts, job: &JobRow, text: &str, running: &RunningRow) -> RunRow {
    let mut run = run::entry(job, running.at_ms);
    run.summary = Some(text.to_owned());
    let web = job
        .delivery
        .as_ref()
        .filter(|d| d.place.way == Some(WayRow::Web));
    if let Some(delivery) = web {
        let body = serde_json::to_value(shown::finished(&run)).unwrap_or_default();
        let key = format!("cron:{}", running.run_id);
        let sent = announce::send(parts, job, &delivery.place, key, text, &body).await;
        run.delivered = Some(sent.is_ok());
        run.delivery_error = sent.err().map(|missing| missing.to_string());
        run.arrival = match run.delivered {
            Some(true) => ArrivalRow::Delivered,
            _ => ArrivalRow::NotDelivered,
        };
    }
    run.ts = parts.clock.now_ms();
    run.duration_ms = run.ts.saturating_sub(run.run_at_ms);
    run
}
