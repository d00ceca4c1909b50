//! The tool `nodes`: which devices there are, and what they can be asked for.
//!
//! Bounded as the method `node.invoke` is. A node runs no programs for a model by this way: that
//! needs a person's word, which the tool `exec` asks for.

use gateway_schemas::nodes::NodeRow;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Parts, arguments};
use crate::agent::toolbox::{ToolOutput, ToolPlace};
use crate::nodes::Asked;

/// What models are told of the arguments.
pub(super) fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "action": { "type": "string", "enum": ["list", "invoke"] },
            "node": { "type": "string", "description": "For invoke: its id or its name." },
            "command": { "type": "string",
                "description": "For invoke: one of the node's commands." },
            "params": { "type": "object", "description": "For invoke: what the command takes." },
            "timeoutMs": { "type": "integer", "minimum": 1, "maximum": 120_000 },
        },
        "required": ["action"],
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    action: String,
    #[serde(alias = "nodeId")]
    node: Option<String>,
    command: Option<String>,
    params: Option<Value>,
    timeout_ms: Option<u64>,
}

/// Longest that a model waits for a node, ms.
const TIMEOUT_MS_MAX: u64 = 120_000;

pub(super) async fn call(
    parts: &Parts,
    place: &ToolPlace,
    given: Value,
) -> Result<ToolOutput, String> {
    let given: Arguments = arguments(given)?;
    let rows = parts.nodes.list(parts.devices.nodes());
    match given.action.trim() {
        "list" => {
            let shown = |row: &NodeRow| {
                json!({
                    "node": row.node_id, "name": row.display_name, "platform": row.platform,
                    "connected": row.connected, "commands": row.commands,
                })
            };
            let list: Vec<Value> = rows.iter().map(shown).collect();
            Ok(ToolOutput::ok(json!({ "nodes": list }).to_string()))
        }
        "invoke" => invoke(parts, place, &given, &rows).await,
        other => Err(format!(
            "there is no action \"{other}\": use list or invoke"
        )),
    }
}

async fn invoke(
    parts: &Parts,
    place: &ToolPlace,
    given: &Arguments,
    rows: &[NodeRow],
) -> Result<ToolOutput, String> {
    let (Some(wanted), Some(command)) = (given.node.as_deref(), given.command.as_deref()) else {
        return Err("invoke needs a node and a command".to_owned());
    };
    let (wanted, command) = (wanted.trim(), command.trim());
    if command.starts_with("system.run") {
        return Err("a node runs no programs by this tool".to_owned());
    }
    let fits = |row: &&NodeRow| {
        let name = row.display_name.as_deref();
        row.node_id == wanted || name.is_some_and(|name| name.eq_ignore_ascii_case(wanted))
    };
    let mut found = rows.iter().filter(fits);
    let (Some(node), None) = (found.next(), found.next()) else {
        return Err(format!(
            "there is not exactly one node \"{wanted}\": list shows all"
        ));
    };
    let key = format!("{}:{}", place.run_id, place.step);
    let asked = Asked {
        node_id: &node.node_id,
        command,
        params: given.params.as_ref(),
        timeout_ms: given.timeout_ms.map(|ms| ms.min(TIMEOUT_MS_MAX)),
        idempotency_key: Some(&key),
    };
    let answered = parts.nodes.ask(&place.config.gateway.nodes, asked).await;
    let answered = answered.map_err(|refusal| refusal.text)?;
    let text = match (answered.payload_json, answered.payload) {
        (Some(text), _) => text,
        (None, Some(payload)) => payload.to_string(),
        (None, None) => "done".to_owned(),
    };
    Ok(ToolOutput::ok(text).about(format!("{command} on {}", name_of(node))))
}

fn name_of(node: &NodeRow) -> &str {
    node.display_name.as_deref().unwrap_or(&node.node_id)
}
