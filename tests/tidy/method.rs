//! A method has its four places: a schema in the catalogue, an example, a handler's line, and an
//! end-to-end test that names it. An event has a schema, an example and a test.

use serde_json::Value;
use support::binaries::repository;

use crate::{expect_none, source};

fn read(path: &str) -> Value {
    let text = std::fs::read_to_string(repository().join(path)).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The texts in which a test may name a method or event.
fn tests() -> String {
    let files = source::all(&["tests/e2e", "tests/compat", "tests/support"]);
    files.into_iter().map(|file| file.text).collect()
}

/// What a `$ref` without an example needs; nothing when there is one or no type is named.
fn missing_example(reference: &Value) -> Option<String> {
    let name = reference["$ref"].as_str()?.rsplit('/').next()?;
    let folder = format!("schemas/examples/{name}");
    let found = std::fs::read_dir(repository().join(&folder)).is_ok_and(|mut entries| {
        entries.any(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_string_lossy()
                .starts_with("valid-")
        })
    });
    (!found).then(|| format!("no example {folder}/valid-*.json"))
}

#[test]
fn every_method_has_its_four_places() {
    let tests = tests();
    let table = std::fs::read_to_string(repository().join("host/src/methods/mod.rs")).unwrap();
    let mut found = Vec::new();
    let catalogue = read("schemas/methods.json");
    for (name, entry) in catalogue["methods"].as_object().unwrap() {
        let line = format!("(\"{name}\", ");
        let handled = table.contains(&line) || name == "connect";
        // Known to the wire, not built yet: then nothing may pretend otherwise.
        let Some(params) = entry.get("params") else {
            if handled {
                found.push(format!(
                    "{name}: a handler without a schema in schemas/methods.json"
                ));
            }
            continue;
        };
        if !handled {
            found.push(format!(
                "{name}: no line in the table of host/src/methods/mod.rs"
            ));
        }
        if !tests.contains(&format!("\"{name}\"")) {
            found.push(format!("{name}: no test in tests/e2e names it"));
        }
        let missing = [params, &entry["result"]]
            .into_iter()
            .filter_map(missing_example);
        found.extend(missing.map(|what| format!("{name}: {what}")));
    }
    expect_none(
        "a method has a schema, an example, a handler and an end-to-end test",
        &found,
    );
}

#[test]
fn every_event_has_its_three_places() {
    let tests = tests();
    let mut found = Vec::new();
    let catalogue = read("schemas/events.json");
    for (name, entry) in catalogue["events"].as_object().unwrap() {
        let Some(payload) = entry.get("payload") else {
            continue;
        };
        if !tests.contains(&format!("\"{name}\"")) {
            found.push(format!("{name}: no test in tests/e2e names it"));
        }
        found.extend(missing_example(payload).map(|what| format!("{name}: {what}")));
    }
    expect_none(
        "an event has a schema, an example and an end-to-end test",
        &found,
    );
}
