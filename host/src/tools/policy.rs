//! Which tools an agent may use: `tools` and `agents.list[].tools` of the configuration.
//!
//! Pure. Promises default-deny: without a word about tools only those are allowed that read what
//! the agent may see anyway, and `message`; what is denied anywhere is denied.

use super::Tool;
use crate::config::{Config, ToolsConfig};

/// The decision for one agent.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    shared: &'a ToolsConfig,
    own: Option<&'a ToolsConfig>,
}

impl<'a> Policy<'a> {
    /// The policy of an agent.
    pub fn of(config: &'a Config, agent: &str) -> Policy<'a> {
        let own = config.agents.get(agent).and_then(|a| a.tools.as_ref());
        Policy {
            shared: &config.tools,
            own,
        }
    }

    /// Whether the agent may use a tool.
    pub fn allows(&self, tool: &Tool) -> bool {
        let settings = [Some(self.shared), self.own];
        let settings: Vec<&ToolsConfig> = settings.into_iter().flatten().collect();
        if settings.iter().any(|s| names(&s.deny, tool)) {
            return false;
        }
        // An agent's own profile stands instead of the shared one; lists narrow each other.
        let profile = settings.iter().rev().find_map(|s| s.profile.as_deref());
        let lists: Vec<_> = settings.iter().filter_map(|s| s.allow.as_ref()).collect();
        if settings.iter().any(|s| names(&s.also_allow, tool)) {
            return true;
        }
        if lists.iter().any(|list| !names(list, tool)) {
            return false;
        }
        match profile {
            Some("full") => true,
            Some(profile) => tool.profiles.contains(&profile),
            None => tool.by_default || !lists.is_empty(),
        }
    }
}

/// A list names a tool by its name, its group (`group:sessions`) or `*`.
fn names(list: &[String], tool: &Tool) -> bool {
    list.iter().any(|entry| {
        let entry = entry.trim().to_lowercase();
        entry == "*" || entry == tool.name || entry.strip_prefix("group:") == Some(tool.group)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::TOOLS;
    use super::*;
    use serde_json::{Value, json};

    fn allowed(shared: Value, own: Value) -> Vec<&'static str> {
        let shared: ToolsConfig = serde_json::from_value(shared).unwrap();
        let own: ToolsConfig = serde_json::from_value(own).unwrap();
        let policy = Policy {
            shared: &shared,
            own: Some(&own),
        };
        let tools = TOOLS.iter().filter(|tool| policy.allows(tool));
        tools.map(|tool| tool.name).collect()
    }

    #[test]
    fn what_is_not_allowed_is_denied() {
        let usual = ["sessions_list", "sessions_history", "message", "skill"];
        let all: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
        assert_eq!(all[5..], ["cron", "nodes", "skill"]);
        let check = |shared: Value, own: Value, want: &[&str]| {
            assert_eq!(allowed(shared.clone(), own.clone()), want, "{shared} {own}");
        };
        check(json!({}), json!({}), &usual);
        check(json!({"profile": "full"}), json!({}), &all);
        check(json!({"profile": "minimal"}), json!({}), &[]);
        check(json!({"profile": "zzz"}), json!({}), &[]);
        let messaging = [&all[1..5], &all[7..]].concat();
        check(json!({"profile": "messaging"}), json!({}), &messaging);
        let coding = [&all[..4], &["cron", "skill"]].concat();
        check(json!({"profile": "coding"}), json!({}), &coding);
        check(json!({"allow": ["*"]}), json!({}), &all);
        check(json!({"allow": ["group:sessions"]}), json!({}), &all[1..4]);
        check(
            json!({"allow": ["group:sessions"]}),
            json!({"allow": ["message"]}),
            &[],
        );
        check(
            json!({"deny": ["message"]}),
            json!({"alsoAllow": ["message"]}),
            &["sessions_list", "sessions_history", "skill"],
        );
        check(
            json!({}),
            json!({"alsoAllow": ["sessions_send"]}),
            &messaging,
        );
        check(json!({"allow": ["group:automation"]}), json!({}), &["cron"]);
        check(
            json!({"profile": "full"}),
            json!({"profile": "minimal"}),
            &[],
        );
        check(json!({}), json!({"deny": ["*"]}), &[]);
    }
}
