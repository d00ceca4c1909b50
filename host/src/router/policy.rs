//! May this message start a run? Pure decisions over an account's policies.
//!
//! Called by `router/inbound.rs` for every message. The order of checks is a contract: for direct
//! messages disabled, open, listed, pairing; for groups policy, group, sender, mention.

use regex::{Regex, RegexBuilder};

use crate::channels::access::{Access, DmPolicy, GroupPolicy, GroupRule, SenderList};
use crate::limits::MENTION_PATTERN_BYTES_MAX;
use crate::store::journal::{ChatKind, Message};

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It starts a run.
    Run,
    /// The sender is told, once, how to get access.
    Challenge,
    /// Nothing happens; the reason is for the log.
    Drop(&'static str),
}

/// Decides about one message.
pub fn decide(access: &Access, message: &Message, patterns: &Mentions) -> Decision {
    match message.chat_kind {
        ChatKind::Direct => direct(access, &message.sender_id),
        ChatKind::Group | ChatKind::Channel => group(access, message, patterns),
    }
}

fn direct(access: &Access, sender: &str) -> Decision {
    match access.dm {
        DmPolicy::Disabled => Decision::Drop("dm_policy_disabled"),
        DmPolicy::Open => Decision::Run,
        _ if access.allow_from.allows(sender) => Decision::Run,
        DmPolicy::Pairing => Decision::Challenge,
        DmPolicy::Allowlist => Decision::Drop("dm_policy_allowlist"),
    }
}

fn group(access: &Access, message: &Message, patterns: &Mentions) -> Decision {
    let everywhere = access.groups.get("*");
    let rule = access
        .groups
        .get(&message.chat_id.to_lowercase())
        .or(everywhere);
    let policy = rule.and_then(|r| r.policy).unwrap_or(access.group);
    if policy == GroupPolicy::Disabled || rule.and_then(|r| r.enabled) == Some(false) {
        return Decision::Drop("group_policy_disabled");
    }
    if rule.is_none() && !access.groups.is_empty() {
        return Decision::Drop("group_policy_not_allowlisted");
    }
    if policy == GroupPolicy::Allowlist {
        let senders = group_senders(access, rule);
        if senders.is_empty() {
            return Decision::Drop("group_policy_empty_allowlist");
        }
        if !senders.allows(&message.sender_id) {
            return Decision::Drop("group_policy_not_allowlisted");
        }
    }
    let must_mention = rule
        .and_then(|r| r.require_mention)
        .or(everywhere.and_then(|r| r.require_mention))
        .unwrap_or(true);
    if must_mention && !message.mentions_me && !patterns.found_in(&message.text) {
        return Decision::Drop("not_mentioned");
    }
    Decision::Run
}

fn group_senders<'a>(access: &'a Access, rule: Option<&'a GroupRule>) -> &'a SenderList {
    rule.and_then(|r| r.allow_from.as_ref())
        .or(access.group_allow_from.as_ref())
        .unwrap_or(&access.allow_from)
}

/// Words that count as a mention of the account (`messages.groupChat.mentionPatterns`).
#[derive(Debug, Default)]
pub struct Mentions(Vec<Regex>);

impl Mentions {
    /// Compiles the patterns, case-insensitive. A bad one is logged and left out.
    pub fn new(patterns: &[String]) -> Mentions {
        let compile = |pattern: &String| {
            let built = RegexBuilder::new(pattern)
                .case_insensitive(true)
                .size_limit(MENTION_PATTERN_BYTES_MAX)
                .build();
            built
                .inspect_err(|e| {
                    tracing::warn!(%pattern, error = %e, "messages.groupChat.mentionPatterns: pattern left out");
                })
                .ok()
        };
        Mentions(patterns.iter().filter_map(compile).collect())
    }

    fn found_in(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(text))
    }
}

/// The one reply to a stranger: how the owner lets them in.
pub fn challenge_text(id_label: &str, sender_id: &str, code: &str, config_path: &str) -> String {
    format!(
        "OpenClaw: access not configured.\n\n\
         Your {id_label}: {sender_id}\n\n\
         Pairing code: {code}\n\n\
         Ask the owner of this gateway to add your id to:\n{config_path}.allowFrom"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn access(config: Value) -> Access {
        Access::read(config.as_object().unwrap(), "telegram", None).unwrap()
    }

    fn message(kind: ChatKind, sender: &str, mentions_me: bool, text: &str) -> Message {
        let mut message = crate::store::journal::tests::entry("1", text).message;
        message.chat_kind = kind;
        message.chat_id = "-100".into();
        message.sender_id = sender.into();
        message.mentions_me = mentions_me;
        message
    }

    #[test]
    fn direct_messages() {
        let cases = [
            (
                json!({ "dmPolicy": "disabled", "allowFrom": ["1"] }),
                "1",
                Decision::Drop("dm_policy_disabled"),
            ),
            (
                json!({ "dmPolicy": "open", "allowFrom": ["*"] }),
                "1",
                Decision::Run,
            ),
            (json!({ "allowFrom": ["1"] }), "1", Decision::Run),
            (json!({ "allowFrom": ["1"] }), "2", Decision::Challenge),
            (json!({ "allowFrom": ["*"] }), "2", Decision::Run),
            (json!({}), "2", Decision::Challenge),
            (
                json!({ "dmPolicy": "allowlist", "allowFrom": ["1"] }),
                "1",
                Decision::Run,
            ),
            (
                json!({ "dmPolicy": "allowlist", "allowFrom": ["1"] }),
                "2",
                Decision::Drop("dm_policy_allowlist"),
            ),
            (
                json!({ "dmPolicy": "allowlist" }),
                "2",
                Decision::Drop("dm_policy_allowlist"),
            ),
        ];
        for (config, sender, expected) in cases {
            let got = decide(
                &access(config.clone()),
                &message(ChatKind::Direct, sender, false, "hi"),
                &Mentions::default(),
            );
            assert_eq!(got, expected, "{config} {sender}");
        }
    }

    #[test]
    fn groups() {
        let drop = Decision::Drop;
        let cases = [
            (
                json!({ "groupPolicy": "disabled", "allowFrom": ["*"] }),
                drop("group_policy_disabled"),
            ),
            (json!({}), drop("group_policy_empty_allowlist")),
            (json!({ "allowFrom": ["1"] }), Decision::Run),
            (
                json!({ "allowFrom": ["2"] }),
                drop("group_policy_not_allowlisted"),
            ),
            (
                json!({ "allowFrom": ["1"], "groupAllowFrom": ["2"] }),
                drop("group_policy_not_allowlisted"),
            ),
            (
                json!({ "groupAllowFrom": [], "allowFrom": ["1"] }),
                drop("group_policy_empty_allowlist"),
            ),
            (json!({ "groupPolicy": "open" }), Decision::Run),
            (
                json!({ "groupPolicy": "open", "groups": { "-7": {} } }),
                drop("group_policy_not_allowlisted"),
            ),
            (
                json!({ "groupPolicy": "open", "groups": { "-100": {} } }),
                Decision::Run,
            ),
            (
                json!({ "groups": { "*": {} }, "allowFrom": ["1"] }),
                Decision::Run,
            ),
            (
                json!({ "groups": { "-100": { "allowFrom": ["1"] } } }),
                Decision::Run,
            ),
            (
                json!({ "groups": { "-100": { "enabled": false } }, "allowFrom": ["1"] }),
                drop("group_policy_disabled"),
            ),
            (
                json!({ "groups": { "-100": { "groupPolicy": "open" } } }),
                Decision::Run,
            ),
        ];
        for (config, expected) in cases {
            let mentioned = message(ChatKind::Group, "1", true, "hi");
            assert_eq!(
                decide(&access(config.clone()), &mentioned, &Mentions::default()),
                expected,
                "{config}"
            );
        }
    }

    #[test]
    fn the_mention_gate() {
        let open = |groups: Value| access(json!({ "groupPolicy": "open", "groups": groups }));
        let patterns = Mentions::new(&[r"\bclawbot\b".into(), "(unclosed".into()]);
        let cases = [
            (json!({}), "just chatting", Decision::Drop("not_mentioned")),
            (json!({}), "hey ClawBot, help", Decision::Run),
            (
                json!({ "-100": { "requireMention": false } }),
                "just chatting",
                Decision::Run,
            ),
            (
                json!({ "*": { "requireMention": false }, "-100": {} }),
                "just chatting",
                Decision::Run,
            ),
            (
                json!({ "*": { "requireMention": false }, "-100": { "requireMention": true } }),
                "just chatting",
                Decision::Drop("not_mentioned"),
            ),
        ];
        for (groups, text, expected) in cases {
            let unmentioned = message(ChatKind::Group, "1", false, text);
            assert_eq!(
                decide(&open(groups.clone()), &unmentioned, &patterns),
                expected,
                "{groups} {text}"
            );
        }
    }

    #[test]
    fn being_paired_for_direct_chats_opens_no_group() {
        let access = access(json!({ "allowFrom": ["1"], "groupAllowFrom": ["2"] }));
        let mentioned = message(ChatKind::Group, "1", true, "hi");
        assert!(matches!(
            decide(&access, &mentioned, &Mentions::default()),
            Decision::Drop(_)
        ));
    }

    #[test]
    fn the_reply_to_a_stranger_names_the_key_to_edit() {
        let text = challenge_text("Telegram user id", "777", "ABCD2345", "channels.telegram");
        assert_eq!(
            text,
            "OpenClaw: access not configured.\n\nYour Telegram user id: 777\n\n\
             Pairing code: ABCD2345\n\n\
             Ask the owner of this gateway to add your id to:\nchannels.telegram.allowFrom"
        );
    }
}
