//! Who may write to an account: the policies of its configuration, read once.
//!
//! Only the settings live here; `router/policy.rs` decides with them. Reading fails closed: what
//! isn't understood is a problem of the account, never an open door.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// `dmPolicy`: what happens to direct messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmPolicy {
    /// Listed senders; a stranger is told how to get listed.
    Pairing,
    /// Listed senders, nobody else.
    Allowlist,
    /// Everybody.
    Open,
    /// Nobody.
    Disabled,
}

impl DmPolicy {
    /// The configuration's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pairing => "pairing",
            Self::Allowlist => "allowlist",
            Self::Open => "open",
            Self::Disabled => "disabled",
        }
    }
}

/// `groupPolicy`: what happens to messages in groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupPolicy {
    /// Every sender.
    Open,
    /// Listed senders.
    Allowlist,
    /// Nobody.
    Disabled,
}

/// One entry of `groups`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRule {
    /// False shuts the group.
    pub enabled: Option<bool>,
    /// Whether the account must be mentioned.
    pub require_mention: Option<bool>,
    /// Its own policy.
    pub policy: Option<GroupPolicy>,
    /// Its own senders.
    pub allow_from: Option<SenderList>,
}

/// A list of senders; `*` stands for everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SenderList(Vec<String>);

impl SenderList {
    /// True when it names nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when it names this sender, or everybody.
    pub fn allows(&self, sender: &str) -> bool {
        let sender = sender.trim().to_lowercase();
        self.0.iter().any(|entry| entry == "*" || *entry == sender)
    }

    /// Its entries, normalised.
    pub fn entries(&self) -> &[String] {
        &self.0
    }
}

/// The policies of one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// For direct messages.
    pub dm: DmPolicy,
    /// Senders of direct messages.
    pub allow_from: SenderList,
    /// For groups.
    pub group: GroupPolicy,
    /// Senders in groups; absent: those of direct messages.
    pub group_allow_from: Option<SenderList>,
    /// Groups by id; `*` is any. Empty: every group, senders decide.
    pub groups: BTreeMap<String, GroupRule>,
}

impl Access {
    /// Nobody may write.
    pub fn closed() -> Access {
        Access {
            dm: DmPolicy::Disabled,
            allow_from: SenderList::default(),
            group: GroupPolicy::Disabled,
            group_allow_from: None,
            groups: BTreeMap::new(),
        }
    }

    /// Reads an account's keys. An error names the key, relative to the account.
    pub fn read(
        config: &Map<String, Value>,
        channel: &str,
        group_policy_default: Option<&str>,
    ) -> Result<Access, String> {
        let allow_from = senders(config, "allowFrom", channel)?.unwrap_or_default();
        let dm = dm_policy(config.get("dmPolicy"))?;
        if dm == DmPolicy::Open && !allow_from.0.iter().any(|entry| entry == "*") {
            return Err(
                "dmPolicy \"open\" lets everybody in: confirm it with allowFrom [\"*\"]".into(),
            );
        }
        let group = match (config.get("groupPolicy"), group_policy_default) {
            (Some(Value::String(text)), _) => group_policy(text, "groupPolicy")?,
            (Some(_), _) => return Err("groupPolicy must be text".into()),
            (None, Some(text)) => group_policy(text, "groupPolicy (from channels.defaults)")?,
            (None, None) => GroupPolicy::Allowlist,
        };
        Ok(Access {
            dm,
            allow_from,
            group,
            group_allow_from: senders(config, "groupAllowFrom", channel)?,
            groups: groups(config.get("groups"), channel)?,
        })
    }
}

fn dm_policy(value: Option<&Value>) -> Result<DmPolicy, String> {
    match value.map(|v| v.as_str().unwrap_or_default()) {
        None | Some("pairing") => Ok(DmPolicy::Pairing),
        Some("allowlist") => Ok(DmPolicy::Allowlist),
        Some("open") => Ok(DmPolicy::Open),
        Some("disabled") => Ok(DmPolicy::Disabled),
        Some(other) => Err(format!(
            "dmPolicy \"{other}\" is unknown: use pairing, allowlist, open or disabled"
        )),
    }
}

fn group_policy(text: &str, key: &str) -> Result<GroupPolicy, String> {
    match text {
        "open" => Ok(GroupPolicy::Open),
        "allowlist" => Ok(GroupPolicy::Allowlist),
        "disabled" => Ok(GroupPolicy::Disabled),
        other => Err(format!(
            "{key} \"{other}\" is unknown: use open, allowlist or disabled"
        )),
    }
}

/// A list of ids as text or numbers; the channel's own prefix is dropped.
fn senders(
    config: &Map<String, Value>,
    key: &str,
    channel: &str,
) -> Result<Option<SenderList>, String> {
    let items = match config.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(format!("{key} must be a list of sender ids")),
    };
    let normal = |item: &Value| match item {
        Value::String(text) => Some(without_prefix(text, channel)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let list = items.iter().map(normal).collect::<Option<Vec<_>>>();
    let list = list.ok_or_else(|| format!("{key} must hold only texts and numbers"))?;
    Ok(Some(SenderList(
        list.into_iter().filter(|entry| !entry.is_empty()).collect(),
    )))
}

fn without_prefix(text: &str, channel: &str) -> String {
    let text = text.trim().to_lowercase();
    match text.split_once(':') {
        Some((prefix, id)) if super::catalogue::canonical(prefix) == channel => {
            id.trim().to_owned()
        }
        _ => text,
    }
}

fn groups(value: Option<&Value>, channel: &str) -> Result<BTreeMap<String, GroupRule>, String> {
    let map = match value {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err("groups must be an object of group ids".into()),
    };
    let mut rules = BTreeMap::new();
    for (id, value) in map {
        let at = |why: String| format!("groups.{id}.{why}");
        let Value::Object(rule) = value else {
            return Err(format!("groups.{id} must be an object"));
        };
        let flag = |key: &str| match rule.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Bool(yes)) => Ok(Some(*yes)),
            Some(_) => Err(at(format!("{key} must be true or false"))),
        };
        let policy = match rule.get("groupPolicy").and_then(Value::as_str) {
            Some(text) => Some(group_policy(text, "groupPolicy").map_err(at)?),
            None => None,
        };
        let rule = GroupRule {
            enabled: flag("enabled")?,
            require_mention: flag("requireMention")?,
            policy,
            allow_from: senders(rule, "allowFrom", channel).map_err(at)?,
        };
        rules.insert(without_prefix(id, channel), rule);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn read(value: Value) -> Result<Access, String> {
        Access::read(value.as_object().unwrap(), "telegram", None)
    }

    #[test]
    fn defaults_are_the_careful_ones() {
        let access = read(json!({})).unwrap();
        assert_eq!(
            (access.dm, access.group),
            (DmPolicy::Pairing, GroupPolicy::Allowlist)
        );
        assert!(access.allow_from.is_empty() && access.group_allow_from.is_none());
    }

    #[test]
    fn lists_take_numbers_prefixes_and_case() {
        let access = read(json!({ "allowFrom": [777, " TG:778 ", "telegram:AbC", ""] })).unwrap();
        for sender in ["777", "778", "abc", "ABC"] {
            assert!(access.allow_from.allows(sender), "{sender}");
        }
        assert!(!access.allow_from.allows("77"));
        assert!(!access.allow_from.allows(""));
    }

    #[test]
    fn open_needs_to_be_meant() {
        let refused = read(json!({ "dmPolicy": "open", "allowFrom": ["1"] })).unwrap_err();
        assert!(refused.contains("[\"*\"]"), "{refused}");
        assert!(read(json!({ "dmPolicy": "open", "allowFrom": ["*"] })).is_ok());
    }

    #[test]
    fn errors_name_the_key() {
        let cases = [
            (json!({ "dmPolicy": 1 }), "dmPolicy"),
            (json!({ "allowFrom": "777" }), "allowFrom must be a list"),
            (json!({ "groupPolicy": "all" }), "groupPolicy \"all\""),
            (
                json!({ "groups": { "-1": { "requireMention": "no" } } }),
                "groups.-1.requireMention",
            ),
            (
                json!({ "groups": { "-1": true } }),
                "groups.-1 must be an object",
            ),
        ];
        for (config, expected) in cases {
            let refused = read(config).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
        let defaults = Access::read(&Map::new(), "telegram", Some("any")).unwrap_err();
        assert!(defaults.contains("channels.defaults"), "{defaults}");
    }
}
