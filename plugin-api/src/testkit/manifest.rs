//! Holds a plugin's manifest against its configuration type. For a plugin's own tests and for the
//! conformance suite.

use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde_json::Value;

use crate::manifest::Manifest;
use crate::surface::Surface;

/// Checks a manifest's text against its rules and against `S::Config`: every field the plugin
/// reads must be in `configSchema`, and each of the schema's `examples` must be a configuration
/// the plugin can read.
///
/// # Errors
/// All that is wrong.
pub fn check_manifest<S: Surface>(json: &str) -> Result<Manifest, Vec<String>> {
    let manifest: Manifest =
        serde_json::from_str(json).map_err(|e| vec![format!("plugin.json: {e}")])?;
    let mut problems = manifest.problems();
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
        let top = pointer.split('/').nth(1).unwrap_or_default();
        if schema
            .get("properties")
            .and_then(|all| all.get(top))
            .is_none()
        {
            problems.push(format!("secret {pointer:?} is not in configSchema"));
        }
    }
    if problems.is_empty() {
        Ok(manifest)
    } else {
        Err(problems)
    }
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
