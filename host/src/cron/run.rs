//! One turn of the agent for a job, in a session of its own, and the way of its answer.
//!
//! Called by the cron task. A run has an id that is on disk before it begins: begun again after a
//! restart it finds its own message and answer, and its text leaves once.

use std::sync::Arc;
use std::time::Duration;

use super::announce::{self, Missing};
use super::{Parts, shown};
use crate::agent::{Ending, Origin, RunOutcome, SubmitError, Turn};
use crate::clock::stamp;
use crate::config::Config;
use crate::limits::{CRON_SUMMARY_CHARS_MAX, CRON_TURN_TIMEOUT};
use crate::sessions::SessionKey;
use crate::store::StoreError;
use crate::store::cron::{ArrivalRow, EndRow, JobRow, RunRow, RunningRow, TurnRow, WayRow};

/// The entry of a run that has just begun.
pub fn entry(job: &JobRow, run_at_ms: u64) -> RunRow {
    RunRow {
        job_id: job.id.clone(),
        ts: run_at_ms,
        end: EndRow::Ok,
        error: None,
        summary: None,
        delivered: None,
        arrival: ArrivalRow::NotRequested,
        delivery_error: None,
        session_id: None,
        session_key: None,
        run_at_ms,
        duration_ms: 0,
        next_ms: None,
        model: None,
        provider: None,
        tokens: None,
    }
}

/// Runs a turn to its end. None when the gateway stops: the run is begun again after its start.
pub async fn turn(
    parts: &Parts,
    job: &JobRow,
    turn: &TurnRow,
    running: &RunningRow,
) -> Option<RunRow> {
    let mut run = entry(job, running.at_ms);
    let config = parts.config.current();
    let agent = job
        .agent_id
        .as_deref()
        .unwrap_or(config.agents.default_id());
    let named = format!("agent:{agent}:cron:{}", job.id);
    let done = match SessionKey::resolve(&named, &config) {
        Ok(key) => ask(parts, &config, job, turn, running, &key).await,
        Err(error) => Some(Err(error.to_string())),
    };
    match done? {
        Ok(outcome) => {
            note(&mut run, &outcome);
            keep_session(parts, &outcome, &mut run).await;
            deliver(parts, job, &outcome, &mut run).await;
        }
        Err(why) => fail(&mut run, &why),
    }
    run.ts = parts.clock.now_ms();
    run.duration_ms = run.ts.saturating_sub(run.run_at_ms);
    Some(run)
}

async fn ask(
    parts: &Parts,
    config: &Config,
    job: &JobRow,
    turn: &TurnRow,
    running: &RunningRow,
    key: &SessionKey,
) -> Option<Result<Arc<RunOutcome>, String>> {
    if let Err(error) = open_session(parts, job, turn, running, key).await {
        return match error {
            StoreError::Closed => None,
            error => Some(Err(error.to_string())),
        };
    }
    let timeout = match turn.timeout_seconds {
        Some(seconds) => Duration::from_secs(seconds),
        None => CRON_TURN_TIMEOUT,
    };
    let origin = Origin::Cron {
        prompt: prompt(config, job, turn, running.at_ms),
    };
    let submitted = parts.agent.submit(Turn {
        timeout: Some(timeout),
        model: turn.model.clone(),
        ..Turn::new(&running.run_id, key.clone(), &turn.message, origin)
    });
    let outcome = match submitted {
        Ok(run) => run.done().await,
        Err(SubmitError::Stopping) => return None,
        Err(error) => return Some(Err(error.to_string())),
    };
    match outcome.ending {
        Ending::Interrupted if parts.stop.is_cancelled() => None,
        _ => Some(Ok(outcome)),
    }
}

/// A fresh transcript under the run's id; the one it has already when it is begun again.
async fn open_session(
    parts: &Parts,
    job: &JobRow,
    turn: &TurnRow,
    running: &RunningRow,
    key: &SessionKey,
) -> Result<(), StoreError> {
    let (id, thinking) = (running.run_id.clone(), turn.thinking.clone());
    let label = format!("Cron: {}", job.name);
    let change = parts.sessions.change(key, move |row| {
        if row.session_id != id {
            row.session_id = id;
            row.system_sent = false;
            row.aborted_last_run = false;
            row.tokens = None;
        }
        row.chat.label = Some(label);
        match thinking {
            Some(level) => row.settings.words.insert("thinkingLevel".into(), level),
            None => row.settings.words.remove("thinkingLevel"),
        };
    });
    change.await.map(|_| ())
}

/// What the model reads: which job it is, the words, and what time it is.
fn prompt(config: &Config, job: &JobRow, turn: &TurnRow, now_ms: u64) -> String {
    let now = stamp(now_ms, config.agents.defaults.user_timezone.as_deref());
    format!(
        "[cron:{} {}] {}\nCurrent time: {now}",
        job.id, job.name, turn.message
    )
}

fn note(run: &mut RunRow, outcome: &RunOutcome) {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    run.model = known(&outcome.model);
    run.provider = known(&outcome.provider);
    run.session_id = known(&outcome.session_id);
    run.tokens = outcome
        .usage
        .map(|u| [u.input, u.output, u.total, u.cache_read, u.cache_write]);
    run.summary =
        known(&outcome.text).map(|text| text.chars().take(CRON_SUMMARY_CHARS_MAX).collect());
    run.delivered = Some(false);
    run.arrival = ArrivalRow::NotDelivered;
    match outcome.ending {
        Ending::Answered => {}
        Ending::TimedOut => fail(run, "the run timed out"),
        Ending::Aborted => fail(run, "the run was aborted"),
        _ => fail(run, outcome.error.as_deref().unwrap_or("the run failed")),
    }
}

fn fail(run: &mut RunRow, why: &str) {
    run.end = EndRow::Error;
    run.error = Some(why.to_owned());
}

/// The run's session can be looked at under a key of its own after the job has run again.
async fn keep_session(parts: &Parts, outcome: &RunOutcome, run: &mut RunRow) {
    if outcome.session_id.is_empty() {
        return;
    }
    let config = parts.config.current();
    let named = format!("{}:run:{}", outcome.key, outcome.session_id);
    let Ok(key) = SessionKey::resolve(&named, &config) else {
        return;
    };
    let row = match parts.sessions.get(&outcome.key) {
        Ok(Some(row)) => row,
        _ => return,
    };
    run.session_key = Some(key.to_string());
    if let Err(error) = parts.sessions.change(&key, move |own| *own = row).await {
        tracing::error!(%key, %error, "the run's session is not kept");
    }
}

/// Brings the answer where it belongs. What doesn't arrive makes the run a failure, unless the
/// job does not care or nobody ever said where to.
async fn deliver(parts: &Parts, job: &JobRow, outcome: &RunOutcome, run: &mut RunRow) {
    let Some(delivery) = &job.delivery else {
        return;
    };
    let way = delivery.place.way.unwrap_or_default();
    let text = match way {
        WayRow::None => return,
        WayRow::Chat if run.end != EndRow::Ok || outcome.text.is_empty() => return,
        WayRow::Chat | WayRow::Web => outcome.text.as_str(),
    };
    let body = serde_json::to_value(shown::finished(run)).unwrap_or_default();
    let key = format!("cron:{}", outcome.run_id);
    match announce::send(parts, job, &delivery.place, key, text, &body).await {
        Ok(()) => {
            run.delivered = Some(true);
            run.arrival = ArrivalRow::Delivered;
        }
        Err(missing) => {
            if let Missing::Unknown(_) = missing {
                run.arrival = ArrivalRow::Unknown;
            }
            run.delivery_error = Some(missing.to_string());
            let forgiven = delivery.best_effort == Some(true) || missing == Missing::NoRoute;
            if run.end == EndRow::Ok && !forgiven {
                fail(run, &missing.to_string());
            }
        }
    }
}
