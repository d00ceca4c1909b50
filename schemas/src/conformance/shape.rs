//! Compares each definition with its Rust type: same field names, same required fields, same
//! reading of absent ones.

use super::types::{Kind, TYPES};
use crate::law;
use crate::tree::Tree;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// What serde says a type's fields are.
#[derive(Debug)]
pub(super) enum Fields {
    /// A closed struct.
    Closed(&'static [&'static str]),
    /// A struct that keeps unknown fields: its names cannot be asked for.
    Open,
    /// Not a struct.
    Other,
}

/// Asks a type for the names of its fields.
pub(super) fn fields_of<T: for<'de> Deserialize<'de>>() -> Fields {
    let seen = RefCell::new(Fields::Other);
    // It always fails: it only listens to what the type asks for.
    drop(T::deserialize(Listener(&seen)));
    seen.into_inner()
}

struct Listener<'a>(&'a RefCell<Fields>);

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0.borrow_mut() = Fields::Closed(fields);
        Err(de::Error::custom("heard"))
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        *self.0.borrow_mut() = Fields::Open;
        Err(de::Error::custom("heard"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct enum identifier ignored_any
    }
}

/// Fields that tell the variants of a Rust enum apart: part of the definition, not of the struct.
fn tag(definition: &str) -> Option<&'static str> {
    match definition {
        "UserMessage" | "AssistantMessage" | "ToolResultMessage" | "SystemMessage" => Some("role"),
        "LifecycleStart" | "LifecycleEnd" | "LifecycleError" => Some("phase"),
        "ToolStart" | "ToolUpdate" | "ToolDone" => Some("phase"),
        _ => None,
    }
}

fn definitions() -> impl Iterator<Item = (String, Tree)> {
    law::FILES.iter().flat_map(|(name, _)| {
        let file = law::file(name).unwrap();
        file.get("$defs")
            .unwrap()
            .fields()
            .to_vec()
            .into_iter()
            .map(move |(definition, _)| {
                let schema = law::schema(&format!("{name}#/$defs/{definition}")).unwrap();
                (definition, schema)
            })
    })
}

fn names(list: &[Tree]) -> BTreeSet<&str> {
    list.iter().filter_map(Tree::as_str).collect()
}

fn kind(definition: &str) -> &'static Kind {
    TYPES
        .iter()
        .find(|t| t.name == definition)
        .unwrap_or_else(|| panic!("{definition} has no Rust type in conformance/types.rs"))
}

#[test]
fn each_type_has_one_definition() {
    let defined: BTreeSet<String> = definitions().map(|(d, _)| d).collect();
    let typed: BTreeSet<String> = TYPES.iter().map(|t| t.name.to_owned()).collect();
    assert_eq!(defined, typed);
    assert_eq!(typed.len(), TYPES.len());
}

#[test]
fn field_names_are_those_of_the_definition() {
    for (definition, schema) in definitions() {
        let Fields::Closed(fields) = (kind(&definition).fields)() else {
            continue;
        };
        let mut law: BTreeSet<&str> = schema
            .get("properties")
            .unwrap_or_else(|| panic!("{definition} is a struct in Rust only"))
            .fields()
            .iter()
            .map(|(n, _)| n.as_str())
            .collect();
        tag(&definition).map(|tag| law.remove(tag));
        assert_eq!(law, fields.iter().copied().collect(), "{definition}");
        assert_eq!(
            schema.get("additionalProperties"),
            Some(&Tree::Bool(false)),
            "{definition}"
        );
    }
}

/// How many alternatives of a union are tried.
const ALTERNATIVES: usize = 5;

#[test]
fn full_and_bare_values_survive_the_rust_type() {
    // The fields of a response depend on each other: its examples are its proof.
    for (definition, schema) in definitions().filter(|(d, _)| d != "ResponseFrame") {
        let law = jsonschema::draft202012::new(&schema.to_value()).unwrap();
        let mut samples: Vec<Value> = (0..ALTERNATIVES)
            .map(|pick| sample(&schema, true, pick))
            .collect();
        samples.push(sample(&schema, false, ALTERNATIVES));
        for value in samples {
            assert!(law.is_valid(&value), "{definition}: {value}");
            survives(&definition, value);
        }
    }
}

fn survives(definition: &str, mut value: Value) {
    if let Some(tag) = tag(definition) {
        value.as_object_mut().unwrap().remove(tag);
    }
    let written = (kind(definition).rewrite)(&value.to_string());
    assert_eq!(written, Ok(value), "{definition}");
}

#[test]
fn the_walk_and_the_compiled_schema_agree_on_broken_values() {
    // What clients send; of the rest nothing is refused.
    let sent = definitions().filter(|(d, _)| d.ends_with("Params") || d == "RequestFrame");
    for (definition, schema) in sent {
        let law = jsonschema::draft202012::new(&schema.to_value()).unwrap();
        for value in broken(&sample(&schema, true, 0)) {
            let tree: Tree = serde_json::from_str(&value.to_string()).unwrap();
            let errors = crate::walk::errors(&schema, &tree);
            assert_eq!(
                law.is_valid(&value),
                errors.is_empty(),
                "{definition}: {value}: {errors}"
            );
        }
    }
}

/// `value` with one place of it replaced by something else, for each place.
fn broken(value: &Value) -> Vec<Value> {
    let mut all = vec![
        json!(null),
        json!(""),
        json!(-1),
        json!(2.5),
        json!(true),
        json!([1]),
    ];
    all.extend([
        json!({}),
        json!({ "unexpected": 1 }),
        json!("x".repeat(600)),
    ]);
    if let Value::Object(fields) = value {
        for (name, inner) in fields {
            for inner in broken(inner) {
                let mut other = fields.clone();
                other.insert(name.clone(), inner);
                all.push(Value::Object(other));
            }
            let mut without = fields.clone();
            without.remove(name);
            all.push(Value::Object(without));
        }
    }
    if let Value::Array(items) = value {
        all.extend(items.iter().flat_map(broken).map(|item| json!([item])));
    }
    all
}

#[test]
fn required_fields_are_required_in_rust() {
    for (definition, schema) in definitions() {
        let Fields::Closed(_) = (kind(&definition).fields)() else {
            continue;
        };
        let required = names(schema.get("required").map_or(&[][..], Tree::items));
        for name in required.into_iter().filter(|n| tag(&definition) != Some(n)) {
            let mut value = sample(&schema, false, ALTERNATIVES);
            value.as_object_mut().unwrap().remove(name);
            // Refused, or, where null stands for "none", written as null.
            let read = (kind(&definition).rewrite)(&value.to_string());
            let fine = read
                .as_ref()
                .map_or(true, |written| written.get(name).is_some());
            assert!(fine, "{definition} without {name} became {read:?}");
        }
    }
}

/// A value that obeys a schema: with all its fields, or with the required ones only; of unions the alternative
/// `pick`, or the last one.
fn sample(schema: &Tree, full: bool, pick: usize) -> Value {
    let number = |keyword| schema.get(keyword).map_or(Value::Null, Tree::to_value);
    if let Some(constant) = schema.get("const") {
        return constant.to_value();
    }
    if let Some(alternatives) = schema.get("anyOf") {
        let place = if full {
            0
        } else {
            alternatives.items().len() - 1
        };
        return sample(&alternatives.items()[place], full, pick);
    }
    match schema.get("type").and_then(Tree::as_str) {
        None => json!({"any": [1, null]}),
        Some("null") => Value::Null,
        Some("boolean") => json!(full),
        Some("integer") => json!(number("minimum").as_u64().unwrap_or(0).max(u64::from(full))),
        Some("number") => {
            if full {
                json!(1.5)
            } else {
                json!(0)
            }
        }
        Some("string") => json!("x".repeat(number("minLength").as_u64().unwrap_or(0) as usize)),
        Some("array") if full || number("minItems").as_u64() > Some(0) => {
            json!([sample(schema.get("items").unwrap(), full, pick)])
        }
        Some("array") => json!([]),
        Some("object") => Value::Object(sample_object(schema, full, pick)),
        Some(other) => panic!("type {other}"),
    }
}

fn sample_object(schema: &Tree, full: bool, pick: usize) -> Map<String, Value> {
    let required = names(schema.get("required").map_or(&[][..], Tree::items));
    let fields = schema.get("properties").map_or(&[][..], Tree::fields);
    let mut object: Map<String, Value> = fields
        .iter()
        .filter(|(name, _)| full || required.contains(name.as_str()))
        .map(|(name, schema)| (name.clone(), sample(schema, full, pick)))
        .collect();
    match schema.get("additionalProperties") {
        Some(Tree::Bool(true)) if full => drop(object.insert("extra".to_owned(), json!({"a": 1}))),
        Some(rest @ Tree::Object(_)) if full => {
            drop(object.insert("extra".to_owned(), sample(rest, full, pick)));
        }
        _ => {}
    }
    object
}
