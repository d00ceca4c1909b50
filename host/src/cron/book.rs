//! The jobs in memory, and what is due when.
//!
//! Owned by the cron task. Pure: the time is an argument, nothing is written or run here; so a
//! test can let years pass. Promises that a job is due at most once at a time, and that a pause of
//! the gateway is no storm.

use std::collections::{BTreeMap, BTreeSet};

use super::create;
use crate::config::CronRetryConfig;
use crate::limits::{CRON_MISSED_AT_ONCE, CRON_MISSED_SPACING_MS, CRON_STUCK_MS};
use crate::store::cron::{EndRow, JobRow, RunRow, RunningRow, ScheduleRow};

/// Waits of a recurring job after failures in a row, ms.
const BACKOFF_MS: [u64; 5] = [30_000, 60_000, 300_000, 900_000, 3_600_000];
/// Waits of a job that runs once, when the configuration names none, ms.
const ONCE_BACKOFF_MS: [u64; 3] = [30_000, 60_000, 300_000];
/// How often such a job is tried again, when the configuration doesn't say, and at most.
const ONCE_ATTEMPTS: (u64, u64) = (3, 10);

/// All jobs.
#[derive(Debug, Default)]
pub struct Book {
    jobs: BTreeMap<String, JobRow>,
    /// Moment and id of those that wait for the clock.
    due: BTreeSet<(u64, String)>,
}

/// What becomes of a job after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It stays.
    Kept,
    /// It is gone.
    Gone,
}

impl Book {
    /// The jobs as the gateway finds them at its start, and those whose run was cut by its end.
    /// Of the others that were missed meanwhile, a few are due at once and the rest one after the
    /// other.
    pub fn open(rows: Vec<JobRow>, now_ms: u64) -> (Book, Vec<JobRow>) {
        let mut book = Book::default();
        let mut missed = Vec::new();
        for mut job in rows {
            if job.enabled && job.state.next_ms.is_none() && job.state.running.is_none() {
                create::plan(&mut job, now_ms);
            }
            let is_missed = job.state.next_ms.is_some_and(|next| next <= now_ms);
            if is_missed && job.state.running.is_none() {
                missed.push((job.state.next_ms, job.id.clone()));
            }
            book.put(job);
        }
        missed.sort();
        let late = missed.iter().skip(CRON_MISSED_AT_ONCE).zip(1..);
        for ((_, id), place) in late {
            if let Some(mut job) = book.get(id).cloned() {
                job.state.next_ms = Some(now_ms + place * CRON_MISSED_SPACING_MS);
                book.put(job);
            }
        }
        let cut = book.jobs.values().filter(|job| job.state.running.is_some());
        let cut = cut.cloned().collect();
        (book, cut)
    }

    /// How many jobs there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// One job.
    pub fn get(&self, id: &str) -> Option<&JobRow> {
        self.jobs.get(id)
    }

    /// All jobs, by id.
    pub fn jobs(&self) -> impl Iterator<Item = &JobRow> {
        self.jobs.values()
    }

    /// Takes a new or changed job.
    pub fn put(&mut self, job: JobRow) {
        self.forget_due(&job.id);
        if let Some(next) = job.state.next_ms.filter(|_| waits(&job)) {
            self.due.insert((next, job.id.clone()));
        }
        self.jobs.insert(job.id.clone(), job);
    }

    /// Takes a job out.
    pub fn remove(&mut self, id: &str) -> Option<JobRow> {
        self.forget_due(id);
        self.jobs.remove(id)
    }

    /// When the next job is due.
    pub fn next_wake(&self) -> Option<u64> {
        self.due.first().map(|(next, _)| *next)
    }

    /// The jobs whose time has come. They are not due any more until they are put again.
    pub fn take_due(&mut self, now_ms: u64) -> Vec<String> {
        let mut due = Vec::new();
        while self.due.first().is_some_and(|(next, _)| *next <= now_ms) {
            due.extend(self.due.pop_first().map(|(_, id)| id));
        }
        due
    }

    fn forget_due(&mut self, id: &str) {
        let known = self.jobs.get(id).and_then(|job| job.state.next_ms);
        if let Some(next) = known {
            self.due.remove(&(next, id.to_owned()));
        }
    }
}

fn waits(job: &JobRow) -> bool {
    job.enabled && job.state.running.is_none()
}

/// True while a run of the job goes on. One that should have ended hours ago counts as lost.
pub fn is_running(job: &JobRow, now_ms: u64) -> bool {
    let running = job.state.running.as_ref();
    running.is_some_and(|run| now_ms.saturating_sub(run.at_ms) < CRON_STUCK_MS)
}

/// A run begins.
pub fn begin(job: &mut JobRow, run_id: String, now_ms: u64) -> RunningRow {
    let running = RunningRow {
        run_id,
        at_ms: now_ms,
        resumed: false,
    };
    job.state.running = Some(running.clone());
    running
}

/// A run is over: the job's new state, its next run, and what the run's entry says of that.
pub fn end(job: &mut JobRow, run: &mut RunRow, retry: &CronRetryConfig) -> After {
    let (state, now_ms) = (&mut job.state, run.ts);
    state.running = None;
    state.last_ms = Some(run.run_at_ms);
    state.last_end = Some(run.end);
    state.last_error = run.error.clone();
    state.last_reason = run.error.as_deref().and_then(reason).map(str::to_owned);
    state.last_duration_ms = Some(run.duration_ms);
    state.last_delivered = run.delivered;
    state.last_arrival = Some(run.arrival);
    state.last_delivery_error = run.delivery_error.clone();
    let errors = match run.end {
        EndRow::Error => state.errors.unwrap_or(0) + 1,
        _ => 0,
    };
    state.errors = Some(errors);
    let transient = state.last_reason.clone();
    let after = match job.schedule {
        ScheduleRow::At { .. } => end_once(job, errors, transient.as_deref(), retry, now_ms),
        _ => {
            create::plan(job, now_ms);
            let wait = backoff(&BACKOFF_MS, errors);
            let next = job.state.next_ms.filter(|_| errors > 0);
            job.state.next_ms = next
                .map(|next| next.max(now_ms + wait))
                .or(job.state.next_ms);
            After::Kept
        }
    };
    run.next_ms = job.state.next_ms;
    after
}

/// A job that runs once is gone after a good run, or off; a failure that may pass is tried again.
fn end_once(
    job: &mut JobRow,
    errors: u64,
    reason: Option<&str>,
    retry: &CronRetryConfig,
    now_ms: u64,
) -> After {
    job.state.next_ms = None;
    if errors == 0 && job.delete_after_run == Some(true) {
        return After::Gone;
    }
    let attempts = retry
        .max_attempts
        .unwrap_or(ONCE_ATTEMPTS.0)
        .min(ONCE_ATTEMPTS.1);
    let wanted = |reason: &str| match &retry.retry_on {
        Some(list) => list.iter().any(|word| word == reason),
        None => true,
    };
    if errors > 0 && errors <= attempts && job.enabled && reason.is_some_and(wanted) {
        let waits = retry
            .backoff_ms
            .as_deref()
            .filter(|waits| !waits.is_empty());
        let wait = backoff(waits.unwrap_or(&ONCE_BACKOFF_MS), errors);
        job.state.next_ms = Some(now_ms.saturating_add(wait));
    } else {
        job.enabled = false;
    }
    After::Kept
}

fn backoff(waits: &[u64], errors: u64) -> u64 {
    let place = usize::try_from(errors.saturating_sub(1)).unwrap_or(usize::MAX);
    waits[place.min(waits.len() - 1)]
}

/// What kind of passing failure an error is; none for one that will not pass by itself.
pub fn reason(error: &str) -> Option<&'static str> {
    let error = error.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    let status = error
        .split(|c: char| !c.is_ascii_digit())
        .find_map(|digits| {
            digits
                .parse::<u16>()
                .ok()
                .filter(|s| (400..600).contains(s))
        });
    match status {
        Some(429) => return Some("rate_limit"),
        Some(503 | 529) => return Some("overloaded"),
        Some(408) => return Some("timeout"),
        Some(500..) => return Some("server_error"),
        Some(_) => return None,
        None => {}
    }
    let kinds: [(&[&str], &str); 5] = [
        (&["rate limit", "too many requests", "quota"], "rate_limit"),
        (&["overloaded", "capacity"], "overloaded"),
        (&["timed out", "timeout"], "timeout"),
        (&["internal server error", "bad gateway"], "server_error"),
        (
            &[
                "network",
                "connect",
                "socket",
                "reset",
                "unreachable",
                "not running",
                "dns",
            ],
            "network",
        ),
    ];
    kinds
        .iter()
        .find(|(words, _)| has(words))
        .map(|(_, kind)| *kind)
}
