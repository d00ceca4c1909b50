//! A strict reader of what the gateway sends, as clients with generated types are (Swift, Kotlin):
//! no null where none is named, whole numbers written as such, no word outside a closed list,
//! nothing missing and nothing more. The types come from `schemas/*.json` alone.
//!
//! [`Client`](crate::Client) reads every frame this way, so each end-to-end test is a test of it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use crate::binaries::repository;

/// How deep references may lead.
const DEPTH_MAX: usize = 32;

/// The schema files, by name.
struct Law(HashMap<String, Value>);

fn law() -> &'static Law {
    static LAW: OnceLock<Law> = OnceLock::new();
    LAW.get_or_init(|| {
        let folder = repository().join("schemas");
        let entries = std::fs::read_dir(&folder).expect("the folder of schemas");
        let files = entries
            .map(|entry| entry.expect("an entry of a folder").path())
            .filter(|path| path.extension().is_some_and(|e| e == "json"));
        Law(files.map(|path| (name_of(&path), read(&path))).collect())
    })
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().expect("a file has a name");
    name.to_string_lossy().into_owned()
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a schema file");
    serde_json::from_str(&text).expect("schema files are JSON")
}

/// What is wrong with a frame of the gateway; `method` is what a response answers, if that is
/// known. Empty: nothing.
#[must_use]
pub fn problems(frame: &Value, method: Option<&str>) -> Vec<String> {
    let law = law();
    let mut found = Vec::new();
    match frame["type"].as_str() {
        Some("event") => {
            let name = frame["event"].as_str().unwrap_or_default();
            let schema = &law.0["events.json"]["events"][name]["payload"];
            law.known(name, schema, &frame["payload"], &mut found);
        }
        Some("res") if frame["ok"] == true => {
            if let Some(method) = method {
                let schema = &law.0["methods.json"]["methods"][method]["result"];
                law.known(method, schema, &frame["payload"], &mut found);
            }
        }
        Some("res") => {
            let schema = serde_json::json!({ "$ref": "frames.json#/$defs/ErrorShape" });
            law.walk(
                "frames.json",
                &schema,
                &frame["error"],
                "error",
                0,
                &mut found,
            );
        }
        other => found.push(format!("a frame of type {other:?}")),
    }
    found
}

/// What is wrong with a value of a named definition, such as `system.json#/$defs/Health`.
#[must_use]
pub fn problems_of(reference: &str, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let schema = serde_json::json!({ "$ref": reference });
    law().walk("", &schema, value, "", 0, &mut found);
    found
}

/// Every definition, as `file#/$defs/Name` by name.
#[must_use]
pub fn definitions() -> HashMap<String, String> {
    let files = law().0.iter();
    let named = files.flat_map(|(file, schema)| {
        let names = schema["$defs"].as_object().into_iter().flat_map(Map::keys);
        names.map(move |name| (name.clone(), format!("{file}#/$defs/{name}")))
    });
    named.collect()
}

impl Law {
    /// A payload whose schema the catalogue names; what it does not name may not be sent.
    fn known(&self, name: &str, schema: &Value, payload: &Value, to: &mut Vec<String>) {
        match schema {
            Value::Null => to.push(format!("{name} is not in the catalogue")),
            schema => self.walk("", schema, payload, name, 0, to),
        }
    }

    fn walk(
        &self,
        file: &str,
        schema: &Value,
        value: &Value,
        at: &str,
        depth: usize,
        to: &mut Vec<String>,
    ) {
        if depth > DEPTH_MAX {
            return to.push(format!("{at}: the schema has no end"));
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let (other, name) = reference.split_once("#/$defs/").expect("a reference");
            let file = if other.is_empty() { file } else { other };
            let target = &self.0[file]["$defs"][name];
            return self.walk(file, target, value, at, depth + 1, to);
        }
        for union in ["anyOf", "oneOf"] {
            if let Some(ways) = schema[union].as_array() {
                let tried = ways.iter().map(|way| {
                    let mut found = Vec::new();
                    self.walk(file, way, value, at, depth + 1, &mut found);
                    found
                });
                let best = tried.min_by_key(Vec::len).unwrap_or_default();
                to.extend(best);
                return;
            }
        }
        if let Some(word) = schema.get("const").filter(|word| *word != value) {
            return to.push(format!("{at}: {value} is not {word}"));
        }
        let wanted = match &schema["type"] {
            Value::String(kind) => vec![kind.as_str()],
            Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        if !wanted.iter().any(|kind| is(value, kind)) {
            return to.push(format!("{at}: {value} is no {}", wanted.join(" or ")));
        }
        match value {
            Value::Object(map) => self.object(file, schema, map, at, depth, to),
            Value::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    let at = format!("{at}[{n}]");
                    self.walk(file, &schema["items"], item, &at, depth + 1, to);
                }
            }
            Value::Number(number) => {
                let least = schema["minimum"].as_f64();
                if least.is_some_and(|least| number.as_f64() < Some(least)) {
                    to.push(format!("{at}: {number} is below {}", schema["minimum"]));
                }
            }
            _ => {}
        }
    }

    fn object(
        &self,
        file: &str,
        schema: &Value,
        map: &Map<String, Value>,
        at: &str,
        depth: usize,
        to: &mut Vec<String>,
    ) {
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !map.contains_key(name) {
                to.push(format!("{at}.{name} is missing"));
            }
        }
        for (name, value) in map {
            let at = format!("{at}.{name}");
            match (&schema["properties"][name], &schema["additionalProperties"]) {
                (Value::Null, Value::Bool(false)) => to.push(format!("{at} is one too many")),
                (Value::Null, others) => self.walk(file, others, value, &at, depth + 1, to),
                (known, _) => self.walk(file, known, value, &at, depth + 1, to),
            }
        }
    }
}

/// The strict part: `1.0` is no whole number, and null is nothing but null.
fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(frame: Value, method: &str, expected: &[&str]) {
        assert_eq!(problems(&frame, Some(method)), expected, "{frame}");
    }

    #[test]
    fn what_a_strict_client_can_read() {
        let answer =
            |payload: Value| json!({ "type": "res", "id": "1", "ok": true, "payload": payload });
        let tick = |payload: Value| json!({ "type": "event", "event": "tick", "payload": payload });
        check(tick(json!({ "ts": 5 })), "", &[]);
        check(
            tick(json!({ "ts": 5.0 })),
            "",
            &["tick.ts: 5.0 is no integer"],
        );
        check(
            tick(json!({ "ts": null })),
            "",
            &["tick.ts: null is no integer"],
        );
        check(tick(json!({ "ts": -1 })), "", &["tick.ts: -1 is below 0"]);
        check(tick(json!({})), "", &["tick.ts is missing"]);
        check(
            tick(json!({ "ts": 1, "x": 1 })),
            "",
            &["tick.x is one too many"],
        );
        let unknown = json!({ "type": "event", "event": "zzz", "payload": {} });
        check(unknown, "", &["zzz is not in the catalogue"]);
        let mode = json!({ "enabled": true, "phase": null, "ts": 1 });
        check(answer(mode), "talk.mode", &[]);
        let list = json!({ "defaultId": "main", "mainKey": "main", "scope": "odd", "agents": [] });
        let told = problems(&answer(list), Some("agents.list"));
        assert!(
            told[0].starts_with("agents.list.scope: \"odd\" is not"),
            "{told:?}"
        );
        let refusal = json!({ "type": "res", "id": "1", "ok": false, "error": { "code": "X" } });
        assert!(!problems(&refusal, None).is_empty());
    }
}
