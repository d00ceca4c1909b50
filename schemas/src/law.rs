//! The schema files, compiled into the library, and how a reference between them is followed.
//!
//! Used by `validate` and by tests. A reference is written `chat.json#/$defs/ChatSendParams`,
//! inside one file `#/$defs/ChatSendParams`.

use crate::tree::Tree;

/// Every schema file by name.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("frames.json", include_str!("../frames.json")),
    ("connect.json", include_str!("../connect.json")),
    ("presence.json", include_str!("../presence.json")),
    ("devices.json", include_str!("../devices.json")),
    ("channels.json", include_str!("../channels.json")),
    ("plugins.json", include_str!("../plugins.json")),
    ("send.json", include_str!("../send.json")),
    ("chat.json", include_str!("../chat.json")),
    ("agent.json", include_str!("../agent.json")),
    ("agents.json", include_str!("../agents.json")),
    ("sessions.json", include_str!("../sessions.json")),
    ("system.json", include_str!("../system.json")),
    ("usage.json", include_str!("../usage.json")),
    ("config.json", include_str!("../config.json")),
    ("cron.json", include_str!("../cron.json")),
    ("voice.json", include_str!("../voice.json")),
    ("approvals.json", include_str!("../approvals.json")),
    ("skills.json", include_str!("../skills.json")),
    ("nodes.json", include_str!("../nodes.json")),
];

/// The catalogue of methods.
pub(crate) const METHODS: &str = include_str!("../methods.json");

/// The catalogue of events.
#[cfg(test)]
pub(crate) const EVENTS: &str = include_str!("../events.json");

/// What stands between file and definition in a reference.
const PLACE: &str = "#/$defs/";

/// How deep references may lead: schemas are not recursive, a loop is a mistake in a file.
const DEPTH_MAX: usize = 32;

/// One file, in its own order. The files are part of this library and every one is read by a
/// test, so a broken one never leaves the workshop.
pub(crate) fn file(name: &str) -> Option<Tree> {
    let (_, text) = FILES.iter().find(|(n, _)| *n == name)?;
    Some(serde_json::from_str(text).expect("schema files are JSON"))
}

/// The schema a reference names, with all references in it replaced by what they name.
pub(crate) fn schema(reference: &str) -> Option<Tree> {
    let (name, place) = reference.split_once(PLACE)?;
    definition(&file(name)?, name, place, 0)
}

fn definition(here: &Tree, name: &str, place: &str, depth: usize) -> Option<Tree> {
    assert!(depth < DEPTH_MAX, "{name}: {place} refers to itself");
    Some(expand(here.get("$defs")?.get(place)?, here, name, depth))
}

fn expand(schema: &Tree, here: &Tree, name: &str, depth: usize) -> Tree {
    if let Some(reference) = schema.get("$ref").and_then(Tree::as_str) {
        return match reference.split_once(PLACE) {
            Some(("", place)) => definition(here, name, place, depth + 1),
            Some((other, place)) => {
                file(other).and_then(|there| definition(&there, other, place, depth + 1))
            }
            None => None,
        }
        .unwrap_or_else(|| panic!("{name} refers to {reference}, which does not exist"));
    }
    let expand = |s: &Tree| expand(s, here, name, depth);
    match schema {
        Tree::Array(items) => Tree::Array(items.iter().map(expand).collect()),
        Tree::Object(fields) => {
            Tree::Object(fields.iter().map(|(n, s)| (n.clone(), expand(s))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::KEYWORDS;

    #[test]
    fn every_definition_expands_compiles_and_is_understood() {
        for (name, _) in FILES {
            let file = file(name).expect("it is in the list");
            for (definition, _) in file
                .get("$defs")
                .expect("each file has definitions")
                .fields()
            {
                let schema = schema(&format!("{name}#/$defs/{definition}")).expect("it exists");
                assert_eq!(
                    schema.get("title").and_then(Tree::as_str),
                    Some(definition.as_str())
                );
                understood(&schema, definition);
                jsonschema::draft202012::new(&schema.to_value()).expect("a valid schema");
            }
        }
    }

    /// The walk knows every keyword of a schema.
    fn understood(schema: &Tree, place: &str) {
        for (keyword, value) in schema.fields() {
            let said = ["title", "description"].contains(&keyword.as_str());
            assert!(
                said || KEYWORDS.contains(&keyword.as_str()),
                "{place}: {keyword}"
            );
            match keyword.as_str() {
                "properties" => value.fields().iter().for_each(|(n, s)| understood(s, n)),
                "anyOf" => value.items().iter().for_each(|s| understood(s, place)),
                "items" | "additionalProperties" => understood(value, place),
                _ => {}
            }
        }
    }
}
