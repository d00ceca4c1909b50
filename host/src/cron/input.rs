//! Lenient input: what clients and agents write for a job, put into the order of the contract.
//!
//! Called before the params of `cron.add` and `cron.update` are checked. Pure, and total: what it
//! doesn't understand stays as it is and is refused by the check.

use serde_json::{Map, Value, json};

use super::schedule;
use crate::spell;

/// Fields of a turn that used to stand beside the payload.
const TURN_FIELDS: [&str; 6] = [
    "model",
    "fallbacks",
    "thinking",
    "timeoutSeconds",
    "allowUnsafeExternalContent",
    "lightContext",
];

/// Params of `cron.add` in order, with the defaults filled in.
pub fn create(params: Value) -> Value {
    let Value::Object(mut job) = params else {
        return params;
    };
    for wrapper in ["data", "job"] {
        if let Some(Value::Object(inner)) = job.get_mut(wrapper) {
            job = std::mem::take(inner);
            break;
        }
    }
    tidy(&mut job);
    fill(&mut job);
    Value::Object(job)
}

/// Params of `cron.update` in order.
pub fn update(params: Value) -> Value {
    let Value::Object(mut params) = params else {
        return params;
    };
    if let Some(Value::Object(patch)) = params.get_mut("patch") {
        for wrapper in ["data", "job"] {
            if let Some(Value::Object(inner)) = patch.get_mut(wrapper) {
                *patch = std::mem::take(inner);
                break;
            }
        }
        tidy(patch);
    }
    Value::Object(params)
}

fn tidy(job: &mut Map<String, Value>) {
    for name in ["name", "agentId", "sessionKey"] {
        trim(job, name);
    }
    for name in ["sessionTarget", "wakeMode"] {
        lower(job, name);
    }
    for name in ["enabled", "deleteAfterRun"] {
        boolean(job, name);
    }
    if let Some(Value::Object(schedule)) = job.get_mut("schedule") {
        tidy_schedule(schedule);
    }
    tidy_payload(job);
    tidy_delivery(job);
}

fn tidy_schedule(schedule: &mut Map<String, Value>) {
    lower(schedule, "kind");
    rename(schedule, "cron", "expr");
    for name in ["expr", "tz"] {
        trim(schedule, name);
    }
    for name in ["everyMs", "anchorMs", "staggerMs"] {
        number(schedule, name);
    }
    let moment = match schedule.remove("atMs") {
        Some(Value::Number(ms)) => whole(&ms),
        Some(Value::String(text)) => text.trim().parse().ok().or(schedule::moment(&text)),
        _ => None,
    };
    let moment = moment.or(match schedule.get("at") {
        Some(Value::Number(ms)) => whole(ms),
        Some(Value::String(text)) => schedule::moment(text).or(text.trim().parse().ok()),
        _ => None,
    });
    if let Some(ms) = moment.filter(|ms| *ms < LAST_MOMENT_MS) {
        schedule.insert("at".into(), spell::moment(ms).into());
    }
    if !schedule.contains_key("kind") {
        let has = |name: &str| schedule.contains_key(name);
        let kind = match () {
            () if has("at") => "at",
            () if has("everyMs") => "every",
            () if has("expr") => "cron",
            () => return,
        };
        schedule.insert("kind".into(), kind.into());
    }
}

/// The end of the year 9999, ms: what can be spelt.
const LAST_MOMENT_MS: u64 = 253_402_300_800_000;

fn tidy_payload(job: &mut Map<String, Value>) {
    let loose = [("message", "agentTurn"), ("text", "systemEvent")];
    for (field, kind) in loose {
        if let Some(words) = job.remove(field)
            && !job.contains_key("payload")
        {
            job.insert("payload".into(), json!({ "kind": kind, field: words }));
        }
    }
    let beside: Vec<(&str, Value)> = TURN_FIELDS
        .into_iter()
        .filter_map(|name| Some((name, job.remove(name)?)))
        .collect();
    let Some(Value::Object(payload)) = job.get_mut("payload") else {
        return;
    };
    let kind = payload.get("kind").and_then(Value::as_str);
    let kind = kind.map(|kind| kind.trim().to_ascii_lowercase());
    let kind = match kind.as_deref() {
        Some("agentturn") => Some("agentTurn"),
        Some("systemevent") => Some("systemEvent"),
        Some(_) => None,
        None if payload.contains_key("message") => Some("agentTurn"),
        None if payload.contains_key("text") => Some("systemEvent"),
        None => None,
    };
    if let Some(kind) = kind {
        payload.insert("kind".into(), kind.into());
    }
    for name in ["message", "text", "model", "thinking"] {
        trim(payload, name);
    }
    if kind == Some("agentTurn") {
        for (name, value) in beside {
            payload.entry(name).or_insert(value);
        }
    }
    number(payload, "timeoutSeconds");
}

fn tidy_delivery(job: &mut Map<String, Value>) {
    let mut older = Map::new();
    for name in ["deliver", "channel", "provider", "to", "bestEffortDeliver"] {
        if let Some(value) = job.remove(name) {
            older.insert(name.into(), value);
        }
        if let Some(Value::Object(payload)) = job.get_mut("payload")
            && let Some(value) = payload.remove(name)
        {
            older.entry(name).or_insert(value);
        }
    }
    rename(&mut older, "provider", "channel");
    if !older.is_empty() && !job.contains_key("delivery") {
        let mode = match older.get("deliver").and_then(Value::as_bool) {
            Some(false) => "none",
            _ => "announce",
        };
        let mut delivery = Map::from_iter([("mode".to_owned(), mode.into())]);
        for (from, to) in [
            ("channel", "channel"),
            ("to", "to"),
            ("bestEffortDeliver", "bestEffort"),
        ] {
            if let Some(value) = older.remove(from) {
                delivery.insert(to.into(), value);
            }
        }
        job.insert("delivery".into(), Value::Object(delivery));
    }
    if let Some(Value::Object(delivery)) = job.get_mut("delivery") {
        lower(delivery, "mode");
        for name in ["channel", "to", "accountId"] {
            trim(delivery, name);
        }
        if delivery.get("mode").and_then(Value::as_str) == Some("deliver") {
            delivery.insert("mode".into(), "announce".into());
        }
    }
}

/// What a new job gets that says nothing else.
fn fill(job: &mut Map<String, Value>) {
    job.entry("wakeMode").or_insert_with(|| "now".into());
    job.entry("enabled").or_insert(Value::Bool(true));
    let text = |job: &Map<String, Value>, field: &str, name: &str| {
        let value = job.get(field).and_then(|part| part.get(name));
        value.and_then(Value::as_str).map(str::to_owned)
    };
    let payload = text(job, "payload", "kind");
    let target = match payload.as_deref() {
        Some("systemEvent") => Some("main"),
        Some("agentTurn") => Some("isolated"),
        _ => None,
    };
    if let Some(target) = target {
        job.entry("sessionTarget").or_insert_with(|| target.into());
    }
    let words = text(job, "payload", "message").or(text(job, "payload", "text"));
    if let Some(words) = words.filter(|_| !job.contains_key("name")) {
        let line = words.lines().next().unwrap_or_default().trim();
        job.insert(
            "name".into(),
            line.chars().take(60).collect::<String>().into(),
        );
    }
    if text(job, "schedule", "kind").as_deref() == Some("at") {
        job.entry("deleteAfterRun").or_insert(Value::Bool(true));
    }
    let isolated = job.get("sessionTarget").and_then(Value::as_str) == Some("isolated");
    if isolated && payload.as_deref() == Some("agentTurn") {
        let delivery = job.entry("delivery").or_insert_with(|| json!({}));
        if let Value::Object(delivery) = delivery {
            delivery.entry("mode").or_insert_with(|| "announce".into());
        }
    }
    if let Some(Value::Object(schedule)) = job.get_mut("schedule") {
        let expr = schedule.get("expr").and_then(Value::as_str);
        let is_cron = schedule.get("kind").and_then(Value::as_str) == Some("cron");
        let spread = expr.filter(|_| is_cron).and_then(schedule::default_stagger);
        if let Some(spread) = spread.filter(|_| !schedule.contains_key("staggerMs")) {
            schedule.insert("staggerMs".into(), spread.into());
        }
    }
}

fn trim(map: &mut Map<String, Value>, name: &str) {
    if let Some(Value::String(text)) = map.get_mut(name) {
        *text = text.trim().to_owned();
    }
}

fn lower(map: &mut Map<String, Value>, name: &str) {
    if let Some(Value::String(text)) = map.get_mut(name) {
        *text = text.trim().to_ascii_lowercase();
    }
}

fn boolean(map: &mut Map<String, Value>, name: &str) {
    let value = match map.get(name).and_then(Value::as_str).map(str::trim) {
        Some(text) if text.eq_ignore_ascii_case("true") => true,
        Some(text) if text.eq_ignore_ascii_case("false") => false,
        _ => return,
    };
    map.insert(name.to_owned(), value.into());
}

fn number(map: &mut Map<String, Value>, name: &str) {
    let text = map.get(name).and_then(Value::as_str);
    if let Some(number) = text.and_then(|text| text.trim().parse::<u64>().ok()) {
        map.insert(name.to_owned(), number.into());
    }
}

fn rename(map: &mut Map<String, Value>, from: &str, to: &str) {
    if let Some(value) = map.remove(from) {
        map.entry(to).or_insert(value);
    }
}

fn whole(number: &serde_json::Number) -> Option<u64> {
    let float = number.as_f64().filter(|ms| *ms >= 0.0 && ms.fract() == 0.0);
    number.as_u64().or(float.map(|ms| ms as u64))
}
