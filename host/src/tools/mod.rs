//! The tools that the gateway gives to models: what there is, who may use it, how it is done.
//!
//! Handed to the agent as its [`Toolbox`]. `policy.rs` decides; each other file is one group of
//! tools. Promises that what the policy does not allow is neither offered nor done, and that a call
//! which is made again under the same run and step sends nothing twice.

mod cron;
mod exec;
mod message;
mod nodes;
pub mod outside;
pub mod policy;
mod sessions;
mod skills;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::agent::Agent;
use crate::agent::runner::{ToolCall, ToolSpec};
use crate::agent::toolbox::{ToolOutput, ToolPlace, Toolbox};
use crate::approvals::Approvals;
use crate::channels::Channels;
use crate::clock::Clock;
use crate::config::Config;
use crate::cron::Cron;
use crate::devices::Devices;
use crate::limits;
use crate::nodes::Nodes;
use crate::sessions::{SessionKey, Sessions};
use policy::Policy;

/// What the tools work with.
#[derive(Clone)]
pub struct Parts {
    /// What may be run.
    pub approvals: Approvals,
    /// Channels, to send by.
    pub channels: Channels,
    /// Conversations.
    pub sessions: Sessions,
    /// The agent, for messages to other conversations.
    pub agent: Agent,
    /// Jobs that run by the clock.
    pub cron: Cron,
    /// Devices that are paired as nodes.
    pub devices: Devices,
    /// Nodes that are here.
    pub nodes: Nodes,
    /// Time and ids.
    pub clock: Clock,
}

/// One tool.
pub struct Tool {
    /// Its name.
    pub name: &'static str,
    /// One line for people.
    pub label: &'static str,
    /// What models are told of it.
    pub description: &'static str,
    /// The group it belongs to.
    pub group: &'static str,
    /// The profiles that hold it.
    pub profiles: &'static [&'static str],
    /// It may be used where nothing is said about tools.
    pub by_default: bool,
    parameters: fn() -> Value,
}

impl Tool {
    /// JSON Schema of its arguments, an object.
    pub fn parameters(&self) -> Value {
        (self.parameters)()
    }
}

/// The groups, with their names to show.
pub const GROUPS: [(&str, &str); 6] = [
    ("runtime", "Runtime"),
    ("sessions", "Sessions"),
    ("messaging", "Messaging"),
    ("automation", "Automation"),
    ("nodes", "Nodes"),
    ("skills", "Skills"),
];

/// Every tool there is, in the order in which models and people see them.
pub static TOOLS: [Tool; 8] = [
    Tool {
        name: "exec",
        label: "Run a command",
        description: "Run a command on the gateway's machine and get what it writes. A person may \
            have to approve it first, so ask for one thing at a time and for nothing you don't need.",
        group: "runtime",
        profiles: &["coding"],
        by_default: false,
        parameters: exec::parameters,
    },
    Tool {
        name: "sessions_list",
        label: "List conversations",
        description: "List the conversations that you may see, newest first, with their keys.",
        group: "sessions",
        profiles: &["coding", "messaging"],
        by_default: true,
        parameters: sessions::list_parameters,
    },
    Tool {
        name: "sessions_history",
        label: "Read a conversation",
        description: "Read the newest messages of a conversation that you may see.",
        group: "sessions",
        profiles: &["coding", "messaging"],
        by_default: true,
        parameters: sessions::history_parameters,
    },
    Tool {
        name: "sessions_send",
        label: "Ask in another conversation",
        description: "Say something to the agent of another conversation and get its answer.",
        group: "sessions",
        profiles: &["coding", "messaging"],
        by_default: false,
        parameters: sessions::send_parameters,
    },
    Tool {
        name: "message",
        label: "Send a message",
        description: "Send a message on a channel. What you answer goes back to where the \
            conversation came from by itself: use this only to write elsewhere or at once. If \
            nothing more is to be said afterwards, answer exactly NO_REPLY.",
        group: "messaging",
        profiles: &["messaging"],
        by_default: true,
        parameters: message::parameters,
    },
    Tool {
        name: "cron",
        label: "Jobs that run by the clock",
        description: "Make, list, change, remove and run jobs that run by the clock: reminders \
            (payload kind systemEvent, told to you in the main session) and turns of your own \
            (payload kind agentTurn, whose answer is brought to the chat). Times are ISO 8601.",
        group: "automation",
        profiles: &["coding"],
        by_default: false,
        parameters: cron::parameters,
    },
    Tool {
        name: "nodes",
        label: "Ask devices",
        description: "List the person's devices, such as phones, and have one do what it can: its \
            commands are in the list.",
        group: "nodes",
        profiles: &[],
        by_default: false,
        parameters: nodes::parameters,
    },
    Tool {
        name: SKILL,
        label: "Read a skill",
        description: "Read the instructions of one of your skills. Do so before you use it.",
        group: "skills",
        profiles: &["coding", "messaging"],
        by_default: true,
        parameters: skills::parameters,
    },
];

/// Offered only to an agent that has skills.
const SKILL: &str = "skill";

/// The tools, ready for use.
pub struct Tools {
    parts: Parts,
}

impl Tools {
    /// The tools over these parts.
    pub fn new(parts: Parts) -> Arc<Tools> {
        Arc::new(Tools { parts })
    }
}

impl Toolbox for Tools {
    fn offered(&self, config: &Config, agent: &str, _key: &SessionKey) -> Vec<ToolSpec> {
        let policy = Policy::of(config, agent);
        let approvals = &self.parts.approvals;
        let works = |tool: &&Tool| match tool.name {
            "exec" => exec::is_offered(approvals, config, agent),
            SKILL => !crate::skills::usable(config, agent).is_empty(),
            _ => true,
        };
        let tools = TOOLS.iter().filter(|tool| policy.allows(tool));
        tools
            .filter(works)
            .map(|tool| ToolSpec {
                name: tool.name,
                description: tool.description,
                parameters: (tool.parameters)(),
            })
            .collect()
    }

    fn time_max(&self, call: &ToolCall) -> Duration {
        match call.name.as_str() {
            "exec" => exec::time_max(call),
            _ => limits::TOOL_TIME_MAX,
        }
    }

    fn call(&self, place: ToolPlace, call: ToolCall) -> BoxFuture<'static, ToolOutput> {
        let parts = self.parts.clone();
        async move {
            let policy = Policy::of(&place.config, &place.agent);
            let tool = TOOLS.iter().find(|tool| tool.name == call.name);
            let Some(tool) = tool.filter(|tool| policy.allows(tool)) else {
                let known: String = call.name.chars().take(80).collect();
                return ToolOutput::failed(&format!("there is no tool \"{known}\" here"));
            };
            tracing::info!(run = place.run_id, tool = tool.name, session = %place.key, "tool called");
            let done = match tool.name {
                "exec" => exec::call(&parts, &place, call.arguments).await,
                "message" => message::send(&parts, &place, call.arguments).await,
                "sessions_list" => sessions::list(&parts, &place, call.arguments),
                "sessions_history" => sessions::history(&parts, &place, call.arguments),
                "nodes" => nodes::call(&parts, &place, call.arguments).await,
                "cron" => cron::call(&parts, &place, call.arguments).await,
                "sessions_send" => sessions::send(&parts, &place, call.arguments).await,
                SKILL => skills::read(&place, call.arguments),
                _ => Err("this tool is not built".to_owned()),
            };
            done.unwrap_or_else(|why| ToolOutput::failed(&why))
        }
        .boxed()
    }
}

/// The arguments of a call; what is wrong with them is told to the model.
fn arguments<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(arguments)
        .map_err(|e| format!("the arguments don't fit at {}: {}", e.path(), e.inner()))
}
