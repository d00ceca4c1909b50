//! Words with `{{…}}` in them: parts of a hook's request. Pure.

use serde_json::{Map, Value};

use crate::limits::HOOK_TEXT_CHARS_MAX;

/// What a template may name.
pub(super) struct Facts<'a> {
    /// The body of the request.
    pub(super) payload: &'a Map<String, Value>,
    /// The path below `hooks.path`.
    pub(super) path: &'a str,
    /// Headers by lower-case name.
    pub(super) header: &'a dyn Fn(&str) -> Option<String>,
    /// Fields of the query.
    pub(super) query: &'a dyn Fn(&str) -> Option<String>,
    /// The time, as RFC 3339.
    pub(super) now: String,
}

/// Fills a template in. What is not there is empty; what is no text stands as JSON.
pub(super) fn fill(template: &str, facts: &Facts<'_>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find("{{") {
        let Some(end) = rest[at..].find("}}") else {
            break;
        };
        out.push_str(&rest[..at]);
        out.push_str(&facts.value(rest[at + 2..at + end].trim()));
        rest = &rest[at + end + 2..];
        if out.len() > 4 * HOOK_TEXT_CHARS_MAX {
            break;
        }
    }
    out.push_str(rest);
    out.chars().take(HOOK_TEXT_CHARS_MAX).collect()
}

/// Whether a text has something to fill in.
pub(super) fn is_template(text: &str) -> bool {
    text.contains("{{")
}

impl Facts<'_> {
    fn value(&self, name: &str) -> String {
        let steps = steps(name);
        let mut names = steps.iter().map(String::as_str);
        let first = names.next().unwrap_or_default();
        let second = steps.get(1).map(String::as_str).unwrap_or_default();
        let found = match first {
            "path" => return self.path.to_owned(),
            "now" => return self.now.clone(),
            "headers" => return (self.header)(&second.to_lowercase()).unwrap_or_default(),
            "query" => return (self.query)(second).unwrap_or_default(),
            "payload" => find(self.payload, names),
            _ => find(self.payload, steps.iter().map(String::as_str)),
        };
        match found {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }
}

fn find<'a, 's>(
    payload: &'a Map<String, Value>,
    mut names: impl Iterator<Item = &'s str>,
) -> Option<&'a Value> {
    let mut here = payload.get(names.next()?)?;
    for name in names {
        here = match here {
            Value::Object(map) => map.get(name)?,
            Value::Array(items) => items.get(name.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(here)
}

/// `a.b[0].c` → `a`, `b`, `0`, `c`.
fn steps(name: &str) -> Vec<String> {
    let dotted = name.replace('[', ".").replace(']', "");
    let steps = dotted.split('.').map(str::trim);
    steps
        .filter(|step| !step.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parts_are_named_by_their_path() {
        let payload = json!({
            "messages": [{ "from": "ann", "n": 2 }], "payload": { "x": "inner" }, "none": null,
            "evil": "{{now}}",
        });
        let payload = payload.as_object().cloned().unwrap_or_default();
        let facts = Facts {
            payload: &payload,
            path: "gmail",
            header: &|name| (name == "x-a").then(|| "h".into()),
            query: &|name| (name == "q").then(|| "v".into()),
            now: "2026".into(),
        };
        for (template, expected) in [
            ("plain", "plain"),
            ("{{messages[0].from}}", "ann"),
            ("{{ messages.0.n }}!", "2!"),
            ("{{messages[0]}}", "{\"from\":\"ann\",\"n\":2}"),
            ("{{payload.messages[0].from}}", "ann"),
            ("{{messages[9].from}}{{none}}{{zzz.a}}", ""),
            (
                "{{path}} {{now}} {{headers.X-A}} {{query.q}}",
                "gmail 2026 h v",
            ),
            // What was filled in is not filled in again.
            ("{{evil}}", "{{now}}"),
            ("open {{messages", "open {{messages"),
            ("{{}}{{ }}", ""),
        ] {
            assert_eq!(fill(template, &facts), expected, "{template}");
        }
        let large = "{{evil}}".repeat(HOOK_TEXT_CHARS_MAX);
        assert!(fill(&large, &facts).chars().count() <= HOOK_TEXT_CHARS_MAX);
    }
}
