//! `agents.list[].runtime`: a coding agent that answers instead of a model.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::from_home;

/// `agents.list[].runtime`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AgentRuntime {
    /// `embedded` (default: models answer) or `acp`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Which one, for `acp`.
    pub acp: AgentAcp,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `agents.list[].runtime.acp`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AgentAcp {
    /// Key of `agents.defaults.acpBackends`, or a built-in one.
    pub agent: Option<String>,
    /// The folder it works in, instead of the agent's own.
    pub cwd: Option<String>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl AgentRuntime {
    /// The backend that answers, when it is not a model.
    pub fn program(&self) -> Option<&str> {
        let acp = self.kind.as_deref() == Some("acp");
        self.acp.agent.as_deref().filter(|_| acp)
    }

    /// The folder that it works in, if it is named.
    pub fn folder(&self) -> Option<PathBuf> {
        self.acp.cwd.as_deref().map(from_home)
    }
}
