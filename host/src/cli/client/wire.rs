//! Frames as a client reads and writes them: requests out, responses and events in.
//!
//! Reading is lenient (a newer gateway may add fields), writing is exact. Nothing is validated
//! against a schema here: the gateway does that, and a command line must start at once.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::target::Secrets;
use crate::auth::signature::Signed;
use crate::clock::Clock;
use crate::identity::Identity;

/// The protocol this client speaks.
pub const PROTOCOL: u32 = 3;
/// The role it asks for.
pub const ROLE: &str = "operator";
/// The scopes it asks for, in the order that is signed.
pub const SCOPES: [&str; 5] = [
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.pairing",
];
const CLIENT_ID: &str = "cli";
const CLIENT_MODE: &str = "cli";

/// A frame from the gateway.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// `res` or `event`.
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
    /// Which request a response answers.
    #[serde(default, borrow)]
    pub id: Option<Cow<'a, str>>,
    /// Whether a response is a success.
    #[serde(default)]
    pub ok: bool,
    /// The name of an event.
    #[serde(default, borrow)]
    pub event: Option<Cow<'a, str>>,
    /// The content of either.
    #[serde(default, borrow)]
    pub payload: Option<&'a RawValue>,
    /// Why a response is no success.
    #[serde(default)]
    pub error: Option<WireError>,
}

/// An error as the gateway tells it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WireError {
    /// `INVALID_REQUEST`, `NOT_PAIRED`, `UNAVAILABLE`, …
    pub code: String,
    /// For people.
    pub message: String,
    /// For programs.
    pub details: Option<Value>,
    /// Whether the same request may succeed later.
    pub retryable: Option<bool>,
    /// When.
    pub retry_after_ms: Option<u64>,
}

impl WireError {
    /// A text field of `details`.
    pub fn detail(&self, key: &str) -> Option<&str> {
        self.details.as_ref()?.get(key)?.as_str()
    }
}

/// What the gateway says on success of `connect`; only what commands use.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hello {
    /// Who answers.
    pub server: HelloServer,
    /// What it can do.
    pub features: HelloFeatures,
    /// How it is.
    pub snapshot: HelloSnapshot,
    /// A device token, if one was given.
    pub auth: Option<HelloAuth>,
}

/// `hello-ok.server`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HelloServer {
    /// The gateway's version.
    pub version: String,
}

/// `hello-ok.features`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HelloFeatures {
    /// Advertised methods.
    pub methods: Vec<String>,
}

/// `hello-ok.snapshot`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HelloSnapshot {
    /// Who is connected.
    pub presence: Vec<Value>,
    /// How long the process runs.
    pub uptime_ms: u64,
    /// Its configuration file.
    pub config_path: String,
    /// Its state folder.
    pub state_dir: String,
    /// How clients prove themselves.
    pub auth_mode: String,
}

/// `hello-ok.auth`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HelloAuth {
    /// The token to use next time.
    pub device_token: Option<String>,
    /// The role it is for.
    pub role: String,
    /// The scopes it carries.
    pub scopes: Vec<String>,
}

/// What is shown in `connect.auth`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// `auth.token` and `auth.password`.
    pub secrets: Secrets,
    /// `auth.deviceToken`: only beside a token that was refused once.
    pub device_token: Option<String>,
}

/// The text of a request frame.
pub fn request(id: &str, method: &str, params: &Value) -> String {
    json!({"type": "req", "id": id, "method": method, "params": params}).to_string()
}

/// The params of `connect`, signed for this challenge.
pub fn connect_params(
    identity: &Identity,
    credentials: &Credentials,
    nonce: &str,
    clock: &Clock,
) -> Value {
    let platform = platform();
    let signed_at = clock.now_ms();
    let token = credentials
        .secrets
        .token
        .as_deref()
        .or(credentials.device_token.as_deref());
    let scopes = SCOPES.map(str::to_owned);
    let claims = Signed {
        device_id: &identity.device_id,
        client_id: CLIENT_ID,
        client_mode: CLIENT_MODE,
        role: ROLE,
        scopes: &scopes,
        signed_at_ms: signed_at,
        token: token.unwrap_or(""),
        nonce: nonce.trim(),
        platform,
        device_family: "",
    };
    let mut params = json!({
        "minProtocol": PROTOCOL,
        "maxProtocol": PROTOCOL,
        "client": {
            "id": CLIENT_ID,
            "version": crate::VERSION,
            "platform": platform,
            "mode": CLIENT_MODE,
            "instanceId": clock.uuid(),
        },
        "caps": [],
        "role": ROLE,
        "scopes": SCOPES,
        "device": {
            "id": identity.device_id,
            "publicKey": identity.public_key,
            "signature": claims.sign_v3(&identity.key),
            "signedAt": signed_at,
            "nonce": nonce,
        },
    });
    let auth = auth(credentials);
    if auth.as_object().is_some_and(|auth| !auth.is_empty()) {
        params["auth"] = auth;
    }
    params
}

/// The same for the local socket, where the system vouches for the caller.
pub fn own_user_params(clock: &Clock) -> Value {
    json!({
        "minProtocol": PROTOCOL,
        "maxProtocol": PROTOCOL,
        "client": {
            "id": CLIENT_ID,
            "version": crate::VERSION,
            "platform": platform(),
            "mode": CLIENT_MODE,
            "instanceId": clock.uuid(),
        },
        "caps": [],
        "role": ROLE,
        "scopes": SCOPES,
    })
}

/// The object for `connect.auth`: only what is known.
fn auth(credentials: &Credentials) -> Value {
    let mut auth = json!({});
    let fields = [
        ("token", &credentials.secrets.token),
        ("password", &credentials.secrets.password),
        ("deviceToken", &credentials.device_token),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            auth[name] = json!(value);
        }
    }
    auth
}

/// The system's name as the reference's client tells it: devices are pinned to it.
fn platform() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::auth::signature::PublicKey;

    fn identity() -> Identity {
        Identity::from_seed(std::array::from_fn(|at| u8::try_from(at).unwrap()))
    }

    #[test]
    fn what_is_signed_is_what_is_sent() {
        let secrets = Secrets {
            token: Some("throwaway-token".to_owned()),
            password: None,
        };
        let credentials = Credentials {
            secrets,
            device_token: None,
        };
        let params = connect_params(&identity(), &credentials, " n-1 ", &Clock::system());
        let text = |pointer: &str| {
            params
                .pointer(pointer)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        };
        let (id, platform) = (text("/device/id"), text("/client/platform"));
        let claims = Signed {
            device_id: &id,
            client_id: "cli",
            client_mode: "cli",
            role: "operator",
            scopes: &SCOPES.map(str::to_owned),
            signed_at_ms: params["device"]["signedAt"].as_u64().unwrap(),
            token: "throwaway-token",
            nonce: "n-1",
            platform: &platform,
            device_family: "",
        };
        let key = PublicKey::parse(&text("/device/publicKey")).unwrap();
        assert!(claims.verify(&key, &text("/device/signature")));
        assert_eq!(key.device_id(), id);
    }

    #[test]
    fn the_signature_is_the_recorded_one() {
        let claims = Signed {
            device_id: &identity().device_id,
            client_id: CLIENT_ID,
            client_mode: CLIENT_MODE,
            role: ROLE,
            scopes: &SCOPES.map(str::to_owned),
            signed_at_ms: 1_773_460_000_000,
            token: "throwaway-token",
            nonce: "11111111-2222-4333-8444-555555555555",
            platform: "linux",
            device_family: "",
        };
        assert_eq!(
            claims.sign_v3(&identity().key),
            "QpQz8D-HyqMZYq8dWs7FVuYmMv_OuWGCcqL7iHZ9nr5l0wYG3SQFZxFGG29SIKcX8T3Uxq7MHZQAMSoqbXZXAQ"
        );
    }

    #[test]
    fn connect_sends_only_the_secrets_it_knows() {
        let check = |token: Option<&str>, password: Option<&str>, device: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            let secrets = Secrets {
                token: owned(token),
                password: owned(password),
            };
            let credentials = Credentials {
                secrets,
                device_token: owned(device),
            };
            connect_params(&identity(), &credentials, "n", &Clock::system())
                .get("auth")
                .cloned()
        };
        assert_eq!(check(None, None, None), None);
        assert_eq!(check(None, Some("p"), None), Some(json!({"password": "p"})));
        assert_eq!(
            check(Some("t"), None, Some("d")),
            Some(json!({"token": "t", "deviceToken": "d"}))
        );
    }

    #[test]
    fn reads_frames_with_fields_it_does_not_know() {
        let text = r#"{"type":"res","id":"1","ok":false,"new":1,
            "error":{"code":"UNAVAILABLE","message":"m","retryAfterMs":5,"details":{"code":"X"}}}"#;
        let frame: Incoming<'_> = serde_json::from_str(text).unwrap();
        let error = frame.error.unwrap();
        assert_eq!(
            (error.detail("code"), error.retry_after_ms),
            (Some("X"), Some(5))
        );
        let text = r#"{"type":"event","event":"tick","payload":{"ts":1},"seq":4}"#;
        let frame: Incoming<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(frame.event.as_deref(), Some("tick"));
    }
}
