//! What is wrong with a value, in the wire's wording (protocol/01 §5).
//!
//! Called by `validate` after the compiled schema said no. Reports all errors; for one object:
//! missing fields in the schema's order, unexpected ones in the order sent, then the errors of
//! its fields in the schema's order. Knows the keywords our schemas use; a test proves that no
//! schema file uses another.

use crate::tree::Tree;
use serde_json::Number;

/// Keywords understood here, besides those that check nothing.
#[cfg(test)]
pub(crate) const KEYWORDS: &[&str] = &[
    "type",
    "maximum",
    "minimum",
    "maxLength",
    "minLength",
    "const",
    "enum",
    "anyOf",
    "maxItems",
    "minItems",
    "items",
    "required",
    "additionalProperties",
    "properties",
];

/// All errors joined with `; `, each once; empty when there are none. `schema` has no `$ref`.
pub(crate) fn errors(schema: &Tree, value: &Tree) -> String {
    let mut walk = Walk {
        path: String::new(),
        found: Vec::new(),
    };
    walk.check(schema, value);
    let mut unique: Vec<String> = Vec::with_capacity(walk.found.len());
    for error in walk.found {
        if !unique.contains(&error) {
            unique.push(error);
        }
    }
    unique.join("; ")
}

struct Walk {
    path: String,
    found: Vec<String>,
}

impl Walk {
    fn report(&mut self, text: &str) {
        if self.path.is_empty() {
            self.found.push(text.to_owned());
        } else {
            self.found.push(format!("at {}: {text}", self.path));
        }
    }

    fn check(&mut self, schema: &Tree, value: &Tree) {
        if let Some(wanted) = schema.get("type").and_then(Tree::as_str)
            && !is_type(wanted, value)
        {
            self.report(&format!("must be {wanted}"));
        }
        match value {
            Tree::Number(n) => self.check_number(schema, n),
            Tree::String(s) => self.check_string(schema, s),
            _ => {}
        }
        self.check_alternatives(schema, value);
        match value {
            Tree::Array(items) => self.check_array(schema, items),
            Tree::Object(fields) => self.check_object(schema, fields),
            _ => {}
        }
    }

    fn check_number(&mut self, schema: &Tree, n: &Number) {
        let value = n.as_f64().unwrap_or(f64::MAX);
        if let Some(limit) = number(schema, "maximum")
            && value > as_f64(limit)
        {
            self.report(&format!("must be <= {limit}"));
        }
        if let Some(limit) = number(schema, "minimum")
            && value < as_f64(limit)
        {
            self.report(&format!("must be >= {limit}"));
        }
    }

    fn check_string(&mut self, schema: &Tree, s: &str) {
        let (max, min) = (number(schema, "maxLength"), number(schema, "minLength"));
        if max.is_none() && min.is_none() {
            return;
        }
        let length = s.chars().count() as f64;
        if let Some(limit) = max.filter(|limit| length > as_f64(limit)) {
            self.report(&format!("must NOT have more than {limit} characters"));
        }
        if let Some(limit) = min.filter(|limit| length < as_f64(limit)) {
            self.report(&format!("must NOT have fewer than {limit} characters"));
        }
    }

    fn check_alternatives(&mut self, schema: &Tree, value: &Tree) {
        if let Some(constant) = schema.get("const")
            && constant != value
        {
            self.report("must be equal to constant");
        }
        if let Some(allowed) = schema.get("enum")
            && !allowed.items().contains(value)
        {
            self.report("must be equal to one of the allowed values");
        }
        let Some(alternatives) = schema.get("anyOf") else {
            return;
        };
        let before = self.found.len();
        for alternative in alternatives.items() {
            let start = self.found.len();
            self.check(alternative, value);
            if self.found.len() == start {
                self.found.truncate(before);
                return;
            }
        }
        self.report("must match a schema in anyOf");
    }

    fn check_array(&mut self, schema: &Tree, items: &[Tree]) {
        let length = items.len() as f64;
        if let Some(limit) = number(schema, "maxItems").filter(|limit| length > as_f64(limit)) {
            self.report(&format!("must NOT have more than {limit} items"));
        }
        if let Some(limit) = number(schema, "minItems").filter(|limit| length < as_f64(limit)) {
            self.report(&format!("must NOT have fewer than {limit} items"));
        }
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.below(&index.to_string(), |walk| walk.check(schema, item));
            }
        }
    }

    fn check_object(&mut self, schema: &Tree, fields: &[(String, Tree)]) {
        let has = |name: &str| fields.iter().any(|(n, _)| n == name);
        for name in schema.get("required").map_or(&[][..], Tree::items) {
            let name = name.as_str().unwrap_or_default();
            if !has(name) {
                self.report(&format!("must have required property '{name}'"));
            }
        }
        let known = schema.get("properties").map_or(&[][..], Tree::fields);
        let extra = fields
            .iter()
            .filter(|(n, _)| !known.iter().any(|(k, _)| k == n));
        match schema.get("additionalProperties") {
            Some(Tree::Bool(false)) => {
                let place = if self.path.is_empty() {
                    "root"
                } else {
                    &self.path
                };
                let texts = extra.map(|(n, _)| format!("at {place}: unexpected property '{n}'"));
                self.found.extend(texts.collect::<Vec<_>>());
            }
            Some(schema @ Tree::Object(_)) => {
                for (name, value) in extra {
                    self.below(name, |walk| walk.check(schema, value));
                }
            }
            _ => {}
        }
        for (name, schema) in known {
            if let Some((_, value)) = fields.iter().find(|(n, _)| n == name) {
                self.below(name, |walk| walk.check(schema, value));
            }
        }
    }

    fn below(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push('/');
        self.path
            .push_str(&step.replace('~', "~0").replace('/', "~1"));
        check(self);
        self.path.truncate(length);
    }
}

fn number<'a>(schema: &'a Tree, keyword: &str) -> Option<&'a Number> {
    if let Some(Tree::Number(n)) = schema.get(keyword) {
        Some(n)
    } else {
        None
    }
}

fn as_f64(n: &Number) -> f64 {
    n.as_f64().unwrap_or(f64::MAX)
}

fn is_type(wanted: &str, value: &Tree) -> bool {
    match value {
        Tree::Null => wanted == "null",
        Tree::Bool(_) => wanted == "boolean",
        Tree::Number(n) => wanted == "number" || (wanted == "integer" && as_f64(n).fract() == 0.0),
        Tree::String(_) => wanted == "string",
        Tree::Array(_) => wanted == "array",
        Tree::Object(_) => wanted == "object",
    }
}
