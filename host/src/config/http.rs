//! `gateway.http`, `gateway.tools` and `gateway.mcp` of `openclaw.json`: what programs may ask over
//! HTTP. Everything but `/tools/invoke` is off until it is named here.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// `gateway.http`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpConfig {
    /// The interfaces for programs that speak as to OpenAI.
    pub endpoints: EndpointsConfig,
    /// More headers on every answer.
    pub security_headers: SecurityHeadersConfig,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.http.endpoints`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointsConfig {
    /// `POST /v1/chat/completions`.
    pub chat_completions: EndpointConfig,
    /// `POST /v1/responses`.
    pub responses: EndpointConfig,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// One of `gateway.http.endpoints`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointConfig {
    /// Whether it is there at all.
    pub enabled: bool,
    /// Largest request, bytes; absent: 20 MB.
    pub max_body_bytes: Option<usize>,
    /// Pictures of one request; absent: 8.
    pub max_image_parts: Option<usize>,
    /// Bytes of all of them; absent: 20 MB.
    pub max_total_image_bytes: Option<usize>,
    /// Files of one request (`/v1/responses`).
    pub files: FilesConfig,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.http.endpoints.responses.files`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct FilesConfig {
    /// Kinds of text that are taken; absent: plain text, markdown, HTML, CSV and JSON.
    pub allowed_mimes: Option<Vec<String>>,
    /// Largest file, bytes; absent: 5 MB.
    pub max_bytes: Option<usize>,
    /// Characters of one file that the model reads; absent: 200,000.
    pub max_chars: Option<usize>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.http.securityHeaders`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct SecurityHeadersConfig {
    /// The value of `Strict-Transport-Security`, or false for none.
    pub strict_transport_security: Option<Hsts>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.http.securityHeaders.strictHsts`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Hsts {
    /// `false`: none.
    On(bool),
    /// Its value.
    Value(String),
}

/// `gateway.tools`: what may be called over HTTP, beside the policy of the agent.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ToolDoorConfig {
    /// Tools that nobody may call over HTTP unless they are named here.
    pub allow: Vec<String>,
    /// Tools that nobody may call over HTTP.
    pub deny: Vec<String>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.mcp`: the tools for other programs' agents.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct McpConfig {
    /// Whether `/mcp` is there at all.
    pub enabled: bool,
    /// Whose policy counts and in whose main session the tools are called; absent: the default
    /// agent.
    pub agent_id: Option<String>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}
