//! Whether a tree fits the schema, in the words that clients of the wire know.

use serde_json::{Map, Value};

/// How many are looked for: a broken file is not counted to its end.
const ISSUES_MAX: usize = 100;

pub(super) fn issues(schema: &Value, tree: &Map<String, Value>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    object(schema, tree, "", &mut found);
    found.truncate(ISSUES_MAX);
    found
}

fn object(schema: &Value, map: &Map<String, Value>, path: &str, to: &mut Vec<(String, String)>) {
    for (key, value) in map {
        let place = join(path, key);
        let known = schema.get("properties").and_then(|p| p.get(key));
        let any = schema
            .get("additionalProperties")
            .filter(|any| any.is_object());
        if let Some(schema) = known.or(any) {
            check(schema, value, &place, to);
        }
    }
    let required = schema.get("required").and_then(Value::as_array);
    for key in required.into_iter().flatten().filter_map(Value::as_str) {
        if !map.contains_key(key) {
            let kind = schema.pointer(&format!("/properties/{key}/type"));
            let kind = kind.and_then(Value::as_str).map_or("string", wanted);
            let why = format!("Invalid input: expected {kind}, received undefined");
            to.push((join(path, key), why));
        }
    }
}

fn join(path: &str, key: &str) -> String {
    match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    }
}

fn check(schema: &Value, value: &Value, path: &str, to: &mut Vec<(String, String)>) {
    let mut refuse = |why: String| to.push((path.to_owned(), why));
    if value.is_null() {
        // Read as absent.
        return;
    }
    for union in ["anyOf", "oneOf"] {
        if let Some(ways) = schema.get(union).and_then(Value::as_array) {
            let fits = |way: &Value| {
                let mut wrong = Vec::new();
                check(way, value, path, &mut wrong);
                wrong.is_empty()
            };
            if !ways.iter().any(fits) {
                refuse("Invalid input".into());
            }
            return;
        }
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        if !words.contains(value) {
            let words: Vec<String> = words.iter().map(Value::to_string).collect();
            let words = words.join("|");
            refuse(format!("Invalid option: expected one of {words}"));
        }
        return;
    }
    if let Some(word) = schema.get("const").filter(|word| *word != value) {
        return refuse(format!("Invalid input: expected {word}"));
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    if !kinds.iter().any(|kind| is(value, kind)) {
        let kind = wanted(kinds[0]);
        let kind = if kind == "number" && value.is_f64() {
            "int"
        } else {
            kind
        };
        let received = received(value);
        return refuse(format!(
            "Invalid input: expected {kind}, received {received}"
        ));
    }
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
            if let Some(least) = bound("minimum").filter(|least| number < *least) {
                refuse(format!("Too small: expected number to be >={least}"));
            }
            if let Some(most) = bound("maximum").filter(|most| number > *most) {
                refuse(format!("Too big: expected number to be <={most}"));
            }
        }
        Value::Object(map) => object(schema, map, path, to),
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (n, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{path}.{n}"), to);
                }
            }
        }
        _ => {}
    }
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|n| n.fract() == 0.0),
        _ => true,
    }
}

fn wanted(kind: &str) -> &str {
    match kind {
        "integer" => "number",
        "object" => "object",
        other => other,
    }
}

fn received(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::FileSchema;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(tree: Value, expected: &[(&str, &str)]) {
        let found = FileSchema::new(&[]).issues(tree.as_object().unwrap());
        let found: Vec<_> = found
            .iter()
            .map(|(p, m)| (p.as_str(), m.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn in_the_words_of_the_wire() {
        check(
            json!({ "gateway": { "port": "abc" } }),
            &[(
                "gateway.port",
                "Invalid input: expected number, received string",
            )],
        );
        check(
            json!({ "gateway": { "port": 1.5, "bind": "wan" }, "session": [] }),
            &[
                (
                    "gateway.bind",
                    "Invalid option: expected one of \"loopback\"|\"lan\"|\"auto\"|\"tailnet\"|\"custom\"",
                ),
                (
                    "gateway.port",
                    "Invalid input: expected int, received number",
                ),
                ("session", "Invalid input: expected object, received array"),
            ],
        );
        check(
            json!({ "gateway": { "port": 70_000, "auth": { "token": 7 } } }),
            &[
                ("gateway.auth.token", "Invalid input"),
                ("gateway.port", "Too big: expected number to be <=65535"),
            ],
        );
        check(
            json!({ "models": { "providers": { "p": {} } }, "unknown": { "x": 1 } }),
            &[(
                "models.providers.p.baseUrl",
                "Invalid input: expected string, received undefined",
            )],
        );
        check(
            json!({ "agents": { "list": [{ "id": 5 }] } }),
            &[(
                "agents.list.0.id",
                "Invalid input: expected string, received number",
            )],
        );
    }

    #[test]
    fn what_a_person_writes_passes() {
        check(
            json!({
                "$schema": "x",
                "gateway": { "port": 1, "auth": { "token": { "source": "env", "id": "X" } }, "tls": { "enabled": true } },
                "agents": { "list": [{ "id": "a", "model": { "primary": "p/m" } }], "defaults": { "model": "p/m" } },
                "channels": { "any": { "x": 1 } },
            }),
            &[],
        );
    }
}
