//! Which tools may be called from outside a run: over HTTP, and by other programs' agents.
//!
//! Pure. The policy of the agent counts, and on top of it `gateway.tools`. Promises that what acts
//! for long or for others is not there unless `gateway.tools.allow` names it.

use super::policy::Policy;
use super::{TOOLS, Tool};
use crate::config::Config;

/// Not there unless it is allowed by name.
const DENIED: [&str; 8] = [
    "sessions_spawn",
    "sessions_send",
    "cron",
    "exec",
    "gateway",
    "nodes",
    "skill",
    "whatsapp_login",
];

/// The tools that may be called from outside for an agent.
pub fn offered(config: &Config, agent: &str) -> Vec<&'static Tool> {
    let policy = Policy::of(config, agent);
    let door = &config.gateway.tools;
    let named = |list: &[String], name: &str| {
        list.iter()
            .any(|entry| entry.trim().eq_ignore_ascii_case(name))
    };
    let may = |tool: &&Tool| {
        let held_back = DENIED.contains(&tool.name) && !named(&door.allow, tool.name);
        policy.allows(tool) && !held_back && !named(&door.deny, tool.name)
    };
    TOOLS.iter().filter(may).collect()
}

/// The scope that a device needs for a tool, as for the method that does the same.
pub fn scope(tool: &str) -> &'static str {
    match tool {
        "sessions_list" | "sessions_history" => "operator.read",
        "sessions_send" | "message" => "operator.write",
        _ => "operator.admin",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn names(tools: Value, door: Value) -> Vec<&'static str> {
        let mut config = Config::for_tests(std::path::Path::new("/tmp"));
        config.tools = serde_json::from_value(tools).unwrap();
        config.gateway.tools = serde_json::from_value(door).unwrap();
        let offered = offered(&config, "main");
        offered.into_iter().map(|tool| tool.name).collect()
    }

    #[test]
    fn what_acts_for_others_is_named_or_not_there() {
        let usual = ["sessions_list", "sessions_history", "message"];
        assert_eq!(names(json!({}), json!({})), usual);
        assert_eq!(names(json!({"profile": "full"}), json!({})), usual);
        let all = names(
            json!({"profile": "full"}),
            json!({"allow": ["sessions_send", "cron"]}),
        );
        assert!(
            all.contains(&"sessions_send") && all.contains(&"cron"),
            "{all:?}"
        );
        // The door opens nothing that the agent's policy denies.
        let allowed = json!({"allow": ["sessions_send"]});
        assert_eq!(names(json!({}), allowed), usual);
        let denied = names(json!({}), json!({"deny": ["message"]}));
        assert_eq!(denied, usual[..2]);
    }
}
