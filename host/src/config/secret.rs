//! A secret value that doesn't show itself.

use std::fmt;

/// The word in a schema that marks a secret; not told to clients.
pub const SECRET_MARK: &str = "x-secret";

/// Text that never appears in logs, errors or debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The secret itself. Give it only to what must have it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> serde::Deserialize<'de> for Secret {
    /// From a plain string: references are resolved before (see `load`).
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }
}

impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// Text, or where it lies. Marked, for whoever shows or hides it.
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let reference = |source: &str| {
            schemars::json_schema!({
                "type": "object",
                "properties": {
                    "source": { "type": "string", "const": source },
                    "provider": { "type": "string" },
                    "id": { "type": "string" },
                },
                "required": ["source", "id"],
                "additionalProperties": false,
            })
        };
        let references = [reference("env"), reference("file"), reference("exec")];
        schemars::json_schema!({
            SECRET_MARK: true,
            "anyOf": [{ "type": "string" }, { "oneOf": references }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_it() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }
}
