//! The proof that schema, Rust type and recorded example say the same. Tests only.
//!
//! `types.rs` names the Rust type of each definition, `shape.rs` compares the two, this file
//! runs the examples.

#![allow(clippy::unwrap_used)]

mod shape;
mod types;

use crate::{law, validate};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use types::TYPES;

/// `chat.json#/$defs/<name>` for a definition's name.
fn reference(definition: &str) -> &'static str {
    static REFERENCES: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
        let mut all = BTreeMap::new();
        for (file, _) in law::FILES {
            for (name, _) in law::file(file).unwrap().get("$defs").unwrap().fields() {
                let old = all.insert(name.clone(), format!("{file}#/$defs/{name}"));
                assert!(old.is_none(), "{name} is defined in two files");
            }
        }
        all
    });
    REFERENCES
        .get(definition)
        .unwrap_or_else(|| panic!("no schema file defines {definition}"))
}

/// Every example file whose name starts so, with its definition and text.
fn examples(start: &str) -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found = Vec::new();
    for folder in std::fs::read_dir(root).unwrap() {
        let folder = folder.unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert!(name.ends_with(".json"), "{name}");
            assert!(
                name.starts_with("valid-") || name.starts_with("invalid-"),
                "{name}"
            );
            if name.starts_with(start) {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((folder.file_name().to_str().unwrap().to_owned(), path, text));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

#[test]
fn valid_examples_obey_the_law_and_survive_the_rust_type() {
    let mut wrong = Vec::new();
    for (definition, path, text) in examples("valid-") {
        if let Err(e) = validate::against(reference(&definition), &text) {
            wrong.push(format!("{}: {e}", path.display()));
        }
        let Some(kind) = TYPES.iter().find(|t| t.name == definition) else {
            continue;
        };
        match (kind.rewrite)(&text) {
            Ok(written) => {
                let read: Value = serde_json::from_str(&text).unwrap();
                if written != read {
                    wrong.push(format!("{}: came back as {written}", path.display()));
                }
            }
            Err(e) => wrong.push(format!("{}: {e}", path.display())),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn invalid_examples_are_refused_in_the_recorded_words() {
    #[derive(serde::Deserialize)]
    struct Invalid<'a> {
        #[serde(borrow)]
        value: &'a RawValue,
        refusal: String,
    }
    for (definition, path, text) in examples("invalid-") {
        let Invalid { value, refusal } = serde_json::from_str(&text).unwrap();
        let said = validate::against(reference(&definition), value.get());
        assert_eq!(said, Err(refusal), "{}", path.display());
    }
}

#[test]
fn what_the_catalogues_name_has_examples() {
    let with: BTreeSet<String> = examples("valid-").into_iter().map(|(d, ..)| d).collect();
    let catalogues = [law::METHODS, law::EVENTS].join("\n");
    let missing: BTreeSet<&str> = catalogues
        .split("#/$defs/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .filter(|name| !with.contains(*name))
        .collect();
    assert!(missing.is_empty(), "no valid example for {missing:?}");
}
