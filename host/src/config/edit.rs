//! Brings a JSON5 text to another tree and leaves every other byte as it is: comments, order, style.
//!
//! Used for every change of the person's file. Where the text can't be followed (a key twice, an
//! escaped key) the whole is written anew: the tree always comes out right.

use serde_json::{Map, Value};

use super::text::{self, skip_blank, string_end};

/// The text for `new`, made of the text whose tree is `old`. `None` stands for no file.
pub fn rewrite(text: Option<&str>, old: &Map<String, Value>, new: &Map<String, Value>) -> String {
    let anew = || format!("{:#}\n", Value::Object(new.clone()));
    let Some(text) = text.filter(|_| !old.is_empty()) else {
        return anew();
    };
    let mut edited = text.to_owned();
    if follow(&mut edited, &mut Vec::new(), old, new).is_none() {
        return anew();
    }
    match text::read(&edited) {
        Ok(Value::Object(tree)) if tree == *new => edited,
        _ => anew(),
    }
}

/// Edits the object at `path`; `None` when it isn't found.
fn follow(
    text: &mut String,
    path: &mut Vec<String>,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
) -> Option<()> {
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        let open = object_at(text, path)?;
        remove_member(text, open, key)?;
    }
    for (key, value) in new {
        match (old.get(key), value) {
            (Some(was), is) if was == is => {}
            (Some(Value::Object(was)), Value::Object(is)) if !was.is_empty() => {
                path.push(key.clone());
                follow(text, path, was, is)?;
                path.pop();
            }
            (Some(_), is) => {
                let open = object_at(text, path)?;
                let at = members(text, open).into_iter().find(|m| m.name == *key)?;
                let indent = indentation(text, at.key);
                text.replace_range(at.value..at.end, &written(is, &indent));
            }
            (None, is) => {
                let open = object_at(text, path)?;
                insert_member(text, open, key, is);
            }
        }
    }
    Some(())
}

/// One member of an object, by places in the text.
struct Member {
    name: String,
    key: usize,
    value: usize,
    end: usize,
    /// Of the comma after it.
    comma: Option<usize>,
}

/// The members of the object that opens at `open`.
fn members(text: &str, open: usize) -> Vec<Member> {
    let mut found = Vec::new();
    let mut at = skip_blank(text, open + 1);
    while at < text.len() && !text[at..].starts_with('}') {
        let key = at;
        let key_end = value_end(text, key);
        let colon = skip_blank(text, key_end);
        let value = skip_blank(text, (colon + 1).min(text.len()));
        let end = value_end(text, value);
        let after = skip_blank(text, end);
        let comma = text[after..].starts_with(',').then_some(after);
        found.push(Member {
            name: text[key..key_end].trim_matches(['"', '\'']).to_owned(),
            key,
            value,
            end,
            comma,
        });
        let next = comma.map_or(after, |comma| skip_blank(text, comma + 1));
        if next <= key {
            break;
        }
        at = next;
    }
    found
}

/// Where the object at `path` opens.
fn object_at(text: &str, path: &[String]) -> Option<usize> {
    let mut open = skip_blank(text, 0);
    for key in path {
        let member = members(text, open).into_iter().find(|m| m.name == *key)?;
        open = member.value;
    }
    text[open..].starts_with('{').then_some(open)
}

fn insert_member(text: &mut String, open: usize, key: &str, value: &Value) {
    let known = members(text, open);
    let close = value_end(text, open).saturating_sub(1);
    let spread = text[open..close].contains('\n') || known.is_empty();
    let outer = indentation(text, open);
    let indent = match known.first().filter(|_| spread) {
        Some(first) => indentation(text, first.key),
        None => format!("{outer}  "),
    };
    // Keys are quoted unless the person leaves the quotes out.
    let bare = known
        .first()
        .is_some_and(|m| !text[m.key..].starts_with(['"', '\'']));
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let plain = key.chars().all(plain) && !key.starts_with(|c: char| c.is_ascii_digit());
    let name = if bare && plain {
        key.to_owned()
    } else {
        quoted(key)
    };
    let Some(last) = known.last() else {
        let member = format!("\n{indent}{name}: {}\n{outer}", written(value, &indent));
        let kept = text[open + 1..close].trim_end().len();
        text.replace_range(open + 1 + kept..close, &member);
        return;
    };
    if !spread {
        let comma = if last.comma.is_some() { "" } else { "," };
        let at = last.comma.map_or(last.end, |comma| comma + 1);
        text.insert_str(at, &format!("{comma} {name}: {value}"));
        return;
    }
    // Behind a comment that belongs to the last one.
    let end = open + text[open..close].trim_end().len();
    let comma = if last.comma.is_some() { "," } else { "" };
    let member = format!("\n{indent}{name}: {}{comma}", written(value, &indent));
    text.insert_str(end, &member);
    if last.comma.is_none() {
        text.insert(last.end, ',');
    }
}

fn remove_member(text: &mut String, open: usize, key: &str) -> Option<()> {
    let known = members(text, open);
    let place = known.iter().position(|m| m.name == key)?;
    let member = &known[place];
    let mut start = member.key;
    let mut end = member.comma.map_or(member.end, |comma| comma + 1);
    // A line of its own goes as a whole.
    let before = &text[..start];
    let line = before.trim_end_matches([' ', '\t']).len();
    let after = &text[end..];
    let rest = after.trim_start_matches([' ', '\t']);
    if before[..line].ends_with('\n') && rest.starts_with('\n') {
        start = line - 1;
        end += after.len() - rest.len();
    } else if !rest.starts_with('\n') {
        end += after.len() - rest.len();
    }
    text.replace_range(start..end, "");
    let is_last = place + 1 == known.len();
    let dangling = place.checked_sub(1).and_then(|before| known[before].comma);
    if let Some(comma) = dangling.filter(|_| is_last && member.comma.is_none()) {
        text.replace_range(comma..=comma, "");
    }
    Some(())
}

/// The white space that the line of `at` begins with.
fn indentation(text: &str, at: usize) -> String {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let blank = |c: &char| matches!(c, ' ' | '\t');
    text[line..at].chars().take_while(blank).collect()
}

/// A value as it stands in a text whose line begins with `indent`.
fn written(value: &Value, indent: &str) -> String {
    format!("{value:#}").replace('\n', &format!("\n{indent}"))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn tree(text: &str) -> Map<String, Value> {
        json5::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
    }

    #[track_caller]
    fn check(text: &str, new: Value, expected: &str) {
        let new = new.as_object().unwrap();
        let edited = rewrite(Some(text), &tree(text), new);
        assert_eq!(edited, expected);
        assert_eq!(tree(&edited), *new);
    }

    #[test]
    fn what_does_not_change_stays() {
        let text = "// head\n{\n  a: 1, // one\n  'b': { c: [1, 2], /* } */ d: \"x\" },\n}\n";
        check(
            text,
            json!({ "a": 1, "b": { "c": [1, 2], "d": "x" } }),
            text,
        );
        check(
            text,
            json!({ "a": 2, "b": { "c": [1, 2], "d": "y\"" } }),
            "// head\n{\n  a: 2, // one\n  'b': { c: [1, 2], /* } */ d: \"y\\\"\" },\n}\n",
        );
    }

    #[test]
    fn new_keys_come_last_in_the_style_of_the_others() {
        check(
            "{\n  a: 1 // one\n}",
            json!({ "a": 1, "b": { "c": true } }),
            "{\n  a: 1, // one\n  b: {\n    \"c\": true\n  }\n}",
        );
        check(
            "{\n  \"a\": { \"x\": 1 }\n}",
            json!({ "a": { "x": 1, "y": { "z": 2 } } }),
            "{\n  \"a\": { \"x\": 1, \"y\": {\"z\":2} }\n}",
        );
        check(
            "{ a: {}, }",
            json!({ "a": { "b": 1 } }),
            "{ a: {\n  \"b\": 1\n}, }",
        );
        check(
            "{\n  a: {\n    // empty\n  },\n}",
            json!({ "a": {}, "b": 1 }),
            "{\n  a: {\n    // empty\n  },\n  b: 1,\n}",
        );
    }

    #[test]
    fn keys_that_go_leave_no_gap() {
        let text = "{\n  \"a\": 1,\n  \"b\": 2,\n  \"c\": 3\n}";
        check(
            text,
            json!({ "a": 1, "c": 3 }),
            "{\n  \"a\": 1,\n  \"c\": 3\n}",
        );
        check(
            text,
            json!({ "a": 1, "b": 2 }),
            "{\n  \"a\": 1,\n  \"b\": 2\n}",
        );
        check("{ a: 1, b: 2 }", json!({ "b": 2 }), "{ b: 2 }");
        check("{ a: 1, b: 2 }", json!({ "a": 1 }), "{ a: 1 }");
        serde_json::from_str::<Value>(&rewrite(
            Some(text),
            &tree(text),
            json!({ "b": 2 }).as_object().unwrap(),
        ))
        .unwrap();
    }

    #[test]
    fn a_text_that_cannot_be_followed_is_written_anew() {
        let text = "{ a: 1, a: 2 }";
        let new = json!({ "a": 3 });
        let edited = rewrite(Some(text), &tree(text), new.as_object().unwrap());
        assert_eq!(tree(&edited), *new.as_object().unwrap());
        assert_eq!(
            rewrite(None, &Map::new(), new.as_object().unwrap()),
            "{\n  \"a\": 3\n}\n"
        );
    }

    /// Whatever is changed, the tree comes out right and the text stays readable.
    #[test]
    fn any_two_trees() {
        let values = [
            json!({}),
            json!({ "a": 1 }),
            json!({ "a": { "b": [1, { "c": 2 }], "d": "}" }, "e-f": null }),
            json!({ "a": { "b": [], "d": "{" }, "g": { "h": { "i": "//" } } }),
            json!({ "g": { "h": {} }, "a": { "d": "'" , "x": 1.5 } }),
        ];
        for old in &values {
            for new in &values {
                for text in [old.to_string(), format!("{old:#}")] {
                    let (old, new) = (old.as_object().unwrap(), new.as_object().unwrap());
                    let edited = rewrite(Some(&text), old, new);
                    assert_eq!(tree(&edited), *new, "{text} -> {edited}");
                    assert!(
                        serde_json::from_str::<Value>(&edited).is_ok(),
                        "{text} -> {edited}"
                    );
                }
            }
        }
    }
}
