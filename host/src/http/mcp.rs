//! `/mcp`: the gateway's tools for other programs' agents, by the Model Context Protocol.
//!
//! The official crate speaks the protocol (streamable HTTP, each request for itself); who may ask
//! and what there is to call is decided as for `/tools/invoke`. Off until `gateway.mcp.enabled`.
//! A request whose asker leaves is given up.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
    Implementation, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig,
    Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;

use super::api::visitor::{self, Access};
use super::api::{body, failure, tools};
use super::{Peer, Server};
use crate::config::Config;
use crate::limits::TOOL_BODY_BYTES_MAX;
use crate::sessions::SessionKey;
use crate::tools::outside;

/// Where it is.
const PATH: &str = "/mcp";
/// Who may look at the tools; each tool has a scope of its own.
const SCOPE: &str = "operator.read";

/// Answers a request for the tools; gives it back when they are not meant.
pub(super) async fn answer(
    server: &Arc<Server>,
    config: &Config,
    peer: &Peer,
    request: Request,
) -> Result<Response, Request> {
    if request.uri().path() != PATH || !config.gateway.mcp.enabled {
        return Err(request);
    }
    let served = served(server, config, peer, request).await;
    Ok(served.unwrap_or_else(|refusal| refusal))
}

async fn served(
    server: &Arc<Server>,
    config: &Config,
    peer: &Peer,
    request: Request,
) -> Result<Response, Response> {
    let access = visitor::admit(server, config, peer, request.headers())?;
    if !access.may(&server.parts, SCOPE) {
        return Err(visitor::unauthorised());
    }
    let (head, content) = request.into_parts();
    let bytes = body::read(server, peer, &head.headers, content, TOOL_BODY_BYTES_MAX).await;
    let bytes = bytes.map_err(|error| {
        let (status, text) = error.told();
        failure(status, "invalid_request_error", &text)
    })?;
    let agent = config.gateway.mcp.agent_id.as_deref();
    let agent = agent.map(|id| id.trim().to_lowercase());
    let agent = agent.filter(|id| config.agents.exists(id));
    let agent = agent.as_deref().unwrap_or(config.agents.default_id());
    let desk = Arc::new(Desk {
        server: server.clone(),
        access,
        key: SessionKey::main_of(agent, config),
    });
    // Hosts and origins were looked at with the secret.
    let settings = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(TOOL_BODY_BYTES_MAX)
        .with_cancellation_token(server.connections.stop_token().child_token())
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let make = move || Ok(desk.clone());
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(make, sessions, settings);
    let request = Request::from_parts(head, Body::from(bytes));
    Ok(service.handle(request).await.map(Body::new))
}

/// The tools for one asker.
struct Desk {
    server: Arc<Server>,
    access: Access,
    key: SessionKey,
}

impl ServerHandler for Desk {
    fn get_info(&self) -> ServerConfig {
        let tools = ServerCapabilities::builder().enable_tools().build();
        let name = Implementation::new("openclaw-gateway", crate::VERSION);
        ServerConfig::new(tools).with_server_info(name)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let config = self.server.parts.config.current();
        let agent = self.key.agent_id().unwrap_or(config.agents.default_id());
        let may = |name: &str| self.access.may(&self.server.parts, outside::scope(name));
        let offered = outside::offered(&config, agent).into_iter();
        let tools = offered.filter(|tool| may(tool.name)).map(|tool| {
            let schema = match tool.parameters() {
                Value::Object(schema) => schema,
                _ => serde_json::Map::new(),
            };
            Tool::new(tool.name, tool.description, schema).with_title(tool.label)
        });
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let called = tools::call(
            &self.server,
            &self.access,
            &self.key,
            &request.name,
            arguments,
        );
        let Some(output) = called.await else {
            let name: String = request.name.chars().take(80).collect();
            let text = format!("Tool not available: {name}");
            return Err(ErrorData::invalid_params(text, None));
        };
        let content = vec![ContentBlock::text(output.text)];
        let result = match output.is_error {
            true => CallToolResult::error(content),
            false => CallToolResult::success(content),
        };
        Ok(result.into())
    }
}
