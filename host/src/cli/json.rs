//! JSON for the terminal and for pipes: indented, in the gateway's own order, nothing changed.
//!
//! Answers are re-indented as text instead of being parsed into a map: keys keep their order and
//! numbers their digits. Control characters that a terminal could obey come out escaped.

/// Re-indents valid JSON text by two spaces. The input must be valid JSON (it came through a
/// parser as a raw value); on anything else the output is merely odd.
pub fn indent(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len() * 2);
    let mut depth = 0usize;
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => copy_string(&mut chars, &mut out),
            '{' | '[' => {
                let close = if c == '{' { '}' } else { ']' };
                out.push(c);
                while chars.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if chars.next_if_eq(&close).is_some() {
                    out.push(close);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// Copies a string up to its closing quote; the opening one was just read.
fn copy_string(chars: &mut impl Iterator<Item = char>, out: &mut String) {
    out.push('"');
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push('"');
                return;
            }
            '\\' => {
                out.push('\\');
                out.extend(chars.next());
            }
            '\u{7f}'..='\u{9f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keeps_order_numbers_and_escapes() {
        let raw = r#"{"b":[1.50,{"x":null}],"a":{},"e":[],"s":"q\"{,:\\"}"#;
        let expected = "{\n  \"b\": [\n    1.50,\n    {\n      \"x\": null\n    }\n  ],\n  \
                        \"a\": {},\n  \"e\": [],\n  \"s\": \"q\\\"{,:\\\\\"\n}";
        assert_eq!(indent(raw), expected);
        assert_eq!(indent(&indent(raw)), expected);
    }

    #[test]
    fn says_the_same_as_before() {
        let raw = r#" [ {"k" : "täxt" , "n":-1e9 } , true , [ ] ] "#;
        let before: serde_json::Value = serde_json::from_str(raw).unwrap();
        let after: serde_json::Value = serde_json::from_str(&indent(raw)).unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        assert_eq!(indent("\"\u{9b}31m\""), "\"\\u009b31m\"");
    }
}
