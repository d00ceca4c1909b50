//! Who a test client says it is: builds `connect` params, signed for a challenge.

use serde_json::{Value, json};

use crate::device::{Device, Version, payload};
use crate::gateway::TOKEN;
use crate::wait::now_ms;

/// The five scopes the command line asks for, in its order.
pub const ALL_SCOPES: [&str; 5] = [
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.pairing",
];

/// A client's `connect` before it is signed.
#[derive(Clone)]
pub struct Login {
    /// The device that signs; `None` sends no `device` at all.
    pub device: Option<Device>,
    /// Which text is signed.
    pub version: Version,
    /// Params without `device`.
    pub params: Value,
}

impl Login {
    /// An operator like the shipped command line: all scopes, the shared token, this device.
    #[must_use]
    pub fn operator(device: &Device) -> Self {
        Self {
            device: Some(device.clone()),
            version: Version::V3,
            params: json!({
                "minProtocol": 3, "maxProtocol": 3,
                "client": {
                    "id": "cli", "version": "test-1", "platform": "linux",
                    "mode": "cli", "deviceFamily": "Linux",
                },
                "caps": [], "role": "operator", "scopes": ALL_SCOPES,
                "auth": { "token": TOKEN },
            }),
        }
    }

    /// An operator with a fresh device.
    #[must_use]
    pub fn fresh() -> Self {
        Self::operator(&Device::new())
    }

    /// The shared token and no device: connects, and loses its scopes.
    #[must_use]
    pub fn without_device() -> Self {
        Self {
            device: None,
            ..Self::fresh()
        }
    }

    /// Asks for these scopes only.
    #[must_use]
    pub fn scopes(self, scopes: &[&str]) -> Self {
        self.set("scopes", json!(scopes))
    }

    /// Another client id and mode.
    #[must_use]
    pub fn client(mut self, id: &str, mode: &str) -> Self {
        self.params["client"]["id"] = json!(id);
        self.params["client"]["mode"] = json!(mode);
        self
    }

    /// A headless node.
    #[must_use]
    pub fn node(self) -> Self {
        self.client("node-host", "node")
            .set("role", json!("node"))
            .set("scopes", json!([]))
    }

    /// Other credentials.
    #[must_use]
    pub fn auth(self, auth: Value) -> Self {
        self.set("auth", auth)
    }

    /// Any param.
    #[must_use]
    pub fn set(mut self, name: &str, value: Value) -> Self {
        self.params[name] = value;
        self
    }

    /// Signs the older text.
    #[must_use]
    pub fn v2(mut self) -> Self {
        self.version = Version::V2;
        self
    }

    /// The finished params for this challenge.
    #[must_use]
    pub fn signed(&self, nonce: &str) -> Value {
        self.signed_at(nonce, now_ms())
    }

    /// The finished params with another `signedAt`.
    #[must_use]
    pub fn signed_at(&self, nonce: &str, signed_at: u64) -> Value {
        let mut params = self.params.clone();
        if let Some(device) = &self.device {
            let text = payload(self.version, &device.id, &params, signed_at, nonce);
            params["device"] = json!({
                "id": device.id, "publicKey": device.public_key,
                "signature": device.sign(&text), "signedAt": signed_at, "nonce": nonce,
            });
        }
        params
    }
}
