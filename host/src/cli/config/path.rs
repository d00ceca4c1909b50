//! Paths into the configuration as people write them: `agents.list[0].id`, a backslash before a
//! dot that belongs to a name. Pure: a tree in, a value or another tree out.

use serde_json::{Map, Value};

/// The steps of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    steps: Vec<String>,
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// An empty one, and brackets that don't close or hold nothing.
    pub fn read(text: &str) -> Result<Path, String> {
        let mut steps = vec![String::new()];
        let mut rest = text.trim().chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => push(&mut steps, rest.next()),
                '.' => steps.push(String::new()),
                '[' => {
                    let inside = rest.as_str();
                    let (number, after) = inside
                        .split_once(']')
                        .ok_or_else(|| format!("invalid path (missing \"]\"): {text}"))?;
                    if number.trim().is_empty() {
                        return Err(format!("invalid path (empty \"[]\"): {text}"));
                    }
                    steps.push(number.trim().to_owned());
                    steps.push(String::new());
                    rest = after.chars();
                }
                c => push(&mut steps, Some(c)),
            }
        }
        let steps: Vec<String> = steps
            .iter()
            .map(|step| step.trim().to_owned())
            .filter(|step| !step.is_empty())
            .collect();
        if steps.is_empty() {
            return Err("the path is empty".to_owned());
        }
        Ok(Path { steps })
    }

    /// What lies at the path.
    pub fn find<'a>(&self, tree: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, rest) = self.steps.split_first()?;
        let mut found = tree.get(first)?;
        for step in rest {
            found = match found {
                Value::Object(map) => map.get(step)?,
                Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(found)
    }

    /// Puts a value there; objects and lists on the way are made.
    ///
    /// # Errors
    /// When the way leads through a value that has no parts, or past the end of a list.
    pub fn set(&self, tree: &mut Map<String, Value>, value: Value) -> Result<(), String> {
        let mut root = Value::Object(std::mem::take(tree));
        let done = self.put(&mut root, value);
        if let Value::Object(map) = root {
            *tree = map;
        }
        done
    }

    fn put(&self, root: &mut Value, value: Value) -> Result<(), String> {
        let mut place = root;
        for (n, step) in self.steps.iter().enumerate() {
            place = match place {
                Value::Array(items) => {
                    let number: usize = step
                        .parse()
                        .map_err(|_| format!("\"{step}\" is no place in a list"))?;
                    if number > items.len() {
                        let most = items.len();
                        return Err(format!("the list has {most} items, there is no [{number}]"));
                    }
                    if number == items.len() {
                        items.push(Value::Null);
                    }
                    &mut items[number]
                }
                Value::Object(map) => map.entry(step.clone()).or_insert(Value::Null),
                _ => return Err(format!("\"{step}\" lies in a value that has no parts")),
            };
            if let Some(next) = self.steps.get(n + 1).filter(|_| !has_parts(place)) {
                *place = match next.parse::<usize>() {
                    Ok(_) => Value::Array(Vec::new()),
                    Err(_) => Value::Object(Map::new()),
                };
            }
        }
        *place = value;
        Ok(())
    }

    /// Takes out what lies there; false when nothing does.
    pub fn unset(&self, tree: &mut Map<String, Value>) -> bool {
        let Some((last, way)) = self.steps.split_last() else {
            return false;
        };
        let Some((first, rest)) = way.split_first() else {
            return tree.remove(last).is_some();
        };
        let mut place = tree.get_mut(first);
        for step in rest {
            place = match place {
                Some(Value::Object(map)) => map.get_mut(step),
                Some(Value::Array(items)) => {
                    step.parse::<usize>().ok().and_then(|n| items.get_mut(n))
                }
                _ => None,
            };
        }
        match (place, last.parse::<usize>()) {
            (Some(Value::Object(map)), _) => map.remove(last).is_some(),
            (Some(Value::Array(items)), Ok(n)) if n < items.len() => {
                items.remove(n);
                true
            }
            _ => false,
        }
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.steps.join("."))
    }
}

fn push(steps: &mut [String], c: Option<char>) {
    if let Some(last) = steps.last_mut() {
        last.extend(c);
    }
}

fn has_parts(value: &Value) -> bool {
    value.is_object() || value.is_array()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn tree() -> Map<String, Value> {
        let value = json!({ "a": { "b": 1, "c.d": 2 }, "list": [{ "id": "x" }, { "id": "y" }] });
        value.as_object().unwrap().clone()
    }

    #[test]
    fn paths_are_read_and_found() {
        for (text, expected) in [
            ("a.b", Some(json!(1))),
            (" a . b ", Some(json!(1))),
            ("a.c\\.d", Some(json!(2))),
            ("a[c.d]", Some(json!(2))),
            ("list[1].id", Some(json!("y"))),
            ("list.1.id", Some(json!("y"))),
            ("list[2]", None),
            ("list.id", None),
            ("a.b.c", None),
            ("nosuch", None),
        ] {
            let found = Path::read(text).unwrap().find(&tree()).cloned();
            assert_eq!(found, expected, "{text}");
        }
        for wrong in ["", " . ", "a[", "a[]"] {
            assert!(Path::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_put_and_taken_out() {
        let set = |path: &str, value: Value| {
            let mut tree = tree();
            let done = Path::read(path).unwrap().set(&mut tree, value);
            done.map(|()| Value::Object(tree))
        };
        assert_eq!(set("a.b", json!({"x": 1})).unwrap()["a"]["b"]["x"], 1);
        assert_eq!(
            set("n.list[0].id", json!("z")).unwrap()["n"]["list"][0]["id"],
            "z"
        );
        assert_eq!(set("list[2].id", json!("z")).unwrap()["list"][2]["id"], "z");
        assert_eq!(set("a.b.c", json!(1)).unwrap()["a"]["b"]["c"], 1);
        for wrong in ["list[4].id", "list.x"] {
            assert!(set(wrong, json!(1)).is_err(), "{wrong}");
        }
        let unset = |path: &str| {
            let mut tree = tree();
            let done = Path::read(path).unwrap().unset(&mut tree);
            done.then_some(Value::Object(tree))
        };
        assert_eq!(unset("list[0]").unwrap()["list"], json!([{ "id": "y" }]));
        assert_eq!(unset("a.b").unwrap()["a"], json!({ "c.d": 2 }));
        assert!(unset("a").is_some());
        for wrong in ["list[2]", "a.x", "a.b.c", "nosuch", "list.x"] {
            assert!(unset(wrong).is_none(), "{wrong}");
        }
    }
}
