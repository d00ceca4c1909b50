//! Telling somebody that a job failed, or keeps failing.
//!
//! Called when a run is over. Deciding is pure; sending goes the way of answers.

use serde_json::json;

use super::{Parts, announce};
use crate::config::CronConfig;
use crate::limits::{CRON_ALERT_AFTER, CRON_ALERT_COOLDOWN_MS};
use crate::store::cron::{AlertRow, EndRow, JobRow, PlaceRow, RunRow, WayRow};

/// A message about a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Where it goes.
    pub place: PlaceRow,
    /// What it says.
    pub text: String,
    /// It goes out once under this key.
    pub key: String,
}

/// What is to be told after this run. Notes in the job when somebody was told.
pub fn due(config: &CronConfig, job: &mut JobRow, run: &RunRow) -> Vec<Alert> {
    if run.end != EndRow::Error {
        return Vec::new();
    }
    let error = run.error.as_deref().unwrap_or("the run failed");
    let (id, name, ts) = (&job.id, &job.name, run.ts);
    let mut alerts = Vec::new();
    if let Some(place) = failure_place(config, job) {
        alerts.push(Alert {
            place,
            text: format!("Cron job \"{name}\" failed: {error}"),
            key: format!("cron-failure:{id}:{ts}"),
        });
    }
    if let Some((after, cooldown_ms, place)) = rule(config, job) {
        let errors = job.state.errors.unwrap_or(0);
        let told = job.state.last_alert_ms;
        let rested = told.is_none_or(|told| ts.saturating_sub(told) >= cooldown_ms);
        if errors >= after && rested {
            alerts.push(Alert {
                place,
                text: format!("Cron job \"{name}\" failed {errors} times\nLast error: {error}"),
                key: format!("cron-alert:{id}:{ts}"),
            });
            job.state.last_alert_ms = Some(ts);
        }
    }
    alerts
}

/// Where each failure is told: the job's own place, else the configured one.
fn failure_place(config: &CronConfig, job: &JobRow) -> Option<PlaceRow> {
    let delivery = job.delivery.as_ref();
    if delivery.is_some_and(|delivery| delivery.best_effort == Some(true)) {
        return None;
    }
    let own = delivery.and_then(|delivery| delivery.on_failure.clone());
    let shared = config.failure_destination.as_ref();
    own.or_else(|| {
        shared.map(|place| PlaceRow {
            way: Some(way(place.mode.as_deref())),
            channel: place.channel.clone(),
            to: place.to.clone(),
            account_id: place.account_id.clone(),
        })
    })
}

/// After how many failures, how often, and where it is told that a job keeps failing.
fn rule(config: &CronConfig, job: &JobRow) -> Option<(u64, u64, PlaceRow)> {
    let shared = &config.failure_alert;
    let (after, cooldown_ms, mut place) = match &job.alert {
        Some(AlertRow::Off) => return None,
        None if !shared.enabled => return None,
        None => (None, None, PlaceRow::default()),
        Some(AlertRow::Rule {
            after,
            cooldown_ms,
            place,
        }) => (*after, *cooldown_ms, place.clone()),
    };
    place.way = place.way.or(Some(way(shared.mode.as_deref())));
    place.account_id = place.account_id.or(shared.account_id.clone());
    let delivery = job.delivery.as_ref().map(|delivery| &delivery.place);
    let same_way = delivery.filter(|d| d.way == place.way);
    if let Some(delivery) = same_way.filter(|_| place.to.is_none()) {
        place.channel = place.channel.or(delivery.channel.clone());
        place.to = delivery.to.clone();
    }
    Some((
        after.or(shared.after).unwrap_or(CRON_ALERT_AFTER),
        cooldown_ms
            .or(shared.cooldown_ms)
            .unwrap_or(CRON_ALERT_COOLDOWN_MS),
        place,
    ))
}

fn way(mode: Option<&str>) -> WayRow {
    match mode {
        Some("webhook") => WayRow::Web,
        _ => WayRow::Chat,
    }
}

/// Sends it; a failure of that is only logged.
pub async fn send(parts: &Parts, job: &JobRow, alert: Alert) {
    let body = json!({ "jobId": job.id, "jobName": job.name, "message": alert.text });
    let sent = announce::send(parts, job, &alert.place, alert.key, &alert.text, &body).await;
    if let Err(missing) = sent {
        tracing::warn!(job = job.id, error = %missing, "a failing job could not be told of");
    }
}
