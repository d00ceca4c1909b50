//! Schedules, the book and lenient input with the clock in the test's hands.

#![allow(clippy::unwrap_used)]

mod fuzz;
mod lives;

use gateway_schemas::{cron as wire, validate};
use serde_json::{Value, json};

use super::{create, input, schedule, shown};
use crate::config::Config;
use crate::store::cron::{JobRow, ScheduleRow};

fn at(text: &str) -> u64 {
    schedule::moment(text).unwrap()
}

fn config() -> Config {
    Config::for_tests(std::path::Path::new("/nowhere"))
}

/// What a client sends, put in order, checked and made a job.
fn made(params: Value, now_ms: u64) -> Result<JobRow, String> {
    let params = input::create(params).to_string();
    validate::against("cron.json#/$defs/CronAddParams", &params)?;
    let params: wire::CronAddParams = serde_json::from_str(&params).unwrap();
    let id = format!("job-{now_ms}");
    create::job(params, id, &config(), now_ms).map_err(|e| e.to_string())
}

fn calendar(expr: &str, tz: &str) -> ScheduleRow {
    ScheduleRow::Calendar {
        expr: expr.into(),
        tz: Some(tz.into()),
        stagger_ms: None,
    }
}

/// The next moments after `from`, as they are told.
fn moments(schedule: &ScheduleRow, from: &str, count: usize) -> Vec<String> {
    let mut now = at(from);
    let mut found = Vec::new();
    for _ in 0..count {
        now = schedule::next(schedule, "job", now).unwrap();
        found.push(crate::spell::moment(now));
    }
    found
}

#[test]
fn five_and_six_fields_in_a_zone() {
    let daily = calendar("0 9 * * *", "America/New_York");
    assert_eq!(
        moments(&daily, "2026-11-22T13:59:59Z", 2),
        ["2026-11-22T14:00:00.000Z", "2026-11-23T14:00:00.000Z"]
    );
    let seconds = calendar("*/20 * * * * *", "UTC");
    assert_eq!(
        moments(&seconds, "2026-11-22T13:59:59Z", 2),
        ["2026-11-22T14:00:00.000Z", "2026-11-22T14:00:20.000Z"]
    );
    // Sunday is 0 and 7; either day fits when both are named.
    let sundays = calendar("0 0 1 * 7", "UTC");
    assert_eq!(
        moments(&sundays, "2026-11-22T00:00:00Z", 2),
        ["2026-11-29T00:00:00.000Z", "2026-12-01T00:00:00.000Z"]
    );
    let last = calendar("0 12 L * *", "UTC");
    assert_eq!(
        moments(&last, "2027-02-01T00:00:00Z", 1),
        ["2027-02-28T12:00:00.000Z"]
    );
}

/// New York springs forward on 2027-03-14 at 2:00 and falls back on 2026-11-01 at 2:00.
#[test]
fn clocks_that_jump() {
    let skipped = calendar("30 2 * * *", "America/New_York");
    assert_eq!(
        moments(&skipped, "2027-03-13T00:00:00Z", 3),
        [
            "2027-03-13T07:30:00.000Z",
            "2027-03-14T07:00:00.000Z",
            "2027-03-15T06:30:00.000Z"
        ],
        "once on the day without half past two, as soon as the clock has moved on"
    );
    let repeated = calendar("30 1 * * *", "America/New_York");
    assert_eq!(
        moments(&repeated, "2026-10-31T06:00:00Z", 2),
        ["2026-11-01T05:30:00.000Z", "2026-11-02T06:30:00.000Z"],
        "once on the day with two half past ones"
    );
    let hourly = calendar("0 * * * *", "America/New_York");
    let day = moments(&hourly, "2026-11-01T03:59:59Z", 26);
    let ms: Vec<u64> = day.iter().map(|text| at(text)).collect();
    assert!(
        ms.windows(2).all(|pair| pair[1] - pair[0] == 3_600_000),
        "{day:?}"
    );
}

/// Over years and zones with odd clocks a daily job runs each day once.
#[test]
fn a_daily_job_runs_daily_everywhere() {
    for zone in [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/St_Johns",
        "Asia/Kathmandu",
        "Africa/Casablanca",
    ] {
        for expr in ["0 9 * * *", "30 2 * * *", "15 1 * * *"] {
            let daily = calendar(expr, zone);
            let days = moments(&daily, "2026-01-01T00:00:00Z", 731);
            let ms: Vec<u64> = days.iter().map(|text| at(text)).collect();
            for pair in ms.windows(2) {
                let hours = (pair[1] - pair[0]) as f64 / 3_600_000.0;
                assert!((22.0..=26.0).contains(&hours), "{zone} {expr} {pair:?}");
            }
        }
    }
}

#[test]
fn intervals_keep_their_row() {
    let every = ScheduleRow::Every {
        every_ms: 3_600_000,
        anchor_ms: 1_000,
    };
    let next = |now| schedule::next(&every, "job", now).unwrap();
    assert_eq!(next(0), 1_000);
    assert_eq!(next(1_000), 3_601_000);
    assert_eq!(next(3_600_999), 3_601_999, "not within a second");
    assert_eq!(next(8_000_000), 10_801_000);
    let mad = ScheduleRow::Every {
        every_ms: 1,
        anchor_ms: 0,
    };
    assert_eq!(schedule::next(&mad, "job", 50), Some(51));
    let far = ScheduleRow::Every {
        every_ms: u64::MAX,
        anchor_ms: u64::MAX,
    };
    assert_eq!(schedule::next(&far, "job", 50), Some(u64::MAX));
}

#[test]
fn jobs_of_the_full_hour_are_spread() {
    let hourly = ScheduleRow::Calendar {
        expr: "0 * * * *".into(),
        tz: Some("UTC".into()),
        stagger_ms: schedule::default_stagger("0 * * * *"),
    };
    let now = at("2026-11-22T10:30:00Z");
    let places: std::collections::BTreeSet<u64> = (0..100)
        .map(|n| schedule::next(&hourly, &format!("job {n}"), now).unwrap())
        .collect();
    let hour = at("2026-11-22T11:00:00Z");
    assert!(
        places
            .iter()
            .all(|place| (hour..hour + 300_000).contains(place))
    );
    assert!(places.len() > 90, "{}", places.len());
    let first = schedule::next(&hourly, "job 1", now).unwrap();
    let second = schedule::next(&hourly, "job 1", first).unwrap();
    assert_eq!(second - first, 3_600_000);
    for (expr, spread) in [
        ("0 * * * *", true),
        ("0 */2 * * *", true),
        ("0 0 * * * *", true),
        ("0 9 * * *", false),
        ("5 * * * *", false),
        ("* * * * *", false),
        ("@hourly", false),
    ] {
        assert_eq!(schedule::default_stagger(expr).is_some(), spread, "{expr}");
    }
}

#[track_caller]
fn refused(params: Value, expected: &str) {
    let now = at("2026-11-22T13:47:25.775Z");
    assert_eq!(made(params, now).unwrap_err(), expected);
}

fn event() -> Value {
    json!({ "kind": "systemEvent", "text": "x" })
}

fn turn() -> Value {
    json!({ "kind": "agentTurn", "message": "x" })
}

fn with(schedule: Value, target: &str, payload: &Value, more: Value) -> Value {
    let mut job = json!({ "name": "n", "schedule": schedule, "sessionTarget": target,
        "wakeMode": "now", "payload": payload });
    let fields = job.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    job
}

#[test]
fn refusals_are_worded_as_recorded() {
    let (event, turn, none) = (event(), turn(), json!({}));
    let every = json!({ "kind": "every", "everyMs": 60_000 });
    let once = |at: &str| json!({ "kind": "at", "at": at });
    refused(
        with(once("2020-01-01T00:00:00Z"), "main", &event, none.clone()),
        "schedule.at is in the past: 2020-01-01T00:00:00.000Z (3625307 minutes ago). \
         Current time: 2026-11-22T13:47:25.775Z",
    );
    refused(
        with(once("2046-01-01T00:00:00Z"), "main", &event, none.clone()),
        "schedule.at is too far in the future: 2046-01-01T00:00:00.000Z (19 years ahead). \
         Maximum allowed: 10 years",
    );
    refused(
        with(once("soon"), "main", &event, none.clone()),
        "Invalid schedule.at: expected ISO-8601 timestamp (got soon)",
    );
    refused(
        with(every.clone(), "isolated", &event, none.clone()),
        "isolated cron jobs require payload.kind=\"agentTurn\"",
    );
    refused(
        with(every.clone(), "main", &turn, none.clone()),
        "main cron jobs require payload.kind=\"systemEvent\"",
    );
    let announce = json!({ "delivery": { "mode": "announce" } });
    refused(
        with(every.clone(), "main", &event, announce),
        "cron channel delivery config is only supported for sessionTarget=\"isolated\"",
    );
    for to in [json!({}), json!({ "to": "ftp://x/" }), json!({ "to": "x" })] {
        let mut delivery = json!({ "mode": "webhook" });
        delivery
            .as_object_mut()
            .unwrap()
            .extend(to.as_object().unwrap().clone());
        refused(
            with(
                every.clone(),
                "isolated",
                &turn,
                json!({ "delivery": delivery }),
            ),
            "cron webhook delivery requires delivery.to to be a valid http(s) URL",
        );
    }
    refused(
        with(every, "main", &event, json!({ "agentId": "Nobody" })),
        "unknown agent id \"nobody\"",
    );
}

#[test]
fn expressions_that_never_run_are_refused() {
    let (event, none) = (event(), json!({}));
    let cron = |expr: &str, tz: &str| json!({ "kind": "cron", "expr": expr, "tz": tz });
    refused(
        with(
            cron("* * * * *", "Mars/Olympus"),
            "main",
            &event,
            none.clone(),
        ),
        "unknown schedule.tz \"Mars/Olympus\"",
    );
    refused(
        with(cron("0 0 30 2 *", "UTC"), "main", &event, none.clone()),
        "schedule.expr \"0 0 30 2 *\" never comes to pass",
    );
    let long = "1,".repeat(200);
    refused(
        with(cron(&long, "UTC"), "main", &event, none),
        "schedule.expr is longer than 256 bytes",
    );
}

#[test]
fn input_is_lenient() {
    let now = at("2026-11-22T13:00:00Z");
    let short = json!({ "job": { "schedule": { "atMs": now + 60_000 }, "text": " water " } });
    let job = shown::job(&made(short, now).unwrap());
    assert_eq!(
        serde_json::to_value(&job).unwrap(),
        json!({ "id": format!("job-{now}"), "name": "water", "enabled": true,
            "deleteAfterRun": true, "createdAtMs": now, "updatedAtMs": now,
            "schedule": { "kind": "at", "at": "2026-11-22T13:01:00.000Z" },
            "sessionTarget": "main", "wakeMode": "now",
            "payload": { "kind": "systemEvent", "text": "water" },
            "state": { "nextRunAtMs": now + 60_000 } })
    );
    let older = json!({ "name": " n ", "enabled": "false", "wakeMode": "NEXT-heartbeat",
        "schedule": { "kind": "CRON", "cron": "0 * * * *", "tz": "UTC" },
        "message": "look", "model": "fake/m1", "timeoutSeconds": "30",
        "deliver": true, "channel": "telegram", "to": "42", "bestEffortDeliver": true });
    let job = serde_json::to_value(shown::job(&made(older, now).unwrap())).unwrap();
    assert_eq!(
        (
            &job["schedule"],
            &job["sessionTarget"],
            &job["wakeMode"],
            &job["enabled"]
        ),
        (
            &json!({ "kind": "cron", "expr": "0 * * * *", "tz": "UTC", "staggerMs": 300_000 }),
            &json!("isolated"),
            &json!("next-heartbeat"),
            &json!(false)
        )
    );
    assert_eq!(
        job["payload"],
        json!({ "kind": "agentTurn", "message": "look", "model": "fake/m1", "timeoutSeconds": 30 })
    );
    assert_eq!(
        job["delivery"],
        json!({ "mode": "announce", "channel": "telegram", "to": "42", "bestEffort": true })
    );
    assert_eq!(job["state"], json!({}), "what is off waits for nothing");
    let plain = json!({ "name": "n", "schedule": { "everyMs": 5_000 },
        "payload": { "message": "x" } });
    let job = serde_json::to_value(shown::job(&made(plain, now).unwrap())).unwrap();
    assert_eq!(job["delivery"], json!({ "mode": "announce" }));
    let patch = input::update(json!({ "id": "x", "patch": {
        "payload": { "kind": "AGENTTURN", "deliver": false }, "schedule": { "at": "2027-01-01" } } }));
    assert_eq!(
        patch["patch"],
        json!({ "payload": { "kind": "agentTurn" }, "delivery": { "mode": "none" },
            "schedule": { "kind": "at", "at": "2027-01-01T00:00:00.000Z" } })
    );
}
