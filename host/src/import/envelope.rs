//! What a person said, out of what a model was told: the reference keeps only the latter.
//!
//! Pure. Takes away the blocks of facts before a message, lines of system events, and the time. A
//! text that has none of them stays as it is.

use serde_json::Value;

use crate::agent::envelope::has_stamp;

/// What stands in the titles of all blocks.
const TITLE_MARK: &str = " (untrusted";

/// The words themselves, and the name of who said them if the blocks tell one.
pub(super) fn plain(told: &str) -> (String, Option<String>) {
    let mut rest = told;
    let mut sender = None;
    loop {
        if let Some(after) = without_event(rest) {
            rest = after;
        } else if let Some((title, facts, after)) = block(rest) {
            if title.starts_with("Sender") {
                let text = |name: &str| facts.get(name)?.as_str().map(str::to_owned);
                sender = text("label").or_else(|| text("name"));
            }
            rest = after;
        } else {
            break;
        }
    }
    if has_stamp(rest)
        && let Some((_, after)) = rest.split_once(']')
    {
        rest = after.trim_start_matches(' ');
    }
    (rest.to_owned(), sender)
}

/// What follows a line `System: [2026-11-22 13:02:00 UTC] …`.
fn without_event(text: &str) -> Option<&str> {
    let event = text
        .strip_prefix("System: ")
        .filter(|event| has_stamp(event))?;
    let after = event.split_once('\n').map_or("", |(_, after)| after);
    Some(after.strip_prefix('\n').unwrap_or(after))
}

/// A title, a fenced object below it, and what follows.
fn block(text: &str) -> Option<(&str, Value, &str)> {
    let (title, after) = text.split_once('\n')?;
    if !title.contains(TITLE_MARK) || !title.ends_with(':') {
        return None;
    }
    let (facts, after) = after.strip_prefix("```json\n")?.split_once("\n```")?;
    let facts = serde_json::from_str(facts).ok()?;
    Some((title, facts, after.trim_start_matches('\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_are_left() {
        let sender = "Sender (untrusted metadata):\n```json\n{\n  \"label\": \"ui\",\n  \"id\": \"ui\"\n}\n```\n\n";
        let chat =
            "Conversation info (untrusted metadata):\n```json\n{\"message_id\": \"1\"}\n```\n\n";
        for (told, words, label) in [
            ("hi".to_owned(), "hi", None),
            (
                "[Sun 2026-11-22 13:02 UTC] hi [x]".to_owned(),
                "hi [x]",
                None,
            ),
            (
                format!("{sender}[Sun 2026-11-22 13:02 UTC] hi"),
                "hi",
                Some("ui"),
            ),
            (format!("{chat}{sender}hi\nthere"), "hi\nthere", Some("ui")),
            (
                "System: [2026-11-22 13:02:00 UTC] Node: x\n\nhi".to_owned(),
                "hi",
                None,
            ),
            ("System: me".to_owned(), "System: me", None),
            ("[todo] x".to_owned(), "[todo] x", None),
            (
                "Sender (untrusted metadata):\nno block".to_owned(),
                "Sender (untrusted metadata):\nno block",
                None,
            ),
        ] {
            let expected = (words.to_owned(), label.map(str::to_owned));
            assert_eq!(plain(&told), expected, "{told}");
        }
    }
}
