//! Cron jobs, their run log, and reminders that wait for the main session's next prompt.
//!
//! Called by `crate::cron` (jobs and runs) and `crate::sessions` (reminders). The log has one
//! number for all jobs, so that both the log of one job and that of all are in order; both are
//! bounded, the oldest entry goes first. Promises that the end of a run, the job's new state and
//! the reminder it leaves are one transaction.

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::journal::next_id;
use super::tables::{CRON_JOBS, CRON_LOG, CRON_ORDER, CRON_REMINDERS};
use super::{StoreError, decode, delete, put_json};
use crate::limits::{CRON_RUNS_EACH_MAX, CRON_RUNS_MAX};

const NEXT_RUN: &str = "cron.run.next";
const NEXT_REMINDER: &str = "cron.reminder.next";

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRow {
    /// A uuid.
    pub id: String,
    /// Name to show.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whose; the default agent's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Session whose last route answers take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// It runs by the clock.
    pub enabled: bool,
    /// It is gone after its first good run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    /// When it was made, ms.
    pub created_ms: u64,
    /// When it was changed last, ms.
    pub updated_ms: u64,
    /// When it runs.
    pub schedule: ScheduleRow,
    /// It runs in the main session, not in one of its own.
    pub main: bool,
    /// The main session hears of it at once, not at the next look-around.
    pub wake_now: bool,
    /// What it does.
    pub payload: PayloadRow,
    /// Where its answer goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryRow>,
    /// When somebody is told that it keeps failing; absent: as the configuration says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<AlertRow>,
    /// What became of it so far.
    #[serde(default)]
    pub state: StateRow,
}

/// When a job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum ScheduleRow {
    /// Once.
    At {
        /// As it is shown.
        text: String,
        /// The moment, ms.
        ms: u64,
    },
    /// Again and again.
    Every {
        /// The interval, ms.
        every_ms: u64,
        /// A moment of the row, ms.
        anchor_ms: u64,
    },
    /// By the calendar.
    Calendar {
        /// Five or six fields.
        expr: String,
        /// IANA name; the host's zone when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tz: Option<String>,
        /// Jobs are spread over so much time after the moment, ms.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stagger_ms: Option<u64>,
    },
}

/// What a job does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum PayloadRow {
    /// Tells the main session something.
    Event {
        /// What.
        text: String,
    },
    /// Asks the agent something.
    Turn(TurnRow),
}

/// What the agent is asked, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TurnRow {
    /// The words.
    pub message: String,
    /// Model instead of the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Models to try after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<Vec<String>>,
    /// Thinking level.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Longest run, seconds; 0 for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Kept for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_unsafe_external_content: Option<bool>,
    /// Kept for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub light_context: Option<bool>,
}

/// How something leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WayRow {
    /// Not at all.
    #[default]
    None,
    /// To a chat.
    Chat,
    /// To a web server.
    Web,
}

/// Where something goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PlaceRow {
    /// How; absent: as the caller's default says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<WayRow>,
    /// `last` or a channel id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The provider's target, or the URL of the web server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Account of the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// Where an answer goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DeliveryRow {
    /// The place.
    #[serde(flatten)]
    pub place: PlaceRow,
    /// An answer that does not arrive is no failure of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_effort: Option<bool>,
    /// Where failures are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<PlaceRow>,
}

/// When somebody is told that a job keeps failing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum AlertRow {
    /// Never.
    Off,
    /// By a rule; what it leaves out is as the configuration says.
    Rule {
        /// After so many failures in a row.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
        /// Not again before, ms.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cooldown_ms: Option<u64>,
        /// Where.
        place: PlaceRow,
    },
}

/// What became of a job so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StateRow {
    /// When it runs next, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// The run that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningRow>,
    /// When it ran last, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<u64>,
    /// How that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_end: Option<EndRow>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What kind of failure that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reason: Option<String>,
    /// How long it took, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_duration_ms: Option<u64>,
    /// Failures in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<u64>,
    /// Its answer arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivered: Option<bool>,
    /// What became of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_arrival: Option<ArrivalRow>,
    /// Why it did not arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivery_error: Option<String>,
    /// When somebody was told of its failures, ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_alert_ms: Option<u64>,
}

/// A run that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningRow {
    /// Id of the agent's run and of its transcript.
    pub run_id: String,
    /// When it began, ms.
    pub at_ms: u64,
    /// It was begun again after a restart.
    #[serde(default)]
    pub resumed: bool,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EndRow {
    /// Well.
    Ok,
    /// Badly.
    Error,
    /// It did not begin.
    Skipped,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ArrivalRow {
    /// It arrived.
    Delivered,
    /// It did not.
    NotDelivered,
    /// Nobody knows.
    Unknown,
    /// Nobody wanted it.
    NotRequested,
}

/// A finished run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRow {
    /// The job.
    pub job_id: String,
    /// When it was over, ms.
    pub ts: u64,
    /// How.
    pub end: EndRow,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The answer arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<bool>,
    /// What became of the answer.
    pub arrival: ArrivalRow,
    /// Why it did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_error: Option<String>,
    /// Transcript of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Session of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// When it began, ms.
    pub run_at_ms: u64,
    /// How long it took, ms.
    pub duration_ms: u64,
    /// When the job runs next, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_ms: Option<u64>,
    /// Model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Tokens of prompt and answer, of all, read from and written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<[u64; 5]>,
}

/// A text that waits for the main session's next prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReminderRow {
    /// The job that left it.
    pub job_id: String,
    /// When, ms.
    pub at_ms: u64,
    /// The text.
    pub text: String,
    /// The agent is woken for it.
    pub wake: bool,
}

/// Every job. One that can't be read is named in the log and left alone.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub fn jobs(txn: &ReadTransaction) -> Result<Vec<JobRow>, StoreError> {
    let mut found = Vec::new();
    for row in txn.open_table(CRON_JOBS)?.iter()? {
        let (key, value) = row?;
        match decode("cron_jobs", key.value(), value.value()) {
            Ok(job) => found.push(job),
            Err(error) => tracing::error!(%error, "cron job left out"),
        }
    }
    Ok(found)
}

/// Writes a job.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub fn put(txn: &WriteTransaction, job: &JobRow) -> Result<(), StoreError> {
    put_json(txn, CRON_JOBS, &job.id, job)
}

/// Forgets a job; its log stays.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub fn remove(txn: &WriteTransaction, id: &str) -> Result<bool, StoreError> {
    delete(txn, CRON_JOBS, id)
}

/// Notes a finished run, and forgets the oldest ones.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub fn note_run(txn: &WriteTransaction, run: &RunRow) -> Result<(), StoreError> {
    let number = format!("{:020}", next_id(txn, NEXT_RUN)?);
    let key = |number: &str| format!("{}/{number}", run.job_id);
    put_json(txn, CRON_LOG, &key(&number), run)?;
    let mut order = txn.open_table(CRON_ORDER)?;
    order.insert(number.as_str(), run.job_id.as_bytes())?;
    let mut log = txn.open_table(CRON_LOG)?;
    let (from, to) = (key(""), format!("{}0", run.job_id));
    let own: Vec<String> = log
        .range(from.as_str()..to.as_str())?
        .map(|row| row.map(|(key, _)| key.value().to_owned()))
        .collect::<Result<_, _>>()?;
    for old in own
        .iter()
        .take(own.len().saturating_sub(CRON_RUNS_EACH_MAX))
    {
        log.remove(old.as_str())?;
        let number = old.rsplit('/').next().unwrap_or_default();
        order.remove(number)?;
    }
    while order.len()? > CRON_RUNS_MAX as u64 {
        let Some((number, job)) = order.pop_first()? else {
            break;
        };
        let job = String::from_utf8_lossy(job.value()).into_owned();
        log.remove(format!("{job}/{}", number.value()).as_str())?;
    }
    Ok(())
}

/// The log of one job or of all, oldest first.
///
/// # Errors
/// [`StoreError`] when the database fails or an entry is damaged.
pub fn runs(txn: &ReadTransaction, job: Option<&str>) -> Result<Vec<RunRow>, StoreError> {
    let log = txn.open_table(CRON_LOG)?;
    let mut found = Vec::new();
    if let Some(job) = job {
        let (from, to) = (format!("{job}/"), format!("{job}0"));
        for row in log.range(from.as_str()..to.as_str())? {
            let (key, value) = row?;
            found.push(decode("cron_log", key.value(), value.value())?);
        }
        return Ok(found);
    }
    for row in txn.open_table(CRON_ORDER)?.iter()? {
        let (number, job) = row?;
        let key = format!(
            "{}/{}",
            String::from_utf8_lossy(job.value()),
            number.value()
        );
        if let Some(value) = log.get(key.as_str())? {
            found.push(decode("cron_log", &key, value.value())?);
        }
    }
    Ok(found)
}

/// Leaves a reminder; gives its key.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub fn remind(txn: &WriteTransaction, reminder: &ReminderRow) -> Result<String, StoreError> {
    let key = format!("{:020}", next_id(txn, NEXT_REMINDER)?);
    put_json(txn, CRON_REMINDERS, &key, reminder)?;
    Ok(key)
}

/// The reminders that wait, with their keys, oldest first.
///
/// # Errors
/// [`StoreError`] when the database fails or one is damaged.
pub fn reminders(txn: &ReadTransaction) -> Result<Vec<(String, ReminderRow)>, StoreError> {
    let mut found = Vec::new();
    for row in txn.open_table(CRON_REMINDERS)?.iter()? {
        let (key, value) = row?;
        let reminder = decode("cron_reminders", key.value(), value.value())?;
        found.push((key.value().to_owned(), reminder));
    }
    Ok(found)
}

/// Forgets reminders that were told.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub fn told(txn: &WriteTransaction, keys: &[String]) -> Result<(), StoreError> {
    for key in keys {
        delete(txn, CRON_REMINDERS, key)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Store;

    fn run(job: &str, ts: u64) -> RunRow {
        RunRow {
            job_id: job.into(),
            ts,
            end: EndRow::Ok,
            error: None,
            summary: None,
            delivered: None,
            arrival: ArrivalRow::NotRequested,
            delivery_error: None,
            session_id: None,
            session_key: None,
            run_at_ms: ts,
            duration_ms: 0,
            next_ms: None,
            model: None,
            provider: None,
            tokens: None,
        }
    }

    #[tokio::test]
    async fn the_log_is_bounded_for_each_job_and_in_all() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
        let most = CRON_RUNS_EACH_MAX as u64;
        store
            .write(move |txn| {
                note_run(txn, &run("b", 0))?;
                // As if thousands had been noted: each alone would take the test a minute.
                for ts in 0..most {
                    let number = format!("{:020}", next_id(txn, NEXT_RUN)?);
                    put_json(txn, CRON_LOG, &format!("a/{number}"), &run("a", ts))?;
                    let mut order = txn.open_table(CRON_ORDER)?;
                    order.insert(number.as_str(), "a".as_bytes())?;
                }
                note_run(txn, &run("a", most))?;
                note_run(txn, &run("a", most + 1))
            })
            .await
            .unwrap();
        let own = store.read(|txn| runs(txn, Some("a"))).unwrap();
        assert_eq!(own.len(), CRON_RUNS_EACH_MAX);
        assert_eq!((own[0].ts, own[own.len() - 1].ts), (2, most + 1));
        let all = store.read(|txn| runs(txn, None)).unwrap();
        assert_eq!(all.len(), CRON_RUNS_EACH_MAX + 1);
        assert_eq!(all[0].job_id, "b");
    }

    #[tokio::test]
    async fn reminders_wait_until_they_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
        let reminder = ReminderRow {
            job_id: "j".into(),
            at_ms: 1,
            text: "water".into(),
            wake: true,
        };
        let left = reminder.clone();
        let key = store.write(move |txn| remind(txn, &left)).await.unwrap();
        let waiting = store.read(reminders).unwrap();
        assert_eq!(waiting, [(key.clone(), reminder)]);
        store.write(move |txn| told(txn, &[key])).await.unwrap();
        assert!(store.read(reminders).unwrap().is_empty());
    }
}
