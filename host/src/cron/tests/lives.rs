//! The book over time: thousands of jobs, pauses, failures.

use gateway_schemas::cron as wire;
use serde_json::{Value, json};

use super::super::book::{self, After, Book};
use super::super::{create, run};
use super::{at, calendar, config, made};
use crate::config::CronRetryConfig;
use crate::store::cron::{EndRow, JobRow, RunningRow};

fn job(id: &str, schedule: Value, now_ms: u64) -> JobRow {
    let params = json!({ "name": id, "schedule": schedule, "text": "x" });
    let mut job = made(params, now_ms).unwrap();
    job.id = id.into();
    create::plan(&mut job, now_ms);
    job
}

/// Runs what is due until `end_ms`; gives how often each job ran, and the most at one moment.
fn live(book: &mut Book, mut now_ms: u64, end_ms: u64) -> (Vec<(String, u64)>, usize) {
    let (mut runs, mut most) = (Vec::new(), 0);
    while let Some(next) = book.next_wake().filter(|next| *next <= end_ms) {
        now_ms = now_ms.max(next);
        let due = book.take_due(now_ms);
        most = most.max(due.len());
        for id in due {
            let mut job = book.get(&id).unwrap().clone();
            book::begin(&mut job, "run".into(), now_ms);
            let mut run = run::entry(&job, now_ms);
            match book::end(&mut job, &mut run, &CronRetryConfig::default()) {
                After::Kept => book.put(job),
                After::Gone => drop(book.remove(&id)),
            }
            runs.push((id, now_ms));
        }
    }
    (runs, most)
}

#[test]
fn thousands_of_jobs_over_a_change_of_clocks() {
    let start = at("2027-03-12T00:00:00Z");
    let end = at("2027-03-17T00:00:00Z");
    let zones = ["America/New_York", "Europe/Berlin", "UTC"];
    let model = job("j", json!({ "everyMs": 60_000 }), start);
    let rows: Vec<JobRow> = (0..5_000)
        .map(|n| {
            let expr = format!("{} {} * * *", n % 60, n / 60 % 24);
            let mut job = JobRow {
                id: format!("{}/{n}", zones[n % 3]),
                schedule: calendar(&expr, zones[n % 3]),
                ..model.clone()
            };
            create::plan(&mut job, start);
            job
        })
        .collect();
    let (mut book, cut) = Book::open(rows, start);
    assert!(cut.is_empty());
    let (runs, _) = live(&mut book, start, end);
    let mut each = std::collections::BTreeMap::<&str, u32>::new();
    for (id, _) in &runs {
        *each.entry(id).or_default() += 1;
    }
    assert_eq!(each.len(), 5_000);
    for (id, count) in each {
        // Five days, one of which has 23 hours in New York: there a sixth may begin.
        let most = if id.starts_with("America") { 6 } else { 5 };
        assert!((5..=most).contains(&count), "{id}: {count}");
    }
}

#[test]
fn a_pause_is_no_storm() {
    let made = at("2026-11-20T00:00:00Z");
    let rows: Vec<JobRow> = (0..20)
        .map(|n| job(&format!("j{n:02}"), json!({ "everyMs": 60_000 + n }), made))
        .chain([job("once", json!({ "at": "2026-11-20T01:00:00Z" }), made)])
        .collect();
    let now = at("2026-11-22T00:00:00Z");
    let (mut book, _) = Book::open(rows, now);
    assert_eq!(book.take_due(now).len(), 5);
    assert_eq!(book.take_due(now + 4_999).len(), 0);
    assert_eq!(book.take_due(now + 5_000).len(), 1);
    assert_eq!(
        book.take_due(now + 80_000).len(),
        15,
        "the others, one after the other"
    );
    assert_eq!(book.next_wake(), None);
}

#[test]
fn a_job_of_one_moment_runs_once() {
    let now = at("2026-11-22T00:00:00Z");
    let soon = json!({ "at": "2026-11-22T00:10:00Z" });
    let mut kept = job("kept", soon.clone(), now);
    kept.delete_after_run = Some(false);
    let (mut book, _) = Book::open(vec![job("gone", soon, now), kept], now);
    let (runs, _) = live(&mut book, now, now + 86_400_000);
    assert_eq!(runs.len(), 2);
    assert!(book.get("gone").is_none());
    let kept = book.get("kept").unwrap();
    assert!(!kept.enabled && kept.state.next_ms.is_none());
    let patch = wire::CronPatch {
        enabled: Some(true),
        ..wire::CronPatch::default()
    };
    let again = create::patch(kept, patch, &config(), now + 86_400_000).unwrap();
    assert_eq!(again.state.next_ms, None, "its moment is over");
}

/// How long a job waits after each failure in a row, seconds; none when it is off.
fn waits(schedule: Value, error: &str, retry: &CronRetryConfig, tries: usize) -> Vec<Option<u64>> {
    let mut now = at("2026-11-22T00:00:00Z");
    let mut job = job("j", schedule, now);
    let mut found = Vec::new();
    for _ in 0..tries {
        book::begin(&mut job, "run".into(), now);
        let mut run = run::entry(&job, now);
        run.end = EndRow::Error;
        run.error = Some(error.into());
        assert_eq!(book::end(&mut job, &mut run, retry), After::Kept);
        found.push(job.state.next_ms.map(|next| (next - now) / 1_000));
        now = job.state.next_ms.unwrap_or(now);
    }
    found
}

#[test]
fn failures_are_tried_again_with_patience() {
    let plain = CronRetryConfig::default();
    let some = |list: &[u64]| list.iter().map(|s| Some(*s)).collect::<Vec<_>>();
    let every = json!({ "everyMs": 10_000 });
    assert_eq!(
        waits(every, "no such model", &plain, 7),
        some(&[30, 60, 300, 900, 3_600, 3_600, 3_600])
    );
    let once = json!({ "at": "2026-11-22T00:00:00Z" });
    let passing = waits(once.clone(), "HTTP 503: overloaded", &plain, 5);
    assert_eq!(passing, [Some(30), Some(60), Some(300), None, None]);
    assert_eq!(waits(once.clone(), "HTTP 401: bad key", &plain, 1), [None]);
    let own = CronRetryConfig {
        max_attempts: Some(1),
        backoff_ms: Some(vec![5_000]),
        retry_on: Some(vec!["timeout".into()]),
        ..CronRetryConfig::default()
    };
    assert_eq!(
        waits(once.clone(), "the run timed out", &own, 2),
        [Some(5), None]
    );
    assert_eq!(waits(once, "HTTP 429", &own, 1), [None]);
}

#[test]
fn kinds_of_failures() {
    for (error, kind) in [
        ("HTTP 429: slow down", Some("rate_limit")),
        ("HTTP 529", Some("overloaded")),
        ("HTTP 500: oops", Some("server_error")),
        ("HTTP 400: no such thing", None),
        ("the run timed out", Some("timeout")),
        ("could not connect to the model", Some("network")),
        ("the run was aborted", None),
    ] {
        assert_eq!(book::reason(error), kind, "{error}");
    }
}

#[test]
fn a_run_that_was_cut_is_told_and_a_lost_one_is_not_for_ever() {
    let now = at("2026-11-22T00:00:00Z");
    let mut cut = job("cut", json!({ "everyMs": 60_000 }), now);
    cut.state.running = Some(RunningRow {
        run_id: "r".into(),
        at_ms: now,
        resumed: false,
    });
    assert!(book::is_running(&cut, now + 7_199_999));
    assert!(!book::is_running(&cut, now + 7_200_000));
    let (mut book, found) = Book::open(vec![cut], now + 600_000);
    assert_eq!(found.len(), 1);
    assert!(
        book.take_due(now + 700_000).is_empty(),
        "it is begun again, not beside itself"
    );
}
