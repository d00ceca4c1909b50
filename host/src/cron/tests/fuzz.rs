//! Schedules and loose input that nobody would write.

use serde_json::json;

use super::super::{CronError, schedule};
use super::{at, made};
use crate::store::cron::ScheduleRow;

/// What random expressions are made of.
const PIECES: [&str; 29] = [
    "*",
    "/",
    "-",
    ",",
    "0",
    "7",
    "59",
    "60",
    "L",
    "W",
    "#",
    "?",
    "MON",
    "FEB",
    "@daily",
    " ",
    " ",
    " ",
    "31",
    "*/5",
    "99999999999",
    "é",
    "\u{0}",
    "+",
    "2026",
    "1-5",
    "LW",
    "5L",
    "1#2",
];

/// Random input never panics, and what is taken has a next moment that is still to come.
#[test]
fn schedules_survive_anything() {
    let now = at("2026-11-22T00:00:00Z");
    let seed = crate::clock::Clock::system().random::<8>();
    let seed = u64::from_le_bytes(seed) | 1;
    let mut state = seed;
    let mut random = move |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let mut taken = 0;
    for round in 0..2_000 {
        let length = 1 + random(14);
        let expr: String = (0..length)
            .map(|_| PIECES[usize::try_from(random(PIECES.len() as u64)).unwrap()])
            .collect();
        let zone = ["UTC", "Europe/Berlin", "Mars", ""][usize::try_from(random(4)).unwrap()];
        let row = ScheduleRow::Calendar {
            expr: expr.clone(),
            tz: Some(zone.into()),
            stagger_ms: Some(random(u64::MAX) * random(2)),
        };
        match schedule::check(&row, now) {
            Ok(()) => {
                taken += 1;
                let next = schedule::next(&row, "job", now).unwrap();
                assert!(next > now, "seed {seed}: {expr:?}: {next}");
            }
            Err(CronError::Invalid(why)) => assert!(!why.is_empty()),
            Err(other) => panic!("seed {seed}: {expr:?}: {other}"),
        }
        let loose = json!({ "name": expr, "schedule": { "at": expr, "atMs": random(u64::MAX),
            "everyMs": expr, "expr": expr, "kind": PIECES[usize::try_from(random(29)).unwrap()] },
            "payload": { "text": expr } });
        // Whatever it is, it is refused or taken, never worse. The check compiles its schema anew.
        if round % 20 == 0 {
            drop(made(loose, now));
        }
    }
    assert!(taken > 0);
}
