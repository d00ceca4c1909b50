//! `node.list`, `node.describe`, `node.invoke`, and the nodes' own `node.invoke.result`.

use gateway_schemas::nodes::{
    NodeDescribeParams, NodeDescribed, NodeError, NodeInvokeParams, NodeInvokeResultParams,
    NodeInvoked, NodeList, NodeResultTaken, NodeRow,
};
use serde_json::{Map, Value, json};

use super::{Call, Outcome, Parts, Reply};
use crate::error::GatewayError;
use crate::nodes::{Asked, InvokeError, Node, Taken, policy, run};

/// An answer as nodes send it, in the order of the contract: `null` stands for absent, and a
/// payload that was put into the text's place is the payload.
pub fn in_order(params: Value) -> Value {
    let Value::Object(mut params) = params else {
        return params;
    };
    for key in ["payloadJSON", "error"] {
        if params.get(key).is_some_and(Value::is_null) {
            params.remove(key);
        }
    }
    let misplaced = params.get("payloadJSON").is_some_and(|p| !p.is_string());
    if misplaced && let Some(payload) = params.remove("payloadJSON") {
        params.entry("payload").or_insert(payload);
    }
    Value::Object(params)
}

/// `node.list`
pub async fn list(call: Call) -> Outcome {
    Reply::of(&NodeList {
        ts: call.parts.clock.now_ms(),
        nodes: rows(&call.parts),
    })
}

/// `node.describe`
pub async fn describe(call: Call) -> Outcome {
    let params: NodeDescribeParams = call.params()?;
    let wanted = params.node_id.trim();
    if wanted.is_empty() {
        return Err(GatewayError::invalid("nodeId required"));
    }
    let found = rows(&call.parts).into_iter().find(|n| n.node_id == wanted);
    let node = found.ok_or_else(|| GatewayError::invalid("unknown nodeId"))?;
    let ts = call.parts.clock.now_ms();
    Reply::of(&NodeDescribed { ts, node })
}

fn rows(parts: &Parts) -> Vec<NodeRow> {
    let known = parts.devices.nodes().into_iter();
    let known = known.map(|(node_id, about)| NodeRow {
        node_id,
        display_name: about.display_name,
        platform: about.platform,
        remote_ip: about.remote_ip,
        paired: true,
        ..NodeRow::default()
    });
    parts.nodes.list(known.collect())
}

/// `node.invoke`
pub async fn invoke(call: Call) -> Outcome {
    let params: NodeInvokeParams = call.params()?;
    let (node_id, command) = (params.node_id.trim(), params.command.trim());
    if node_id.is_empty() || command.is_empty() {
        return Err(GatewayError::invalid("nodeId and command required"));
    }
    if matches!(
        command,
        "system.execApprovals.get" | "system.execApprovals.set"
    ) {
        let text = "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*";
        return Err(GatewayError::invalid(text).with_details(json!({ "command": command })));
    }
    let node = call.parts.nodes.get(node_id).ok_or_else(not_connected)?;
    may_be_asked(&call, &node, command)?;
    let given = match command {
        "system.run" => run::params(params.params.as_ref())
            .map_err(|r| GatewayError::invalid(r.text).with_details(r.details))?,
        _ => params.params.clone(),
    };
    let asked = Asked {
        node_id,
        command,
        params: given.as_ref(),
        timeout_ms: params.timeout_ms,
        idempotency_key: Some(&params.idempotency_key),
    };
    let answer = call.parts.nodes.invoke(asked).await;
    let answer = answer.map_err(|error| no_answer(error, command))?;
    if !answer.ok {
        return Err(said_no(answer.error));
    }
    let NodeInvokeResultParams {
        payload,
        payload_json,
        ..
    } = answer;
    let read = |text: &String| match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => json!({ "payloadJSON": text }),
    };
    Reply::of(&NodeInvoked {
        ok: true,
        node_id: node_id.to_owned(),
        command: command.to_owned(),
        payload: payload_json.as_ref().map(read).or(payload),
        payload_json,
    })
}

/// By the configuration of this moment, and by what the node declared when it came.
fn may_be_asked(call: &Call, node: &Node, command: &str) -> Result<(), GatewayError> {
    let config = call.parts.config.current();
    let refuse = |why: String, reason: &str| {
        let details = json!({ "reason": reason, "command": command });
        GatewayError::invalid(format!("node command not allowed: {why}")).with_details(details)
    };
    let platform = node.platform();
    if !policy::allows(&config.gateway.nodes, node.class(), command) {
        let why = format!("\"{command}\" is not in the allowlist for platform \"{platform}\"");
        return Err(refuse(why, "command not allowlisted"));
    }
    if node.commands().is_empty() {
        let why = "the node did not declare any supported commands".to_owned();
        return Err(refuse(why, "node did not declare commands"));
    }
    if !node.commands().iter().any(|own| own == command) {
        let why = format!("the node (platform: {platform}) does not support \"{command}\"");
        return Err(refuse(why, "command not declared by node"));
    }
    Ok(())
}

fn not_connected() -> GatewayError {
    let details = json!({ "code": "NOT_CONNECTED" });
    GatewayError::unavailable("node not connected").with_details(details)
}

fn no_answer(error: InvokeError, command: &str) -> GatewayError {
    match error {
        InvokeError::NotConnected => not_connected(),
        InvokeError::Left => {
            GatewayError::unavailable(format!("Error: node disconnected ({command})"))
        }
        InvokeError::TimedOut => said_no(Some(NodeError {
            code: Some("TIMEOUT".into()),
            message: Some("node invoke timed out".into()),
        })),
    }
}

fn said_no(error: Option<NodeError>) -> GatewayError {
    let own = error.clone().unwrap_or_default();
    let message = own.message.as_deref().unwrap_or("node invoke failed");
    let text = match own.code {
        Some(code) => format!("{code}: {message}"),
        None => message.to_owned(),
    };
    let mut details = Map::new();
    details.insert("nodeError".into(), json!(error));
    GatewayError::unavailable(text).with_details(Value::Object(details))
}

/// `node.invoke.result`
pub async fn result(call: Call) -> Outcome {
    let ignored = match call.parts.nodes.answered(&call.caller, call.params()?) {
        Taken::Told => None,
        Taken::Ignored => Some(true),
        Taken::OtherNode => return Err(GatewayError::invalid("nodeId mismatch")),
    };
    Reply::of(&NodeResultTaken { ok: true, ignored })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_put_in_order() {
        for (sent, expected) in [
            (json!({ "payloadJSON": null, "error": null }), json!({})),
            (json!({ "payloadJSON": [1] }), json!({ "payload": [1] })),
            (
                json!({ "payloadJSON": [1], "payload": 2 }),
                json!({ "payload": 2 }),
            ),
            (json!({ "payloadJSON": "1" }), json!({ "payloadJSON": "1" })),
            (json!([1]), json!([1])),
        ] {
            assert_eq!(in_order(sent), expected);
        }
    }
}
