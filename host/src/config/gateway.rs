//! `gateway` of `openclaw.json`: the socket and who may use it.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{HttpConfig, McpConfig, Secret, ToolDoorConfig};

/// `gateway`: the socket and who may use it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct GatewayConfig {
    /// TCP port; flag and environment have been folded in.
    pub port: Option<u16>,
    /// Must be `local` or absent for a gateway to start here.
    pub mode: Option<String>,
    /// Which addresses to listen on.
    pub bind: Bind,
    /// The dotted IPv4 address of `bind: "custom"`.
    pub custom_bind_host: Option<String>,
    /// Shared authentication.
    pub auth: AuthConfig,
    /// Encryption of the port.
    pub tls: TlsConfig,
    /// Browser clients.
    pub control_ui: ControlUiConfig,
    /// Addresses or networks whose forwarding headers are believed.
    pub trusted_proxies: Vec<String>,
    /// Believe `X-Real-IP` of a trusted proxy that sends no `X-Forwarded-For`.
    pub allow_real_ip_fallback: bool,
    /// Tailscale in front of this gateway.
    pub tailscale: TailscaleConfig,
    /// What nodes may be asked for.
    pub nodes: NodesConfig,
    /// How a changed file is noticed.
    pub reload: WatchConfig,
    /// What programs may ask over HTTP.
    pub http: HttpConfig,
    /// Which tools may be called over HTTP.
    pub tools: ToolDoorConfig,
    /// The tools for other programs' agents, by the Model Context Protocol.
    pub mcp: McpConfig,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl GatewayConfig {
    /// The port when nobody names one.
    pub const DEFAULT_PORT: u16 = 18_789;

    /// The port to listen on.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(Self::DEFAULT_PORT)
    }
}

/// `gateway.nodes`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct NodesConfig {
    /// Commands that nodes may be asked for besides the usual ones, such as `camera.snap`.
    pub allow_commands: Vec<String>,
    /// Commands that they may never be asked for.
    pub deny_commands: Vec<String>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.reload`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct WatchConfig {
    /// Whether a changed file is read by itself.
    pub mode: WatchMode,
    /// How long the file must rest before it is read, ms; absent: 300.
    pub debounce_ms: Option<u64>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.reload.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WatchMode {
    /// What can change under a running gateway changes; the rest is named in the log.
    #[default]
    Hybrid,
    /// The same.
    Hot,
    /// The same: this gateway doesn't restart itself.
    Restart,
    /// A changed file is read at SIGHUP only.
    Off,
}

impl WatchMode {
    /// Whether the files are looked at.
    pub fn watches(self) -> bool {
        self != Self::Off
    }
}

/// `gateway.bind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Bind {
    /// 127.0.0.1, and ::1 where it is free.
    #[default]
    Loopback,
    /// 0.0.0.0.
    Lan,
    /// Loopback, else every address.
    Auto,
    /// The tailnet's address.
    Tailnet,
    /// `customBindHost`.
    Custom,
}

impl std::str::FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "loopback" => Ok(Self::Loopback),
            "lan" => Ok(Self::Lan),
            "auto" => Ok(Self::Auto),
            "tailnet" => Ok(Self::Tailnet),
            "custom" => Ok(Self::Custom),
            other => Err(format!(
                "unknown bind mode {other}: use loopback, lan, tailnet, auto or custom"
            )),
        }
    }
}

/// `gateway.auth`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct AuthConfig {
    /// Chosen mode; by presence of a password or token when absent.
    pub mode: Option<AuthMode>,
    /// The shared token.
    pub token: Option<Secret>,
    /// The shared password.
    pub password: Option<Secret>,
    /// Lock out programs that fail too often; absent: only web pages are.
    pub rate_limit: Option<RateLimitConfig>,
    /// How a proxy names the user, in mode trusted-proxy.
    pub trusted_proxy: Option<TrustedProxyConfig>,
    /// Believe Tailscale Serve's word on who comes; absent: only where it is set up by us.
    pub allow_tailscale: Option<bool>,
    /// How often the shared secrets were replaced since the start.
    #[serde(skip)]
    pub generation: u64,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.auth.trustedProxy`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TrustedProxyConfig {
    /// The header that holds the user's name.
    pub user_header: String,
    /// Headers that must be there and not blank.
    pub required_headers: Vec<String>,
    /// Who may come; empty: every user the proxy names.
    pub allow_users: Vec<String>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.tailscale`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TailscaleConfig {
    /// What stands in front of the gateway.
    pub mode: TailscaleMode,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.tailscale.mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TailscaleMode {
    /// Nothing.
    #[default]
    Off,
    /// The tailnet's own members.
    Serve,
    /// The whole internet.
    Funnel,
}

/// `gateway.auth.rateLimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct RateLimitConfig {
    /// Failures in one window that lock an address out.
    pub max_attempts: u32,
    /// The window, ms.
    pub window_ms: u64,
    /// How long the lock holds, ms.
    pub lockout_ms: u64,
    /// Whether programs on this host are left alone.
    pub exempt_loopback: bool,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        RateLimitConfig {
            max_attempts: 10,
            window_ms: 60_000,
            lockout_ms: 300_000,
            exempt_loopback: true,
        }
    }
}

/// `gateway.auth.mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    /// No shared secret: a paired device is mandatory.
    None,
    /// One token for everybody.
    Token,
    /// One password for everybody.
    Password,
    /// A proxy in front names the user; no secret is tried.
    TrustedProxy,
}

impl AuthMode {
    /// The wire's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Token => "token",
            Self::Password => "password",
            Self::TrustedProxy => "trusted-proxy",
        }
    }
}

/// `gateway.tls`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct TlsConfig {
    /// Whether the port speaks TLS.
    pub enabled: bool,
    /// Make a certificate when there is none.
    pub auto_generate: bool,
    /// The certificate instead of the gateway's own, PEM.
    pub cert_path: Option<String>,
    /// Its key, PEM.
    pub key_path: Option<String>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        TlsConfig {
            enabled: false,
            auto_generate: true,
            cert_path: None,
            key_path: None,
            other: Map::new(),
        }
    }
}

impl std::str::FromStr for AuthMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::None, Self::Token, Self::Password, Self::TrustedProxy];
        let found = all.into_iter().find(|mode| mode.as_str() == text);
        found.ok_or_else(|| {
            format!("unknown auth mode {text}: use none, token, password or trusted-proxy")
        })
    }
}

impl AuthConfig {
    /// Whether Tailscale's word counts: as configured, else where Serve stands in front of a
    /// gateway with a token.
    pub fn allows_tailscale(&self, tailscale: &TailscaleConfig) -> bool {
        let by_itself =
            tailscale.mode == TailscaleMode::Serve && self.mode == Some(AuthMode::Token);
        self.allow_tailscale.unwrap_or(by_itself)
    }
}

/// `gateway.controlUi`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ControlUiConfig {
    /// Origins that browsers may come from; `*` admits all.
    pub allowed_origins: Vec<String>,
    /// Admit an origin that equals the Host header.
    pub dangerously_allow_host_header_origin_fallback: bool,
    /// Admit the local Control UI without a device.
    pub allow_insecure_auth: bool,
    /// Ignore devices of the Control UI altogether.
    pub dangerously_disable_device_auth: bool,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Parses an address or CIDR network of `gateway.trustedProxies`. IPv4 that is written as IPv6
/// becomes IPv4; a network that holds more than such addresses is none.
pub fn parse_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse().ok()?)),
        None => (text.parse::<IpAddr>().ok()?, None),
    };
    let folded = address.to_canonical();
    let most: u8 = if folded.is_ipv4() { 32 } else { 128 };
    let bits: u8 = match bits {
        None => most,
        Some(bits) if address == folded => bits,
        Some(bits) => u8::checked_sub(bits, 96)?,
    };
    (bits <= most).then_some((folded, bits))
}
