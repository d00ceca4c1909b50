//! `gateway` of `openclaw.json`: the socket and who may use it.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Secret;

/// `gateway`: the socket and who may use it.
#[derive(Clone, Debug, Default, Deserialize)]
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

/// `gateway.bind`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Debug, Default, Deserialize)]
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
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `gateway.auth.rateLimit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMode {
    /// No shared secret: a paired device is mandatory.
    None,
    /// One token for everybody.
    Token,
    /// One password for everybody.
    Password,
    /// A proxy names the user (not built yet: refused at start).
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
#[derive(Clone, Debug, Deserialize)]
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

/// `gateway.controlUi`.
#[derive(Clone, Debug, Default, Deserialize)]
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

/// Parses an address or CIDR network of `gateway.trustedProxies`.
pub fn parse_network(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse::<IpAddr>().ok()?, bits.parse().ok()?),
        None => {
            let address = text.parse::<IpAddr>().ok()?;
            (address, if address.is_ipv4() { 32 } else { 128 })
        }
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some((address, bits))
}
