//! `tools.catalog`: the tools that this gateway has, and the profiles that hold them.

use gateway_schemas::agents::{
    ToolEntry, ToolGroup, ToolProfile, ToolsCatalog, ToolsCatalogParams,
};

use crate::methods::{Call, Outcome, Reply};
use crate::tools::{GROUPS, TOOLS};

/// The profiles, with their names to show.
const PROFILES: [(&str, &str); 4] = [
    ("minimal", "Minimal"),
    ("coding", "Coding"),
    ("messaging", "Messaging"),
    ("full", "Full"),
];
const SOURCE: &str = "core";

/// `tools.catalog`
pub async fn catalogue(call: Call) -> Outcome {
    let params: ToolsCatalogParams = call.params()?;
    let config = call.parts.config.current();
    let named = params.agent_id.map(|id| id.trim().to_lowercase());
    let agent_id = named.unwrap_or_else(|| config.agents.default_id().to_owned());
    if !config.agents.exists(&agent_id) {
        let text = format!("unknown agent id \"{agent_id}\"");
        return Err(crate::error::GatewayError::invalid(text));
    }
    let group = |(id, label): &(&str, &str)| {
        let tools = TOOLS.iter().filter(|tool| tool.group == *id);
        ToolGroup {
            id: (*id).to_owned(),
            label: (*label).to_owned(),
            source: SOURCE.to_owned(),
            plugin_id: None,
            tools: tools
                .map(|tool| ToolEntry {
                    id: tool.name.to_owned(),
                    label: tool.name.to_owned(),
                    description: tool.label.to_owned(),
                    source: SOURCE.to_owned(),
                    plugin_id: None,
                    optional: None,
                    default_profiles: tool.profiles.iter().map(|p| (*p).to_owned()).collect(),
                })
                .collect(),
        }
    };
    let profile = |(id, label): &(&str, &str)| ToolProfile {
        id: (*id).to_owned(),
        label: (*label).to_owned(),
    };
    Reply::of(&ToolsCatalog {
        agent_id,
        profiles: PROFILES.iter().map(profile).collect(),
        groups: GROUPS.iter().map(group).collect(),
    })
}
