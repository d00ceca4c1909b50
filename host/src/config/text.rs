//! JSON5 texts: read into a tree of bounded depth, and the words that `edit` steps over.
//!
//! A text comes from files and from clients. The parser calls itself for each level, so a text of
//! brackets alone would use up the stack, which ends the process: the depth is looked at first.

use std::fmt;

use serde_json::Value;

use crate::limits::CONFIG_DEPTH_MAX;

/// Why a text is no tree.
#[derive(Debug)]
pub(super) enum TextError {
    /// Objects and lists in each other, more than [`CONFIG_DEPTH_MAX`].
    TooDeep,
    /// Not JSON5.
    Syntax(json5::Error),
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextError::TooDeep => write!(f, "more than {CONFIG_DEPTH_MAX} levels deep"),
            TextError::Syntax(e) => e.fmt(f),
        }
    }
}

/// Reads a whole text.
pub(super) fn read(text: &str) -> Result<Value, TextError> {
    if is_too_deep(text) {
        return Err(TextError::TooDeep);
    }
    json5::from_str(text).map_err(TextError::Syntax)
}

/// Brackets in strings and comments don't count.
fn is_too_deep(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => {
                at = string_end(text, at);
                continue;
            }
            b'/' if matches!(bytes.get(at + 1), Some(b'/' | b'*')) => {
                at = skip_blank(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > CONFIG_DEPTH_MAX {
            return true;
        }
        at += 1;
    }
    false
}

/// The first byte that is neither white space nor comment, at or after `at`.
pub(super) fn skip_blank(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        at += rest.len() - trimmed.len();
        let length = if trimmed.starts_with("//") {
            trimmed
                .find(['\n', '\r', '\u{2028}', '\u{2029}'])
                .unwrap_or(trimmed.len())
        } else if trimmed.starts_with("/*") {
            trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
        } else {
            return at;
        };
        at += length;
    }
}

/// The first byte after the string that opens at `open`.
pub(super) fn string_end(text: &str, open: usize) -> usize {
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

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn deep_texts_are_refused_before_they_are_parsed() {
        assert!(read(&nested(CONFIG_DEPTH_MAX)).is_ok());
        for text in [
            nested(CONFIG_DEPTH_MAX + 1),
            "[".repeat(1_000_000),
            "{a:".repeat(1_000_000),
            "{'\\'':[/*]*/".repeat(1_000_000),
            format!("//\r{}", "[".repeat(1_000_000)),
        ] {
            assert!(matches!(read(&text), Err(TextError::TooDeep)));
        }
    }

    #[test]
    fn brackets_that_are_only_words_do_not_count() {
        let many = "[{".repeat(1_000);
        let text = format!("{{ a: '{many}\\'', /* {many} */ b: \"{many}\" }} // {many}");
        let tree = read(&text).unwrap();
        assert_eq!(tree["b"].as_str(), Some(many.as_str()));
    }
}
