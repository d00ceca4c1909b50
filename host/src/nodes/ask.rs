//! One question to a node from beginning to end: may it be asked, what did it say.
//!
//! Called by the method `node.invoke` and the tool `nodes`. The order of the checks is the wire's
//! (protocol/05 §5).

use gateway_schemas::nodes::NodeError;
use serde_json::{Value, json};

use super::{Asked, InvokeError, Node, Nodes, policy, run};
use crate::config::NodesConfig;

/// Commands about a node's own approvals: reached another way.
const RESERVED: [&str; 2] = ["system.execApprovals.get", "system.execApprovals.set"];

/// What a node said.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its answer; a text that is no JSON as `{"payloadJSON": …}`.
    pub payload: Option<Value>,
    /// The text, if it sent one.
    pub payload_json: Option<String>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The asker did something wrong; else it was asked rightly and didn't work.
    pub is_askers: bool,
    /// For people.
    pub text: String,
    /// For programs.
    pub details: Option<Value>,
}

impl Refusal {
    fn askers(text: impl Into<String>, details: Value) -> Refusal {
        Refusal {
            is_askers: true,
            text: text.into(),
            details: Some(details),
        }
    }

    fn ours(text: impl Into<String>, details: Option<Value>) -> Refusal {
        Refusal {
            is_askers: false,
            text: text.into(),
            details,
        }
    }
}

impl Nodes {
    /// Asks a node for what `config` allows and it declared, and reads its answer.
    ///
    /// # Errors
    /// [`Refusal`]. Dropping the future gives the answer up; the node is not told.
    pub async fn ask(&self, config: &NodesConfig, asked: Asked<'_>) -> Result<Answered, Refusal> {
        let command = asked.command;
        if RESERVED.contains(&command) {
            let text =
                "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*";
            return Err(Refusal::askers(text, json!({ "command": command })));
        }
        let node = self.get(asked.node_id).ok_or_else(not_connected)?;
        may_be_asked(config, &node, command)?;
        let given = match command {
            "system.run" => {
                run::params(asked.params).map_err(|r| Refusal::askers(r.text, r.details))?
            }
            _ => asked.params.cloned(),
        };
        let params = given.as_ref();
        let answer = self.invoke(Asked { params, ..asked }).await;
        let answer = answer.map_err(|error| no_answer(error, command))?;
        if !answer.ok {
            return Err(said_no(answer.error));
        }
        let read = |text: &String| match serde_json::from_str(text) {
            Ok(value) => value,
            Err(_) => json!({ "payloadJSON": text }),
        };
        Ok(Answered {
            payload: answer.payload_json.as_ref().map(read).or(answer.payload),
            payload_json: answer.payload_json,
        })
    }
}

/// By the configuration of this moment, and by what the node declared when it came.
fn may_be_asked(config: &NodesConfig, node: &Node, command: &str) -> Result<(), Refusal> {
    let refuse = |why: String, reason: &str| {
        let details = json!({ "reason": reason, "command": command });
        Err(Refusal::askers(
            format!("node command not allowed: {why}"),
            details,
        ))
    };
    let platform = node.platform();
    if !policy::allows(config, node.class(), command) {
        let why = format!("\"{command}\" is not in the allowlist for platform \"{platform}\"");
        return refuse(why, "command not allowlisted");
    }
    if node.commands().is_empty() {
        let why = "the node did not declare any supported commands".to_owned();
        return refuse(why, "node did not declare commands");
    }
    if !node.commands().iter().any(|own| own == command) {
        let why = format!("the node (platform: {platform}) does not support \"{command}\"");
        return refuse(why, "command not declared by node");
    }
    Ok(())
}

fn not_connected() -> Refusal {
    let details = json!({ "code": "NOT_CONNECTED" });
    Refusal::ours("node not connected", Some(details))
}

fn no_answer(error: InvokeError, command: &str) -> Refusal {
    match error {
        InvokeError::NotConnected => not_connected(),
        InvokeError::Left => Refusal::ours(format!("Error: node disconnected ({command})"), None),
        InvokeError::TimedOut => said_no(Some(NodeError {
            code: Some("TIMEOUT".into()),
            message: Some("node invoke timed out".into()),
        })),
    }
}

fn said_no(error: Option<NodeError>) -> Refusal {
    let details = json!({ "nodeError": error });
    let own = error.unwrap_or_default();
    let message = own.message.as_deref().unwrap_or("node invoke failed");
    let text = match own.code {
        Some(code) => format!("{code}: {message}"),
        None => message.to_owned(),
    };
    Refusal::ours(text, Some(details))
}
