//! Holds a plugin's manifest against its configuration type. For a plugin's own tests and for the
//! conformance suite.

use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde_json::Value;

use crate::manifest::{Manifest, ManifestLimits};
use crate::surface::Surface;

/// Checks a manifest's text against its rules and against `S::Config`: no key that nobody reads
/// (a gateway passes it over, as it may be newer than itself), every field the plugin
/// reads must be in `configSchema`, and each of the schema's `examples` must be a configuration
/// the plugin can read.
///
/// # Errors
/// All that is wrong.
pub fn check_manifest<S: Surface>(json: &str) -> Result<Manifest, Vec<String>> {
    let unreadable = |e: serde_json::Error| vec![format!("plugin.json: {e}")];
    let raw: Value = serde_json::from_str(json).map_err(unreadable)?;
    let manifest: Manifest = serde_json::from_str(json).map_err(unreadable)?;
    let mut problems = manifest.problems();
    problems.extend(unknown::<Manifest>("", Some(&raw)));
    problems.extend(unknown::<ManifestLimits>("limits.", raw.get("limits")));
    let schema = &manifest.config_schema;
    for field in fields_of::<S::Config>() {
        let property = schema.get("properties").and_then(|all| all.get(field));
        if property.is_none() {
            problems.push(format!(
                "configSchema lacks {field:?}, which the plugin reads"
            ));
        }
    }
    let examples = schema.get("examples").and_then(Value::as_array);
    for example in examples.into_iter().flatten() {
        if let Err(e) = serde_json::from_value::<S::Config>(example.clone()) {
            problems.push(format!("the plugin cannot read the example {example}: {e}"));
        }
    }
    for pointer in &manifest.secrets {
        if !leads_somewhere(pointer, schema) {
            problems.push(format!("secret {pointer:?} is not in configSchema"));
        }
    }
    if problems.is_empty() {
        Ok(manifest)
    } else {
        Err(problems)
    }
}

/// Whether `schema` has what the pointer names; true where more than `properties` says what may
/// be there.
fn leads_somewhere(pointer: &str, schema: &Value) -> bool {
    let mut at = schema;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let Some(next) = at.get("properties").and_then(|all| all.get(&part)) else {
            const OTHERS: [&str; 6] = [
                "$ref",
                "items",
                "additionalProperties",
                "allOf",
                "anyOf",
                "oneOf",
            ];
            return OTHERS
                .iter()
                .any(|other| at.get(other).is_some_and(|o| *o != false));
        };
        at = next;
    }
    true
}

/// Keys of `object` that no field of `T` reads.
fn unknown<T: DeserializeOwned>(prefix: &str, object: Option<&Value>) -> Vec<String> {
    let known = fields_of::<T>();
    let keys = object.and_then(Value::as_object).into_iter().flatten();
    keys.filter(|(key, _)| !known.contains(&key.as_str()))
        .map(|(key, _)| format!("plugin.json has no key {:?}", format!("{prefix}{key}")))
        .collect()
}

/// The names a struct reads, learned by asking it.
fn fields_of<T: DeserializeOwned>() -> &'static [&'static str] {
    struct Ask<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Ask<'_> {
        type Error = de::value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("only asking"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            Err(de::Error::custom("only asking"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut fields: &'static [&'static str] = &[];
    let asked = PhantomData::<T>;
    // Always an error: nothing was given to be read.
    de::DeserializeSeed::deserialize(asked, Ask(&mut fields)).err();
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(pointer: &str, expected: bool) {
        let schema = json!({
            "properties": {
                "token": { "type": "string" },
                "sasl": { "properties": { "password": {} }, "additionalProperties": false },
                "extra": { "additionalProperties": { "type": "string" } },
            },
        });
        assert_eq!(leads_somewhere(pointer, &schema), expected, "{pointer}");
    }

    #[test]
    fn secrets_are_sought_in_the_whole_schema() {
        check("/token", true);
        check("/tokem", false);
        check("/sasl/password", true);
        check("/sasl/pasword", false);
        check("/token/deeper", false);
        check("/extra/any", true);
    }

    #[test]
    fn keys_that_nobody_reads_are_named() {
        let manifest = json!({ "id": "x", "license": "MIT", "capabilites": [], "limits": {} });
        let found = unknown::<Manifest>("", Some(&manifest));
        assert_eq!(found, ["plugin.json has no key \"capabilites\""]);
        let limits = json!({ "maxText": 1, "maxtext": 2 });
        let found = unknown::<ManifestLimits>("limits.", Some(&limits));
        assert_eq!(found, ["plugin.json has no key \"limits.maxtext\""]);
    }
}
