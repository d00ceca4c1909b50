//! Whether a text obeys the law, and the wire's wording when it does not.
//!
//! Called by the host for every request and by `frame` for broken frames. Yes or no is said by a
//! compiled schema (compiled once, when a method is first used); only after a no is the schema
//! walked for the wording. Nothing here blocks or does I/O.

use crate::tree::Tree;
use crate::{law, walk};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Said of params that are nested deeper than JSON is read here (128 levels).
const TOO_DEEP: &str = "must be JSON of at most 127 levels";

/// Checks the params of a method, JSON text. Absent params are `{}`, `null` counts as `{}`.
///
/// Methods that take anything (protocol/10 §1), and methods this library does not know, pass.
///
/// # Errors
/// What is wrong, in the wire's wording, without the `invalid <method> params: ` before it.
pub fn params(method: &str, params: &str) -> Result<(), String> {
    checkers()
        .get(method)
        .map_or(Ok(()), |checker| checker.check(params))
}

/// Checks the params of `connect`, JSON text.
///
/// # Errors
/// What is wrong, in the wire's wording, without the `invalid connect params: ` before it.
pub fn connect(params: &str) -> Result<(), String> {
    self::params("connect", params)
}

/// Checks any JSON text against a definition of the law, such as
/// `system.json#/$defs/Health`. Reads and compiles the schema each time: for tests and tools.
///
/// # Errors
/// What is wrong, in the wire's wording, or that there is no such definition.
pub fn against(reference: &str, text: &str) -> Result<(), String> {
    if law::schema(reference).is_none() {
        return Err(format!(
            "no definition {reference} (as in system.json#/$defs/Health)"
        ));
    }
    Checker::new(reference.to_owned()).check_value(text)
}

/// What is wrong with a frame that is no request, in the wire's wording. The text is JSON.
pub(crate) fn request_frame_errors(frame: &str) -> String {
    static FRAME: OnceLock<Tree> = OnceLock::new();
    let schema = FRAME.get_or_init(|| {
        law::schema("frames.json#/$defs/RequestFrame").expect("frames.json has RequestFrame")
    });
    match serde_json::from_str::<Tree>(frame) {
        Ok(tree) => walk::errors(schema, &tree),
        Err(_) => TOO_DEEP.to_owned(),
    }
}

/// The check of one method, compiled when first needed.
struct Checker {
    reference: String,
    compiled: OnceLock<Compiled>,
}

struct Compiled {
    schema: Tree,
    validator: jsonschema::Validator,
    accepts_empty: bool,
}

impl Checker {
    fn new(reference: String) -> Self {
        Self {
            reference,
            compiled: OnceLock::new(),
        }
    }

    fn compiled(&self) -> &Compiled {
        self.compiled.get_or_init(|| {
            let schema = law::schema(&self.reference).expect("methods.json names schemas we have");
            let validator = jsonschema::draft202012::options()
                .build(&schema.to_value())
                .expect("schema files are schemas");
            let accepts_empty = validator.is_valid(&Value::Object(serde_json::Map::new()));
            Compiled {
                schema,
                validator,
                accepts_empty,
            }
        })
    }

    fn check(&self, params: &str) -> Result<(), String> {
        let compiled = self.compiled();
        let params = match params.trim() {
            "" | "null" => "{}",
            params => params,
        };
        if params == "{}" && compiled.accepts_empty {
            return Ok(());
        }
        self.check_value(params)
    }

    fn check_value(&self, text: &str) -> Result<(), String> {
        let compiled = self.compiled();
        let Ok(value) = serde_json::from_str::<Value>(text) else {
            return Err(TOO_DEEP.to_owned());
        };
        if compiled.validator.is_valid(&value) {
            return Ok(());
        }
        let tree = serde_json::from_str::<Tree>(text).map_err(|_| TOO_DEEP.to_owned())?;
        let errors = walk::errors(&compiled.schema, &tree);
        debug_assert!(
            !errors.is_empty(),
            "{} and walk disagree on {text}",
            self.reference
        );
        Err(if errors.is_empty() {
            "must match the schema".to_owned()
        } else {
            errors
        })
    }
}

/// One checker for each method that has a params schema in `methods.json`.
fn checkers() -> &'static HashMap<String, Checker> {
    static CHECKERS: OnceLock<HashMap<String, Checker>> = OnceLock::new();
    CHECKERS.get_or_init(|| {
        let catalogue: Tree = serde_json::from_str(law::METHODS).expect("methods.json is JSON");
        let methods = catalogue.get("methods").map_or(&[][..], Tree::fields);
        methods
            .iter()
            .filter_map(|(name, entry)| {
                let reference = entry.get("params")?.get("$ref")?.as_str()?;
                Some((name.clone(), Checker::new(reference.to_owned())))
            })
            .collect()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(method: &str, text: &str, expected: &str) {
        assert_eq!(
            params(method, text).err().as_deref().unwrap_or(""),
            expected,
            "{method} {text}"
        );
    }

    #[test]
    fn every_method_with_params_compiles() {
        for checker in checkers().values() {
            checker.compiled();
        }
    }

    #[test]
    fn open_and_unknown_methods_take_anything() {
        check("health", r#"{"timeout":15000}"#, "");
        check("status", "5", "");
        check("no.such", "[]", "");
    }

    #[test]
    fn absent_null_and_empty_are_the_same() {
        for text in ["", "null", "{}", " { } "] {
            check("sessions.list", text, "");
            check("agent.wait", text, "must have required property 'runId'");
        }
    }

    #[test]
    fn whole_numbers_may_have_a_point() {
        check("sessions.list", r#"{"limit":123.0}"#, "");
        check(
            "sessions.list",
            r#"{"limit":123.5}"#,
            "at /limit: must be integer",
        );
        check(
            "sessions.list",
            r#"{"limit":0.5}"#,
            "at /limit: must be integer; at /limit: must be >= 1",
        );
    }

    #[test]
    fn unions_say_each_thing_once() {
        check(
            "sessions.reset",
            r#"{"key":"k","reason":7}"#,
            "at /reason: must be string; at /reason: must be equal to constant; at /reason: must \
             match a schema in anyOf",
        );
        check(
            "sessions.patch",
            r#"{"key":"k","label":""}"#,
            "at /label: must NOT have fewer than 1 characters; at /label: must be null; at /label: \
             must match a schema in anyOf",
        );
    }

    #[test]
    fn unexpected_fields_come_in_the_order_sent() {
        check(
            "device.pair.list",
            r#"{"z":1,"a":2,"z":3}"#,
            "at root: unexpected property 'z'; at root: unexpected property 'a'",
        );
    }

    #[test]
    fn deep_values_are_refused_not_fatal() {
        let deep = format!(
            r#"{{"sessionKey":{}}}"#,
            "[".repeat(5000) + &"]".repeat(5000)
        );
        check("chat.history", &deep, TOO_DEEP);
    }
}
