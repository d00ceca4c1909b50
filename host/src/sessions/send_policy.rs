//! Whether a conversation may be written to: its own setting, else `session.sendPolicy`.
//!
//! Called by the methods that send and by the router. Pure.

use super::{SessionKey, SessionRow};
use crate::config::{Config, SendAction, SendMatch};

/// True when nothing is to be said in the conversation.
pub fn is_denied(config: &Config, key: &SessionKey, row: Option<&SessionRow>) -> bool {
    let own = row.and_then(|row| row.settings.words.get("sendPolicy"));
    match own.map(String::as_str) {
        Some("deny") => return true,
        Some("allow") => return false,
        _ => {}
    }
    let policy = &config.session.send_policy;
    let place = Place::of(key, row);
    let mut allowed = false;
    for rule in policy.rules.iter().filter(|rule| place.fits(&rule.what)) {
        match rule.action {
            SendAction::Deny => return true,
            SendAction::Allow => allowed = true,
        }
    }
    !allowed && policy.default == Some(SendAction::Deny)
}

/// What rules look at.
struct Place<'a> {
    key: &'a SessionKey,
    channel: Option<String>,
    chat_type: String,
}

impl Place<'_> {
    fn of<'a>(key: &'a SessionKey, row: Option<&SessionRow>) -> Place<'a> {
        let rest: Vec<&str> = key.rest().split(':').collect();
        let room = rest
            .get(1)
            .filter(|kind| ["group", "channel"].contains(*kind));
        let by_key = room.and(rest.first().copied());
        let chat = row.map(|row| &row.chat);
        let route = row.and_then(|row| row.route.as_ref());
        let told = chat.and_then(|chat| chat.channel.as_deref());
        let channel = told
            .or(route.map(|route| route.channel.as_str()))
            .or(by_key);
        let told = chat.and_then(|chat| chat.chat_type.as_deref());
        let of_key = match () {
            () if key.rest().contains(":channel:") => "channel",
            () if key.kind() == "group" => "group",
            () => key.kind(),
        };
        Place {
            key,
            channel: channel.map(str::to_lowercase),
            chat_type: told.unwrap_or(of_key).to_lowercase(),
        }
    }

    fn fits(&self, what: &SendMatch) -> bool {
        let given = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default().trim().to_lowercase();
            Some(text).filter(|text| !text.is_empty())
        };
        let kind = given(&what.chat_type).map(|kind| match kind.as_str() {
            "dm" => "direct".to_owned(),
            _ => kind,
        });
        let (whole, rest) = (self.key.as_str(), self.key.rest());
        given(&what.channel).is_none_or(|channel| self.channel.as_ref() == Some(&channel))
            && kind.is_none_or(|kind| self.chat_type == kind)
            && given(&what.raw_key_prefix).is_none_or(|prefix| whole.starts_with(&prefix))
            && given(&what.key_prefix)
                .is_none_or(|prefix| whole.starts_with(&prefix) || rest.starts_with(&prefix))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(policy: Value, key: &str, row: Option<&SessionRow>, denied: bool) {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(dir.path());
        config.session.send_policy = serde_json::from_value(policy).unwrap();
        let key = SessionKey::resolve(key, &config).unwrap();
        assert_eq!(is_denied(&config, &key, row), denied, "{key}");
    }

    #[test]
    fn the_first_denial_decides() {
        let group = "agent:main:discord:group:1";
        check(json!({}), group, None, false);
        check(json!({ "default": "deny" }), group, None, true);
        let rules = json!({ "default": "deny", "rules": [
            { "action": "allow", "match": { "channel": "Discord" } },
            { "action": "deny", "match": { "chatType": "group", "keyPrefix": "discord:group:2" } },
        ] });
        check(rules.clone(), group, None, false);
        check(rules.clone(), "agent:main:discord:group:23", None, true);
        check(rules.clone(), "agent:main:slack:channel:1", None, true);
        let raw =
            json!({ "rules": [{ "action": "deny", "match": { "rawKeyPrefix": "agent:main:m" } }] });
        check(raw.clone(), "main", None, true);
        check(raw, "agent:main:x", None, false);
    }

    #[test]
    fn a_session_knows_best_itself() {
        let mut row = SessionRow::default();
        row.chat.channel = Some("telegram".into());
        row.chat.chat_type = Some("direct".into());
        let rules = json!({ "rules": [{ "action": "deny",
            "match": { "channel": "telegram", "chatType": "dm" } }] });
        check(rules.clone(), "main", Some(&row), true);
        check(rules.clone(), "main", None, false);
        row.settings
            .words
            .insert("sendPolicy".into(), "allow".into());
        check(rules, "main", Some(&row), false);
        row.settings
            .words
            .insert("sendPolicy".into(), "deny".into());
        check(json!({}), "main", Some(&row), true);
    }
}
