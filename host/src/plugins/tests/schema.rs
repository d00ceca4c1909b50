//! `schemas/plugins-toml.json`, which editors use, says the same as the types that read the file.
//!
//! The types are asked themselves: what they name when a key is unknown or missing, and what they
//! take, is held against the schema.

use std::collections::BTreeSet;

use super::*;
use crate::plugins::file::PluginsFile;

const SCHEMA: &str = include_str!("../../../../schemas/plugins-toml.json");

/// A text that reads, with `more` in the table of this definition.
fn with(definition: &str, more: &str) -> String {
    let entry = "[[plugin]]\nname = \"a\"\npath = \"a.so\"\n";
    match definition {
        "" => format!("schema = 1\n{more}\n"),
        "Trust" => format!("schema = 1\n[trust]\n{more}\n"),
        "Registry" => format!("schema = 1\n[registry]\nurl = \"r\"\n{more}\n"),
        "Entry" => format!("schema = 1\n{entry}{more}\n"),
        "Signature" => {
            format!("schema = 1\n{entry}[plugin.signature]\nkey = \"k\"\nfile = \"f\"\n{more}\n")
        }
        "Limits" => format!("schema = 1\n{entry}[plugin.limits]\n{more}\n"),
        other => panic!("{other} is new: say where it stands"),
    }
}

fn read(text: &str) -> Result<PluginsFile, String> {
    PluginsFile::parse(Path::new("plugins.toml"), text).map_err(|e| e.message)
}

/// The names between backticks.
fn quoted(text: &str) -> BTreeSet<String> {
    let parts = text.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

fn definitions() -> Vec<(String, Value)> {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let inner = schema["$defs"].as_object().unwrap().clone();
    let mut all: Vec<_> = inner.into_iter().collect();
    all.push((String::new(), schema));
    all
}

#[test]
fn the_schema_has_the_keys_of_the_types() {
    for (name, definition) in definitions() {
        let told = read(&with(&name, "nonsense = 1")).unwrap_err();
        let mut types = quoted(&told);
        assert!(types.remove("nonsense"), "{told}");
        let properties = definition["properties"].as_object().unwrap();
        let ours: BTreeSet<String> = properties.keys().cloned().collect();
        assert_eq!(ours, types, "keys of {name:?}");
        assert_eq!(definition["additionalProperties"], false, "{name}");
        for (key, property) in properties {
            let described = property.get("description").is_some() || property.get("$ref").is_some();
            assert!(
                described,
                "{name}.{key} says nothing to the person who writes it"
            );
        }
    }
}

#[test]
fn the_schema_wants_what_the_types_want() {
    for (name, definition) in definitions() {
        let required = definition["required"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        for key in required {
            let line = format!("{} = ", key.as_str().unwrap());
            let text: String = with(&name, "")
                .lines()
                .filter(|l| !l.starts_with(&line))
                .map(|l| format!("{l}\n"))
                .collect();
            let told = read(&text).unwrap_err();
            assert_eq!(told, format!("missing field `{}`", key.as_str().unwrap()));
        }
    }
}

#[test]
fn both_take_and_refuse_the_same() {
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let key = "ed25519:A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg";
    let sha = "a".repeat(64);
    let keys = format!("keys = {{ one = \"{key}\" }}\ntrusted = [\"one\"]");
    let cases = [
        ("", "plugin = []".to_owned(), true),
        ("Trust", keys, true),
        ("Trust", "keys = { one = \"rsa:AA\" }".to_owned(), false),
        (
            "Trust",
            "allow_unsigned = true\ndevelopment = true".to_owned(),
            true,
        ),
        ("Trust", "allow_unsigned = [\"a\"]".to_owned(), true),
        ("Trust", "allow_unsigned = \"a\"".to_owned(), false),
        ("Registry", "key = 5".to_owned(), false),
        (
            "Entry",
            format!("sha256 = \"{sha}\"\nenabled = false"),
            true,
        ),
        ("Entry", "sha256 = \"AB\"".to_owned(), false),
        ("Entry", "isolation = \"process\"".to_owned(), true),
        ("Entry", "isolation = \"in-process\"".to_owned(), true),
        ("Entry", "isolation = \"jail\"".to_owned(), false),
        ("Signature", String::new(), true),
        (
            "Limits",
            "memory_mb = 1\ntcp_ports = [443]\nkv_mb = 1".to_owned(),
            true,
        ),
        ("Limits", "tcp_ports = [65536]".to_owned(), false),
        ("Limits", "memory_mb = -1".to_owned(), false),
    ];
    for (definition, more, right) in cases {
        let text = with(definition, &more);
        assert_eq!(read(&text).is_ok(), right, "the types: {text}");
        let value: Value = toml::from_str(&text).unwrap();
        assert_eq!(schema.is_valid(&value), right, "the schema: {text}");
    }
    let ours = include_str!("../../../../plugins.toml");
    assert!(schema.is_valid(&toml::from_str(ours).unwrap()));
}
