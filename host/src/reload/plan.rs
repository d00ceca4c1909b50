//! What follows from another configuration: which keys differ, and whom each concerns.
//!
//! Pure. Used by the reload task, and by `config.*` to say what a change will do.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What another value of a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is read where it is used, from the next use on.
    NextUse,
    /// Another shared secret: who came with the old one goes.
    Secret,
    /// The listening sockets, or how visitors are looked at.
    Door,
    /// The accounts of channels whose own settings differ.
    Accounts,
    /// Nothing before the next start.
    Restart,
}

/// Keys and what they do; the first that is the key or a parent of it counts.
const EFFECTS: &[(&str, Effect)] = &[
    ("gateway.auth.mode", Effect::Restart),
    ("gateway.auth.token", Effect::Secret),
    ("gateway.auth.password", Effect::Secret),
    ("gateway.auth.rateLimit", Effect::Door),
    ("gateway.auth.trustedProxy", Effect::Door),
    ("gateway.auth.allowTailscale", Effect::Door),
    ("gateway.port", Effect::Door),
    ("gateway.bind", Effect::Door),
    ("gateway.customBindHost", Effect::Door),
    ("gateway.tls", Effect::Door),
    ("gateway.tailscale", Effect::Door),
    ("gateway.trustedProxies", Effect::Door),
    ("gateway.allowRealIpFallback", Effect::Door),
    ("channels", Effect::Accounts),
    ("logging", Effect::Restart),
];

/// What another value of `key` does.
pub fn effect(key: &str) -> Effect {
    let covers = |parent: &str| {
        let rest = key.strip_prefix(parent);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    let found = EFFECTS.iter().find(|(parent, _)| covers(parent));
    found.map_or(Effect::NextUse, |(_, effect)| *effect)
}

/// The keys that differ, dotted. A list differs as a whole; a section that comes or goes is named
/// by its keys.
pub(super) fn differences(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    collect("", old, new, &mut found);
    found
}

fn collect(prefix: &str, old: &Map<String, Value>, new: &Map<String, Value>, to: &mut Vec<String>) {
    let empty = Map::new();
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let path = if prefix.is_empty() {
            key.clone()
        } else {
            format!("{prefix}.{key}")
        };
        match (old.get(key), new.get(key)) {
            (was, is) if was == is => {}
            (Some(Value::Object(was)), Some(Value::Object(is))) => collect(&path, was, is, to),
            (None, Some(Value::Object(is))) if !is.is_empty() => collect(&path, &empty, is, to),
            (Some(Value::Object(was)), None) if !was.is_empty() => collect(&path, was, &empty, to),
            _ => to.push(path),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(old: Value, new: Value, expected: &[(&str, Effect)]) {
        let keys = differences(old.as_object().unwrap(), new.as_object().unwrap());
        let found: Vec<_> = keys.iter().map(|key| (key.as_str(), effect(key))).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_key_by_itself() {
        check(json!({ "a": 1 }), json!({ "a": 1 }), &[]);
        check(
            json!({ "gateway": { "port": 1, "auth": { "token": "a", "mode": "token" } } }),
            json!({ "gateway": { "port": 2, "auth": { "token": "b", "mode": "none" } } }),
            &[
                ("gateway.auth.mode", Effect::Restart),
                ("gateway.auth.token", Effect::Secret),
                ("gateway.port", Effect::Door),
            ],
        );
        check(
            json!({ "channels": { "echo": {} }, "agents": { "list": [1] } }),
            json!({ "channels": { "irc": { "accounts": { "a": { "nick": "n" } } } }, "agents": { "list": [1, 2] } }),
            &[
                ("agents.list", Effect::NextUse),
                ("channels.echo", Effect::Accounts),
                ("channels.irc.accounts.a.nick", Effect::Accounts),
            ],
        );
        check(
            json!({ "gateway": { "tls": { "enabled": true } } }),
            json!({}),
            &[("gateway.tls.enabled", Effect::Door)],
        );
    }

    #[test]
    fn a_key_is_not_its_neighbour() {
        assert_eq!(effect("gateway.portable"), Effect::NextUse);
        assert_eq!(effect("channels"), Effect::Accounts);
        assert_eq!(effect("gateway.bind"), Effect::Door);
    }
}
