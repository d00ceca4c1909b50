//! `node.list`, `node.describe`, `node.invoke`, and the nodes' own `node.invoke.result`.

use gateway_schemas::nodes::{
    NodeDescribeParams, NodeDescribed, NodeInvokeParams, NodeInvoked, NodeList, NodeResultTaken,
    NodeRow,
};
use serde_json::Value;

use super::{Call, Outcome, Parts, Reply};
use crate::error::GatewayError;
use crate::nodes::{Answered, Asked, Refusal, Taken};

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
    parts.nodes.list(parts.devices.nodes())
}

/// `node.invoke`
pub async fn invoke(call: Call) -> Outcome {
    let params: NodeInvokeParams = call.params()?;
    let (node_id, command) = (params.node_id.trim(), params.command.trim());
    if node_id.is_empty() || command.is_empty() {
        return Err(GatewayError::invalid("nodeId and command required"));
    }
    let config = call.parts.config.current();
    let asked = Asked {
        node_id,
        command,
        params: params.params.as_ref(),
        timeout_ms: params.timeout_ms,
        idempotency_key: Some(&params.idempotency_key),
    };
    let answered = call.parts.nodes.ask(&config.gateway.nodes, asked).await;
    let Answered {
        payload,
        payload_json,
    } = answered.map_err(refused)?;
    Reply::of(&NodeInvoked {
        ok: true,
        node_id: node_id.to_owned(),
        command: command.to_owned(),
        payload,
        payload_json,
    })
}

fn refused(refusal: Refusal) -> GatewayError {
    let error = if refusal.is_askers {
        GatewayError::invalid(refusal.text)
    } else {
        GatewayError::unavailable(refusal.text)
    };
    match refusal.details {
        Some(details) => error.with_details(details),
        None => error,
    }
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
    use serde_json::json;

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
