//! Merge patches as `config.patch` takes them: null removes a key, objects are merged, lists of
//! objects with ids are merged by id, everything else is replaced.

use serde_json::{Map, Value};

/// Applies `patch` to `tree`.
pub fn merge_patch(tree: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (key, change) in patch {
        match (tree.get_mut(&key), change) {
            (_, Value::Null) => _ = tree.remove(&key),
            (Some(Value::Object(known)), Value::Object(change)) => merge_patch(known, change),
            (Some(Value::Array(known)), Value::Array(change)) if have_ids(known, &change) => {
                merge_items(known, change);
            }
            (_, Value::Object(change)) => {
                let mut fresh = Map::new();
                merge_patch(&mut fresh, change);
                tree.insert(key, Value::Object(fresh));
            }
            (_, change) => _ = tree.insert(key, change),
        }
    }
}

/// What an item of a list is known by.
pub(super) fn id_of(item: &Value) -> Option<&str> {
    item.get("id")?.as_str().filter(|id| !id.is_empty())
}

fn have_ids(known: &[Value], change: &[Value]) -> bool {
    !change.is_empty() && known.iter().chain(change).all(|item| id_of(item).is_some())
}

fn merge_items(known: &mut Vec<Value>, change: Vec<Value>) {
    for item in change {
        let same = known.iter_mut().find(|one| id_of(one) == id_of(&item));
        match (same, item) {
            (Some(Value::Object(one)), Value::Object(item)) => merge_patch(one, item),
            (_, item) => known.push(item),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(tree: Value, patch: Value, expected: Value) {
        let (Value::Object(mut tree), Value::Object(patch)) = (tree, patch) else {
            panic!("objects")
        };
        merge_patch(&mut tree, patch);
        assert_eq!(Value::Object(tree), expected);
    }

    #[test]
    fn each_rule() {
        check(
            json!({ "a": 1, "b": { "c": 1, "d": 2 } }),
            json!({ "a": null, "b": { "c": 3 } }),
            json!({ "b": { "c": 3, "d": 2 } }),
        );
        check(
            json!({ "a": 1 }),
            json!({ "a": { "b": null, "c": 1 } }),
            json!({ "a": { "c": 1 } }),
        );
        check(
            json!({ "a": [1, 2] }),
            json!({ "a": [3] }),
            json!({ "a": [3] }),
        );
        check(
            json!({ "list": [{ "id": "x", "n": 1 }, { "id": "y" }] }),
            json!({ "list": [{ "id": "x", "n": null, "m": 2 }, { "id": "z" }] }),
            json!({ "list": [{ "id": "x", "m": 2 }, { "id": "y" }, { "id": "z" }] }),
        );
        check(
            json!({ "list": [{ "id": "x" }] }),
            json!({ "list": [] }),
            json!({ "list": [] }),
        );
    }
}
