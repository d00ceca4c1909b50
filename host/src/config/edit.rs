//! Puts one key into a JSON5 text and leaves every other byte as it is: comments, order, style.
//!
//! Called by `load` to save a generated token. It doesn't check the text: that was parsed before.

/// Inserts a string at `path` (objects are created as needed).
///
/// # Errors
/// When the key is there already with a value of its own, or a parent isn't an object.
pub(super) fn insert_string(text: &str, path: &[&str], value: &str) -> Result<String, String> {
    let mut at = skip_blank(text, text.find('{').map_or(text.len(), |_| 0));
    if !text[at..].starts_with('{') {
        return Err("the file is not an object".into());
    }
    let mut depth = 0;
    while depth < path.len() {
        match find_member(text, at, path[depth]) {
            Some(member) if depth + 1 == path.len() => {
                let rest = value_end(text, member);
                return Ok(format!(
                    "{}{}{}",
                    &text[..member],
                    quoted(value),
                    &text[rest..]
                ));
            }
            Some(member) if text[member..].starts_with('{') => at = member,
            Some(_) => return Err(format!("{} is not an object", path[..=depth].join("."))),
            None => break,
        }
        depth += 1;
    }
    let missing = &path[depth..];
    let mut member = quoted(value);
    for (i, key) in missing.iter().enumerate().rev() {
        member = if i == 0 {
            format!("{}: {member}", quoted(key))
        } else {
            format!("{{ {}: {member} }}", quoted(key))
        };
    }
    let inside = at + 1;
    let comma = if text[skip_blank(text, inside)..].starts_with('}') {
        ""
    } else {
        ","
    };
    Ok(format!(
        "{}\n  {member}{comma}{}",
        &text[..inside],
        &text[inside..]
    ))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The start of the value of `key` in the object that opens at `open`.
fn find_member(text: &str, open: usize, key: &str) -> Option<usize> {
    let mut at = skip_blank(text, open + 1);
    while at < text.len() && !text[at..].starts_with('}') {
        let end = value_end(text, at);
        let name = text[at..end].trim_matches(['"', '\'']);
        let colon = skip_blank(text, end);
        let value = skip_blank(text, colon + 1);
        if name == key {
            return Some(value);
        }
        at = skip_blank(text, value_end(text, value));
        if text[at..].starts_with(',') {
            at = skip_blank(text, at + 1);
        }
    }
    None
}

/// The first byte that is neither white space nor comment, at or after `at`.
fn skip_blank(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        at += rest.len() - trimmed.len();
        let length = if trimmed.starts_with("//") {
            trimmed.find('\n').unwrap_or(trimmed.len())
        } else if trimmed.starts_with("/*") {
            trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
        } else {
            return at;
        };
        at += length;
    }
}

/// The first byte after the key or value that starts at `at`.
fn value_end(text: &str, at: usize) -> usize {
    let mut depth = 0usize;
    let mut i = at;
    while i < text.len() {
        let rest = &text[i..];
        let c = rest.chars().next().unwrap_or(' ');
        match c {
            '"' | '\'' => {
                i = string_end(text, i);
                if depth == 0 {
                    return i;
                }
                continue;
            }
            '{' | '[' => depth += 1,
            '}' | ']' if depth <= 1 => return if depth == 1 { i + 1 } else { i },
            '}' | ']' => depth -= 1,
            ',' | ':' if depth == 0 => return i,
            _ if depth == 0 && c.is_whitespace() => return i,
            '/' if rest.starts_with("//") || rest.starts_with("/*") => {
                if depth == 0 {
                    return i;
                }
                i = skip_blank(text, i);
                continue;
            }
            _ => {}
        }
        i += c.len_utf8();
    }
    i
}

fn string_end(text: &str, open: usize) -> usize {
    let quote = text.as_bytes()[open];
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(open + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b if b == quote => return i + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(text: &str, expected: Value) {
        let edited = insert_string(text, &["gateway", "auth", "token"], "T").unwrap();
        let value: Value = json5::from_str(&edited).unwrap_or_else(|e| panic!("{e}: {edited}"));
        assert_eq!(value, expected, "{edited}");
    }

    #[test]
    fn each_depth_of_what_is_missing() {
        check("{}", json!({"gateway": {"auth": {"token": "T"}}}));
        check(
            "{a:1}",
            json!({"a": 1, "gateway": {"auth": {"token": "T"}}}),
        );
        check("{gateway:{}}", json!({"gateway": {"auth": {"token": "T"}}}));
        check(
            "// head\n{ x: ['}', /* } */ {y: \"a\\\"}\"}], 'gateway' : { port: 1, // p\n }, }",
            json!({"x": ["}", {"y": "a\"}"}], "gateway": {"auth": {"token": "T"}, "port": 1}}),
        );
        check(
            "{\"gateway\": {\"auth\": {\"mode\": \"token\"}}}",
            json!({"gateway": {"auth": {"mode": "token", "token": "T"}}}),
        );
        check(
            "{gateway:{auth:{token:''}}}",
            json!({"gateway": {"auth": {"token": "T"}}}),
        );
    }

    #[test]
    fn a_parent_that_is_no_object_is_refused() {
        let refused = insert_string("{gateway: 5}", &["gateway", "auth"], "T").unwrap_err();
        assert_eq!(refused, "gateway is not an object");
    }
}
