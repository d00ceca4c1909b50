//! `POST /tools/invoke`: one tool, called without a model.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::super::Server;
use super::visitor::Access;
use super::{invalid, json_answer};
use crate::agent::runner::ToolCall;
use crate::agent::toolbox::{ToolOutput, ToolPlace};
use crate::config::Config;
use crate::limits::TOOL_TIME_MAX;
use crate::sessions::SessionKey;
use crate::tools::outside;

/// Answers a request of somebody who may ask.
pub(super) async fn invoke(
    server: &Server,
    config: &Config,
    access: &Access,
    given: Map<String, Value>,
) -> Response {
    let text = |name: &str| given.get(name).and_then(Value::as_str).map(str::trim);
    let Some(name) = text("tool").filter(|name| !name.is_empty()) else {
        return invalid("tools.invoke requires body.tool");
    };
    let key = match SessionKey::resolve(text("sessionKey").unwrap_or_default(), config) {
        Ok(key) => key,
        Err(error) => return invalid(&error.to_string()),
    };
    let mut arguments = match given.get("args") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(arguments)) => arguments.clone(),
        Some(_) => return invalid("tools.invoke body.args must be an object"),
    };
    if let Some(action) = text("action").filter(|action| !action.is_empty()) {
        arguments.entry("action").or_insert_with(|| action.into());
    }
    match call(server, access, &key, name, Value::Object(arguments)).await {
        Some(output) if output.is_error => refused(
            StatusCode::BAD_REQUEST,
            "tool_error",
            output.text.strip_prefix("Error: ").unwrap_or(&output.text),
        ),
        Some(output) => {
            let content = json!([{ "type": "text", "text": output.text }]);
            let mut result = json!({ "content": content });
            if let Ok(details @ (Value::Object(_) | Value::Array(_))) =
                serde_json::from_str(&output.text)
            {
                result["details"] = details;
            }
            json_answer(StatusCode::OK, &json!({ "ok": true, "result": result }))
        }
        None => {
            let name: String = name.chars().take(80).collect();
            let text = format!("Tool not available: {name}");
            refused(StatusCode::NOT_FOUND, "not_found", &text)
        }
    }
}

/// Calls a tool as far as the caller and the policy of the session's agent allow; none for a tool
/// that is not there for this caller.
pub(in crate::http) async fn call(
    server: &Server,
    access: &Access,
    key: &SessionKey,
    name: &str,
    arguments: Value,
) -> Option<ToolOutput> {
    let config = server.parts.config.current();
    let agent = key.agent_id().unwrap_or(config.agents.default_id());
    let offered = outside::offered(&config, agent);
    let tool = offered.into_iter().find(|tool| tool.name == name)?;
    if !access.may(&server.parts, outside::scope(tool.name)) {
        return None;
    }
    let toolbox = server.parts.agent.toolbox()?;
    let run_id = format!("http:{}", server.parts.clock.uuid());
    let place = ToolPlace {
        run_id,
        step: "0".to_owned(),
        key: key.clone(),
        agent: agent.to_owned(),
        config: config.clone(),
    };
    let call = ToolCall {
        id: "0".to_owned(),
        name: tool.name.to_owned(),
        arguments,
    };
    let output = tokio::time::timeout(TOOL_TIME_MAX, toolbox.call(place, call)).await;
    let late = "the tool did not answer in time; it may have done its work";
    Some(output.unwrap_or_else(|_| ToolOutput::failed(late)))
}

fn refused(status: StatusCode, kind: &str, text: &str) -> Response {
    let error = json!({ "type": kind, "message": text });
    json_answer(status, &json!({ "ok": false, "error": error }))
}
