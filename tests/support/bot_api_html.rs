//! What Telegram does with `parse_mode: "HTML"`: the text without tags, its entities, or the
//! refusal a bot gets for markup it does not accept.
//!
//! Called by the fake Bot API for every text it is given. Offsets are counted as Telegram counts
//! them: UTF-16 units in entities, bytes in refusals.

use serde_json::{Value, json};

/// A text after its markup was taken out.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The text a user sees, trimmed at both ends as Telegram does.
    pub text: String,
    /// Entities as the Bot API shows them: `type`, `offset`, `length`, `url` for links.
    pub entities: Vec<Value>,
}

impl Parsed {
    /// A text that carries no markup.
    pub fn plain(text: &str) -> Parsed {
        Parsed {
            text: text.trim().to_owned(),
            entities: Vec::new(),
        }
    }

    /// Length in UTF-16 units: what Telegram's limits count.
    pub fn units(&self) -> usize {
        self.text.encode_utf16().count()
    }
}

struct Open {
    tag: String,
    class: Option<String>,
    href: Option<String>,
    start: usize,
}

/// Reads `html`. The error is the part after `can't parse entities: `.
pub fn parse(html: &str) -> Result<Parsed, String> {
    let mut text = String::new();
    let mut entities = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while let Some(found) = html[at..].find(['<', '&']) {
        text.push_str(&html[at..at + found]);
        at += found;
        if html.as_bytes()[at] == b'&' {
            let (piece, used) = character(&html[at..]);
            text.push_str(&piece);
            at += used;
            continue;
        }
        let end = html[at..]
            .find('>')
            .ok_or_else(|| format!("Unclosed start tag at byte offset {at}"))?;
        let inner = &html[at + 1..at + end];
        let here = units(&text);
        match inner.strip_prefix('/') {
            Some(name) => close(name.trim(), at, here, &mut open, &mut entities)?,
            None => open.push(start_tag(inner, at, here)?),
        }
        at += end + 1;
    }
    text.push_str(&html[at..]);
    match open.pop() {
        Some(left) => Err(format!(
            "Can't find end tag corresponding to start tag \"{}\"",
            left.tag
        )),
        None => Ok(trimmed(&text, entities)),
    }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The character that a `&…;` at the start of `rest` stands for, and how many bytes it took.
/// What Telegram does not know stays as it is written.
fn character(rest: &str) -> (String, usize) {
    let literal = ("&".to_owned(), 1);
    let Some(end) = rest.find(';').filter(|end| *end <= 10) else {
        return literal;
    };
    let name = &rest[1..end];
    let number = name
        .strip_prefix('#')
        .and_then(|digits| match digits.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        });
    let found = match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        _ => number.and_then(char::from_u32),
    };
    found.map_or(literal, |c| (c.to_string(), end + 1))
}

fn start_tag(inner: &str, offset: usize, start: usize) -> Result<Open, String> {
    let (tag, rest) = inner.split_once(char::is_whitespace).unwrap_or((inner, ""));
    let tag = tag.to_ascii_lowercase();
    let attributes = attributes(rest, offset)?;
    let find = |name: &str| {
        attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone())
    };
    let known = matches!(
        tag.as_str(),
        "b" | "strong"
            | "i"
            | "em"
            | "u"
            | "ins"
            | "s"
            | "strike"
            | "del"
            | "tg-spoiler"
            | "a"
            | "code"
            | "pre"
            | "blockquote"
            | "span"
            | "tg-emoji"
    );
    if !known {
        return Err(format!(
            "Unsupported start tag \"{tag}\" at byte offset {offset}"
        ));
    }
    let class = find("class");
    if tag == "span" && class.as_deref() != Some("tg-spoiler") {
        return Err(format!(
            "Tag \"span\" must have class \"tg-spoiler\" at byte offset {offset}"
        ));
    }
    Ok(Open {
        href: find("href"),
        class,
        tag,
        start,
    })
}

fn attributes(rest: &str, offset: usize) -> Result<Vec<(String, String)>, String> {
    let mut found = Vec::new();
    let mut rest = rest.trim();
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c == '=' || c.is_whitespace())
            .unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let Some(value) = rest.strip_prefix('=') else {
            found.push((name, String::new()));
            continue;
        };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let Some(quote) = quote else {
            let end = value.find(char::is_whitespace).unwrap_or(value.len());
            found.push((name, value[..end].to_owned()));
            rest = value[end..].trim_start();
            continue;
        };
        let end = value[1..]
            .find(quote)
            .ok_or_else(|| format!("Unclosed start tag at byte offset {offset}"))?;
        found.push((name, unescape(&value[1..=end])));
        rest = value[end + 2..].trim_start();
    }
    Ok(found)
}

fn unescape(value: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    while let Some(found) = value[at..].find('&') {
        out.push_str(&value[at..at + found]);
        let (piece, used) = character(&value[at + found..]);
        out.push_str(&piece);
        at += found + used;
    }
    out.push_str(&value[at..]);
    out
}

fn close(
    name: &str,
    offset: usize,
    end: usize,
    open: &mut Vec<Open>,
    entities: &mut Vec<Value>,
) -> Result<(), String> {
    let Some(last) = open.pop() else {
        return Err(format!("Unexpected end tag at byte offset {offset}"));
    };
    if !name.is_empty() && !name.eq_ignore_ascii_case(&last.tag) {
        return Err(format!(
            "Unmatched end tag at byte offset {offset}, expected \"</{}>\", found \"</{name}>\"",
            last.tag
        ));
    }
    let kind = match last.tag.as_str() {
        "b" | "strong" => "bold",
        "i" | "em" => "italic",
        "u" | "ins" => "underline",
        "s" | "strike" | "del" => "strikethrough",
        "tg-spoiler" | "span" => "spoiler",
        "a" => "text_link",
        "tg-emoji" => "custom_emoji",
        other => other,
    };
    let (offset, length) = (last.start, end - last.start);
    if length == 0 || (kind == "text_link" && last.href.is_none()) {
        return Ok(());
    }
    let mut entity = json!({ "type": kind, "offset": offset, "length": length });
    if let Some(href) = last.href.filter(|_| kind == "text_link") {
        entity["url"] = json!(href);
    }
    if let Some(class) = last.class.filter(|_| kind == "code") {
        entity["language"] = json!(class.trim_start_matches("language-"));
    }
    entities.push(entity);
    Ok(())
}

fn trimmed(text: &str, mut entities: Vec<Value>) -> Parsed {
    let start = units(text) - units(text.trim_start());
    let text = text.trim();
    let total = units(text);
    entities.retain_mut(|entity| {
        let offset = entity["offset"].as_u64().unwrap_or(0) as usize;
        let end = offset + entity["length"].as_u64().unwrap_or(0) as usize;
        let from = offset.saturating_sub(start).min(total);
        let to = end.saturating_sub(start).min(total);
        entity["offset"] = json!(from);
        entity["length"] = json!(to - from);
        to > from
    });
    entities.sort_by_key(|entity| entity["offset"].as_u64());
    Parsed {
        text: text.to_owned(),
        entities,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tags_become_entities_counted_in_utf16() {
        let parsed =
            parse("😀 <b>x <i>y</i></b> &lt;<a href=\"https://e.org/?a=1&amp;b\">z</a>").unwrap();
        assert_eq!(parsed.text, "😀 x y <z");
        assert_eq!(
            parsed.entities,
            [
                json!({"type": "bold", "offset": 3, "length": 3}),
                json!({"type": "italic", "offset": 5, "length": 1}),
                json!({"type": "text_link", "offset": 8, "length": 1, "url": "https://e.org/?a=1&b"}),
            ]
        );
    }

    #[test]
    fn what_telegram_refuses_is_refused_in_its_words() {
        let refused = |html| parse(html).unwrap_err();
        assert_eq!(
            refused("a <foo>b"),
            "Unsupported start tag \"foo\" at byte offset 2"
        );
        assert_eq!(
            refused("<b>x"),
            "Can't find end tag corresponding to start tag \"b\""
        );
        assert_eq!(refused("x</b>"), "Unexpected end tag at byte offset 1");
        assert_eq!(
            refused("<b>x</i>"),
            "Unmatched end tag at byte offset 4, expected \"</b>\", found \"</i>\""
        );
        assert_eq!(refused("1 < 2"), "Unclosed start tag at byte offset 2");
    }

    #[test]
    fn ends_are_trimmed_and_entities_follow() {
        let parsed = parse("  <b> x </b> \n").unwrap();
        assert_eq!(parsed.text, "x");
        assert_eq!(
            parsed.entities,
            [json!({"type": "bold", "offset": 0, "length": 1})]
        );
        assert_eq!(parse("&nbsp; &#33;").unwrap().text, "&nbsp; !");
    }
}
