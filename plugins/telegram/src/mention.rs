//! Who a text names, and links written out.
//!
//! Pure; used by `update`. Telegram counts entities in UTF-16 units.

use crate::update::{Entity, User};

/// The piece of `text` that an entity covers; empty if it lies outside.
fn piece(text: &str, entity: &Entity) -> String {
    let units: Vec<u16> = text.encode_utf16().collect();
    let end = entity.offset.saturating_add(entity.length).min(units.len());
    units
        .get(entity.offset..end)
        .map(String::from_utf16_lossy)
        .unwrap_or_default()
}

/// Everyone a text names: numbers where Telegram gives them, else `@name` in lower case.
pub fn all(text: &str, entities: &[Entity]) -> Vec<String> {
    let one = |entity: &Entity| match entity.kind.as_str() {
        "text_mention" => entity.user.as_ref().map(|user| user.id.to_string()),
        "mention" => Some(piece(text, entity).to_lowercase()).filter(|name| !name.is_empty()),
        _ => None,
    };
    let mut found: Vec<String> = entities.iter().filter_map(one).collect();
    found.dedup();
    found
}

/// Does a text name the bot: as an entity, as a command addressed to it, or as a plain word?
pub fn names(text: &str, entities: &[Entity], me: &User) -> bool {
    let by_number = |entity: &Entity| entity.user.as_ref().is_some_and(|user| user.id == me.id);
    if entities.iter().any(by_number) {
        return true;
    }
    let Some(name) = &me.username else {
        return false;
    };
    let (text, name) = (text.to_lowercase(), format!("@{}", name.to_lowercase()));
    let word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(&name).any(|(at, found)| {
        let command = text[..at]
            .rsplit(char::is_whitespace)
            .next()
            .unwrap_or_default();
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        (command.starts_with('/') || !before.is_some_and(word)) && !after.is_some_and(word)
    })
}

/// The text with the addresses of its hidden links written out as Markdown.
pub fn with_links(text: &str, entities: &[Entity]) -> String {
    let mut links: Vec<(&Entity, &String)> = entities
        .iter()
        .filter(|entity| entity.kind == "text_link")
        .filter_map(|entity| Some((entity, entity.url.as_ref()?)))
        .collect();
    if links.is_empty() {
        return text.to_owned();
    }
    links.sort_by_key(|(entity, _)| entity.offset);
    let units: Vec<u16> = text.encode_utf16().collect();
    let mut out = String::new();
    let mut from = 0;
    for (entity, url) in links {
        let end = entity.offset.saturating_add(entity.length).min(units.len());
        if entity.offset < from || entity.offset >= end {
            continue;
        }
        out.push_str(&String::from_utf16_lossy(&units[from..entity.offset]));
        let shown = String::from_utf16_lossy(&units[entity.offset..end]);
        out.push_str(&format!("[{shown}]({url})"));
        from = end;
    }
    out.push_str(&String::from_utf16_lossy(&units[from..]));
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn entities(value: Value) -> Vec<Entity> {
        serde_json::from_value(value).unwrap()
    }

    fn me() -> User {
        User {
            id: 7,
            username: Some("Seven_bot".into()),
            ..User::default()
        }
    }

    #[test]
    fn the_bot_is_named_by_word_command_or_number() {
        let names = |text| names(text, &[], &me());
        assert!(names("hi @seven_bot!") && names("@SEVEN_BOT") && names("/help@seven_bot"));
        assert!(!names("me@seven_bot") && !names("@seven_bots") && !names("seven_bot"));
        let by_number = entities(json!([
            { "type": "text_mention", "offset": 0, "length": 5, "user": { "id": 7 } }
        ]));
        assert!(super::names("Seven", &by_number, &me()));
    }

    #[test]
    fn everybody_named_is_listed() {
        let marks = entities(json!([
            { "type": "mention", "offset": 3, "length": 4 },
            { "type": "text_mention", "offset": 8, "length": 3, "user": { "id": 9 } },
            { "type": "mention", "offset": 900, "length": 4 }
        ]));
        assert_eq!(all("😀 @Ann Bob", &marks), ["@ann", "9"]);
    }

    #[test]
    fn hidden_links_are_written_out() {
        let marks = entities(json!([
            { "type": "text_link", "offset": 3, "length": 4, "url": "https://e.org" },
            { "type": "bold", "offset": 0, "length": 2 },
            { "type": "text_link", "offset": 900, "length": 4, "url": "https://e.org" }
        ]));
        assert_eq!(
            with_links("😀 here 😀", &marks),
            "😀 [here](https://e.org) 😀"
        );
    }
}
