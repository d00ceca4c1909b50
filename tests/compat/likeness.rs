//! Whether the gateway's frame says what the recorded one said.
//!
//! Equal means: the same fields with the same values, except where a value belongs to one run.
//! Those are judged by kind: ids and tokens must correspond one to one over the whole replay,
//! times must be times, folders must be folders, and the two lists that tell what a gateway can
//! do or who is there are judged by their members' form.

use std::collections::HashMap;

use serde_json::Value;

/// Which of our ids stands for which recorded one, so far.
#[derive(Default)]
pub struct Names {
    ours: HashMap<String, String>,
}

impl Names {
    /// Our value for a recorded one, to be put into what the client sends.
    pub fn ours(&self, recorded: &str) -> Option<&str> {
        self.ours.get(recorded).map(String::as_str)
    }

    /// Fixes a pair from outside, for example a device that had to get another key.
    pub fn set(&mut self, recorded: &str, ours: &str) {
        self.ours.insert(recorded.to_owned(), ours.to_owned());
    }

    fn correspond(&mut self, recorded: &str, ours: &str) -> bool {
        match self.ours.get(recorded) {
            Some(known) => known == ours,
            None => {
                self.set(recorded, ours);
                true
            }
        }
    }
}

/// Everything that differs, one line each; empty when the frames are alike.
pub fn differences(recorded: &Value, ours: &Value, names: &mut Names) -> Vec<String> {
    let mut found = Vec::new();
    compare("", recorded, ours, names, &mut found);
    found
}

fn compare(path: &str, recorded: &Value, ours: &Value, names: &mut Names, found: &mut Vec<String>) {
    if let Some(alike) = by_place(path, recorded, ours) {
        if !alike {
            found.push(format!("{path}: recorded {recorded}, ours {ours}"));
        }
        return;
    }
    match (recorded, ours) {
        (Value::Object(_), Value::Object(_)) => objects(path, recorded, ours, names, found),
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (index, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{path}/{index}"), left, right, names, found);
            }
        }
        (Value::String(left), Value::String(right)) if left == right => {}
        (Value::String(left), Value::String(right))
            if is_id(left) && left.len() == right.len() && names.correspond(left, right) => {}
        (Value::String(left), Value::String(right)) if names.ours(left) == Some(right) => {}
        (Value::Number(left), Value::Number(right)) if is_time(left) && is_time(right) => {}
        _ if recorded == ours => {}
        _ => found.push(format!("{path}: recorded {recorded}, ours {ours}")),
    }
}

fn objects(path: &str, recorded: &Value, ours: &Value, names: &mut Names, found: &mut Vec<String>) {
    let (left, right) = (recorded.as_object().unwrap(), ours.as_object().unwrap());
    for (field, value) in left {
        let inner = format!("{path}/{field}");
        match right.get(field) {
            Some(other) => compare(&inner, value, other, names, found),
            None if may_be_absent(&inner) => {}
            None => found.push(format!("{inner}: recorded {value}, ours absent")),
        }
    }
    for (field, value) in right {
        let inner = format!("{path}/{field}");
        if !left.contains_key(field) && !may_be_added(&inner, value) {
            found.push(format!("{path}/{field}: not recorded, ours {value}"));
        }
    }
}

/// Fields that a gateway may leave out, by the wire document.
fn may_be_absent(path: &str) -> bool {
    ["/updateAvailable", "/canvasHostUrl", "/restartExpectedMs"]
        .iter()
        .any(|field| path.ends_with(field))
}

/// Fields that a gateway may add, by the wire document: the code that the newer clients look for,
/// and the token that a node gets too. Beside them how the configuration stands, in `health`.
fn may_be_added(path: &str, ours: &Value) -> bool {
    (path.ends_with("/configHash") && ours.as_str().is_some_and(|hash| hash.len() == 64))
        || (path.ends_with("/configValid") && ours.is_boolean())
        || (path == "/error/details/code" && ours == "PROTOCOL_MISMATCH")
        || (path == "/payload/auth" && ours["role"] == "node")
}

/// Values of one run, judged by what stands there; `None` for all other places.
fn by_place(path: &str, recorded: &Value, ours: &Value) -> Option<bool> {
    let field = path.rsplit('/').next().unwrap_or_default();
    let alike = match field {
        "features" => features(ours),
        "recent" => ours.is_array(),
        "presence" if recorded.is_array() => presence(ours),
        "presence" | "health" if recorded.is_number() => ours.as_u64().is_some_and(|n| n >= 1),
        "seq" => ours.as_u64().is_some_and(|n| n >= 1),
        "durationMs" | "uptimeMs" | "count" => ours.is_u64(),
        "version" => ours.as_str().is_some_and(|text| !text.is_empty()),
        "prompt" => ours.as_str().is_some_and(|text| !text.is_empty()),
        "canvasHostUrl" => ours
            .as_str()
            .is_some_and(|url| url.starts_with("http://127.0.0.1:")),
        "configPath" | "stateDir" | "path" => ours.as_str().is_some_and(|p| p.starts_with('/')),
        _ => return None,
    };
    Some(alike)
}

fn features(ours: &Value) -> bool {
    let list = |field: &str| {
        let names = ours[field].as_array();
        names.is_some_and(|names| !names.is_empty() && names.iter().all(Value::is_string))
    };
    let methods = ours["methods"].as_array();
    let advertised = |name: &str| methods.is_some_and(|list| list.iter().any(|m| m == name));
    ours.as_object().is_some_and(|all| all.len() == 2)
        && list("methods")
        && list("events")
        && advertised("health")
        // Handled, and by the wire document not in the list.
        && !advertised("connect")
        && !advertised("chat.inject")
}

/// Each entry has an integer `ts` and otherwise only documented fields; the gateway's own is there.
fn presence(ours: &Value) -> bool {
    const FIELDS: [&str; 16] = [
        "host",
        "ip",
        "version",
        "platform",
        "deviceFamily",
        "modelIdentifier",
        "mode",
        "lastInputSeconds",
        "reason",
        "tags",
        "text",
        "ts",
        "deviceId",
        "roles",
        "scopes",
        "instanceId",
    ];
    let Some(entries) = ours.as_array() else {
        return false;
    };
    let own = entries.iter().any(|entry| {
        let text = entry["text"].as_str().unwrap_or_default();
        entry["mode"] == "gateway"
            && entry["reason"] == "self"
            && text.starts_with("Gateway: ")
            && text.ends_with(" · mode gateway · reason self")
    });
    own && entries.iter().all(|entry| {
        let documented = |entry: &serde_json::Map<_, _>| {
            entry.keys().all(|k: &String| FIELDS.contains(&k.as_str()))
        };
        entry["ts"].is_u64() && entry.as_object().is_some_and(documented)
    })
}

/// A uuid, or a secret of 32 bytes in base64url.
fn is_id(text: &str) -> bool {
    let form = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let uuid = text.len() == 36 && text.matches('-').count() == 4;
    (uuid || text.len() == 43) && text.chars().all(form)
}

fn is_time(number: &serde_json::Number) -> bool {
    number
        .as_u64()
        .is_some_and(|ms| (1_700_000_000_000..2_100_000_000_000).contains(&ms))
}

#[test]
fn likeness_is_neither_blind_nor_petty() {
    let frame = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let recorded =
        frame(r#"{"id":"6a870d4c-b3c3-4c95-a269-8aeef0536975","ts":1795353639449,"a":1}"#);
    let ours = frame(r#"{"id":"00000000-b3c3-4c95-a269-8aeef0536975","ts":1800000000000,"a":1}"#);
    let mut names = Names::default();
    assert!(differences(&recorded, &ours, &mut names).is_empty());
    let other = frame(r#"{"id":"11111111-b3c3-4c95-a269-8aeef0536975","ts":7,"b":1}"#);
    assert_eq!(differences(&recorded, &other, &mut names).len(), 4);
}
