//! Jobs as the reference keeps them in its file, as jobs of ours. Called by the import. Pure.

use gateway_schemas::cron as wire;
use serde::Deserialize;
use serde_json::Value;

use super::{create, input};
use crate::config::Config;
use crate::store::cron::{EndRow, JobRow, ScheduleRow};

/// Longest id, bytes.
const ID_BYTES_MAX: usize = 128;

/// The job, with its past and the time of its next run.
///
/// # Errors
/// What is wrong with it, or doesn't go here.
pub fn job(stored: Value, config: &Config, now_ms: u64) -> Result<JobRow, String> {
    let Value::Object(mut stored) = stored else {
        return Err("it is no object".to_owned());
    };
    let mut take = |name: &str| stored.remove(name).unwrap_or(Value::Null);
    let id = take("id").as_str().unwrap_or_default().to_owned();
    if id.is_empty() || id.len() > ID_BYTES_MAX || id.contains(['/', '\0']) {
        return Err("its id is not one".to_owned());
    }
    let (made, changed) = (take("createdAtMs").as_u64(), take("updatedAtMs").as_u64());
    let past = match take("state") {
        Value::Null => wire::CronState::default(),
        state => wire::CronState::deserialize(state).map_err(|e| format!("state: {e}"))?,
    };
    let goes = stored.get("deleteAfterRun").and_then(Value::as_bool);
    let params = input::create(Value::Object(stored));
    let params = wire::CronAddParams::deserialize(params).map_err(|e| e.to_string())?;
    let mut job = create::job(params, id, config, now_ms).map_err(|e| e.to_string())?;
    job.delete_after_run = goes;
    job.created_ms = made.unwrap_or(now_ms);
    job.updated_ms = changed.unwrap_or(job.created_ms);
    let next = past.next_run_at_ms;
    let end = past.last_run_status.or(past.last_status);
    create::change_state(&mut job.state, past);
    job.state.last_end = end.map(|end| match end {
        wire::CronRunStatus::Ok => EndRow::Ok,
        wire::CronRunStatus::Error => EndRow::Error,
        wire::CronRunStatus::Skipped => EndRow::Skipped,
    });
    create::plan(&mut job, now_ms);
    // What was missed meanwhile is caught up with as after any pause.
    if job.enabled && !matches!(job.schedule, ScheduleRow::At { .. }) {
        job.state.next_ms = next.or(job.state.next_ms);
    }
    Ok(job)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Config;
    use serde_json::json;

    fn read(stored: Value) -> Result<JobRow, String> {
        let dir = tempfile::tempdir().unwrap();
        job(stored, &Config::for_tests(dir.path()), 1_795_355_300_000)
    }

    #[test]
    fn a_stored_job_keeps_its_past() {
        let stored = json!({ "id": "298e97eb", "name": "Reminder", "enabled": true,
            "createdAtMs": 1_795_355_245_067_u64, "updatedAtMs": 1_795_355_245_068_u64,
            "schedule": { "kind": "every", "everyMs": 3_600_000, "anchorMs": 1_795_355_245_067_u64 },
            "sessionTarget": "main", "wakeMode": "next-heartbeat",
            "payload": { "kind": "systemEvent", "text": "hello from cron" },
            "state": { "nextRunAtMs": 7, "lastRunAtMs": 5, "lastStatus": "error", "lastError": "x",
                       "consecutiveErrors": 2, "lastDurationMs": 1 } });
        let job = read(stored).unwrap();
        assert_eq!(
            (job.id.as_str(), job.created_ms),
            ("298e97eb", 1_795_355_245_067)
        );
        let state = &job.state;
        assert_eq!(
            (state.next_ms, state.last_ms, state.errors),
            (Some(7), Some(5), Some(2))
        );
        assert_eq!(state.last_end, Some(EndRow::Error));
        assert_eq!(job.delete_after_run, None);
    }

    #[test]
    fn what_does_not_go_says_why() {
        for (stored, why) in [
            (json!([]), "no object"),
            (json!({ "id": "a/b" }), "id"),
            (json!({ "id": "a", "name": "x" }), "schedule"),
        ] {
            let refused = read(stored).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
