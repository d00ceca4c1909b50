//! Secrets taken out of what clients see of the file, and put back into what they send.
//!
//! A value is a secret by its schema, or by its key's name: a key that nobody here knows may still
//! hold one. References (`${NAME}`, `{source, …}`) are shown: they say where, not what.

use serde_json::{Map, Value};

use super::merge::id_of;
use super::{Document, FileSchema, edit};

/// What stands in the place of a secret.
const PLACEHOLDER: &str = "__OPENCLAW_REDACTED__";
/// Shortest secret that is looked for in comments too: a shorter one would hit other words.
const LOOKED_FOR_CHARS_MIN: usize = 6;

/// Takes secrets out.
pub struct Redaction<'a> {
    schema: &'a FileSchema,
}

impl<'a> Redaction<'a> {
    /// By this schema, beside the names of keys.
    pub fn new(schema: &'a FileSchema) -> Self {
        Redaction { schema }
    }

    /// The tree without its secrets.
    pub fn tree(&self, tree: &Map<String, Value>) -> Map<String, Value> {
        let mut hidden = Value::Object(tree.clone());
        self.hide(&mut hidden, &mut Vec::new(), false, &mut Vec::new());
        match hidden {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// The text without its secrets, comments included.
    pub fn text(&self, document: &Document) -> Option<String> {
        let text = document.text.as_deref()?;
        let mut hidden = Value::Object(document.own.clone());
        let mut secrets = Vec::new();
        self.hide(&mut hidden, &mut Vec::new(), false, &mut secrets);
        let hidden = hidden.as_object().cloned().unwrap_or_default();
        let mut shown = edit::rewrite(Some(text), &document.own, &hidden);
        secrets.retain(|secret| secret.chars().count() >= LOOKED_FOR_CHARS_MIN);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in secrets {
            shown = shown.replace(&secret, PLACEHOLDER);
        }
        Some(shown)
    }

    fn hide(
        &self,
        value: &mut Value,
        path: &mut Vec<String>,
        inside: bool,
        found: &mut Vec<String>,
    ) {
        let steps: Vec<&str> = path.iter().map(String::as_str).collect();
        let secret = inside || self.schema.is_secret(&steps) || is_secret_name(&steps);
        match value {
            Value::String(text) if secret && !text.trim().is_empty() && !is_reference(text) => {
                found.push(std::mem::replace(text, PLACEHOLDER.to_owned()));
            }
            Value::Number(number) if secret && is_secret_name(&steps) => {
                found.push(number.to_string());
                *value = Value::String(PLACEHOLDER.to_owned());
            }
            Value::Object(map) => {
                // `{source, id}` says where a secret lies.
                let inside = secret && !(map.contains_key("source") && map.contains_key("id"));
                for (key, item) in map {
                    path.push(key.clone());
                    self.hide(item, path, inside && !steps_end_here(path), found);
                    path.pop();
                }
            }
            Value::Array(items) => {
                for (n, item) in items.iter_mut().enumerate() {
                    path.push(n.to_string());
                    self.hide(item, path, secret, found);
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

/// `secrets` itself is full of names that are none.
fn steps_end_here(path: &[String]) -> bool {
    path.first().is_some_and(|first| first == "secrets")
}

/// `${NAME}` and nothing else.
fn is_reference(text: &str) -> bool {
    let name = text
        .trim()
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains(['$', '{', '}']))
}

/// Whether a key with this name usually holds a secret.
fn is_secret_name(path: &[&str]) -> bool {
    if path.first() == Some(&"secrets") {
        return false;
    }
    // Variables are whatever they are.
    if path.len() > 1 && path[0] == "env" && path[1] != "shellEnv" {
        return true;
    }
    let Some(key) = path
        .iter()
        .rev()
        .find(|step| !step.bytes().all(|b| b.is_ascii_digit()))
    else {
        return false;
    };
    let key = key.to_ascii_lowercase().replace(['_', '-'], "");
    if key.ends_with("file") || key.ends_with("path") || key.ends_with("dir") {
        return false;
    }
    let ends = [
        "token",
        "apikey",
        "privatekey",
        "accesskey",
        "credential",
        "credentials",
        "passphrase",
    ];
    ends.iter().any(|end| key.ends_with(end))
        || ["password", "secret", "serviceaccount"]
            .iter()
            .any(|word| key.contains(word))
}

/// Puts secrets back in whose place the placeholder stands, from the same place of `known`. Items
/// of a list are found by their id, else by their number.
///
/// # Errors
/// The dotted path of a placeholder that stands for nothing.
pub fn restore(tree: &mut Map<String, Value>, known: &Map<String, Value>) -> Result<(), String> {
    for (key, value) in tree {
        put_back(value, known.get(key), key)?;
    }
    Ok(())
}

fn put_back(value: &mut Value, known: Option<&Value>, path: &str) -> Result<(), String> {
    match value {
        Value::String(text) if text == PLACEHOLDER => match known {
            Some(Value::String(known)) if known == PLACEHOLDER => return Err(path.to_owned()),
            Some(known) => *value = known.clone(),
            None => return Err(path.to_owned()),
        },
        Value::Object(map) => {
            for (key, item) in map {
                let known = known.and_then(|known| known.get(key));
                put_back(item, known, &format!("{path}.{key}"))?;
            }
        }
        Value::Array(items) => {
            let known = known.and_then(Value::as_array);
            for (n, item) in items.iter_mut().enumerate() {
                let same = known.and_then(|known| match id_of(item) {
                    Some(id) => known.iter().find(|one| id_of(one) == Some(id)),
                    None => known.get(n),
                });
                put_back(item, same, &format!("{path}[{n}]"))?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;
    use std::path::Path;

    const TEXT: &str = "{\n  // the old one: hunter22, not hunter2\n  gateway: { auth: { token: 'hunter22' }, port: 1 },\n  \
        models: { providers: { p: { baseUrl: 'u', apiKey: '${KEY}', headers: { x: 'h3ader-x' } } } },\n  \
        plugin: { my_api_key: 'k3y-of-it', tokenFile: '/a/b', maxTokens: 5, list: [{ id: 'a', password: 'p4ssword' }] },\n  \
        hooks: { token: { source: 'env', id: 'HOOKS' } },\n}";

    fn document() -> Document {
        Document::of_text(Path::new("openclaw.json"), TEXT.into()).unwrap()
    }

    #[test]
    fn no_secret_is_seen_and_the_rest_stays() {
        let schema = FileSchema::new(&[]);
        let redaction = Redaction::new(&schema);
        let text = redaction.text(&document()).unwrap();
        let tree = Value::Object(redaction.tree(&document().own));
        for secret in ["hunter22", "h3ader-x", "k3y-of-it", "p4ssword"] {
            assert!(!text.contains(secret), "{secret}: {text}");
            assert!(!tree.to_string().contains(secret), "{secret}: {tree}");
        }
        assert!(
            text.starts_with("{\n  // the old one: __OPENCLAW_REDACTED__, not hunter2\n"),
            "{text}"
        );
        assert_eq!(tree["models"]["providers"]["p"]["apiKey"], "${KEY}");
        assert_eq!(tree["plugin"]["tokenFile"], "/a/b");
        assert_eq!(tree["plugin"]["maxTokens"], 5);
        assert_eq!(tree["hooks"]["token"]["id"], "HOOKS");
        assert_eq!(json5::from_str::<Value>(&text).unwrap(), tree);
    }

    #[test]
    fn what_was_taken_out_is_put_back() {
        let schema = FileSchema::new(&[]);
        let own = document().own;
        let mut tree = Redaction::new(&schema).tree(&own);
        restore(&mut tree, &own).unwrap();
        assert_eq!(tree, own);
        let mut alone = json!({ "gateway": { "auth": { "password": PLACEHOLDER } } });
        let refused = restore(alone.as_object_mut().unwrap(), &own);
        assert_eq!(refused.unwrap_err(), "gateway.auth.password");
    }

    #[test]
    fn items_are_found_by_their_id() {
        let known = json!({ "l": [{ "id": "a", "token": "1" }, { "id": "b", "token": "2" }] });
        let mut sent = json!({ "l": [{ "id": "b", "token": PLACEHOLDER }] });
        restore(sent.as_object_mut().unwrap(), known.as_object().unwrap()).unwrap();
        assert_eq!(sent["l"][0]["token"], "2");
    }
}
