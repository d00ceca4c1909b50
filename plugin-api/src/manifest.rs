//! What a plugin says about itself, embedded in its file and read without running it.
//!
//! The host reads it when it inspects a library; `testkit::check_manifest` reads it in a plugin's
//! own tests. The rules in [`Manifest::problems`] are the same for both.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::Op;

/// The message schema this SDK speaks: `1.API_MINOR`.
pub const API_MAJOR: u16 = 1;
/// See [`API_MAJOR`]; grows by one whenever `message` gains something.
pub const API_MINOR: u16 = 0;

/// Abilities a manifest may declare. The host never asks for what is not declared.
pub const CAPABILITIES: &[&str] = &[
    "direct",
    "group",
    "channel",
    "thread",
    "polls",
    "reactions",
    "edit",
    "unsend",
    "reply",
    "effects",
    "groupManagement",
    "threads",
    "media",
    "nativeCommands",
    "blockStreaming",
    "typing",
    "readReceipts",
    "presence",
    "login.qr",
    "login.code",
    "login.token",
    "webhook",
    "directory",
];

/// `plugin.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Manifest {
    /// The channel's id: `telegram`. Lower case letters, digits and `-`, at most 32.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// The plugin's own version.
    pub version: String,
    /// The message schema it was written for, `1.N`.
    pub api: String,
    /// It cannot live with a host that speaks less than this, `1.N`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_host_api: Option<String>,
    /// Where to read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Its licence; `license` is read as well.
    #[serde(alias = "license", skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// Names of [`CAPABILITIES`], chat types among them, and `actions:<name>`.
    pub capabilities: Vec<String>,
    /// Login methods [`Op::Login`] takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub login: Vec<String>,
    /// Paths below the plugin's own that providers may call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<String>,
    /// How many bytes of key-value state one account may keep.
    pub kv_quota_bytes: u64,
    /// The JSON Schema of one account's configuration.
    pub config_schema: Value,
    /// JSON pointers into the configuration whose values are secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// What the surface can take.
    pub limits: ManifestLimits,
}

/// Bounds of a surface; absent means the host's own bound alone counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ManifestLimits {
    /// The longest text of one message, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_text: Option<u32>,
    /// The largest attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_media_bytes: Option<u64>,
    /// The most operations at a time, at most 64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_inflight: Option<u32>,
}

impl Manifest {
    /// Is this ability declared?
    pub fn has(&self, capability: &str) -> bool {
        self.capabilities.iter().any(|c| c == capability)
    }

    /// What the operation needs and this manifest does not declare; `None` if it may be asked.
    ///
    /// ```
    /// use gateway_plugin::manifest::Manifest;
    /// use gateway_plugin::message::Op;
    ///
    /// let manifest = Manifest::default();
    /// assert_eq!(manifest.lacks(&Op::Ping), None);
    /// assert_eq!(manifest.lacks(&Op::Logout).as_deref(), Some("login"));
    /// ```
    pub fn lacks(&self, op: &Op) -> Option<String> {
        let needed = match op {
            Op::Edit(_) => "edit",
            Op::Unsend { .. } => "unsend",
            Op::React(_) => "reactions",
            Op::Poll { .. } => "polls",
            Op::Typing { .. } => "typing",
            Op::MarkRead { .. } => "readReceipts",
            Op::FetchMedia { .. } => "media",
            Op::Directory { .. } => "directory",
            Op::Http(_) => "webhook",
            Op::Action { name, .. } => {
                let declared = self.has(&format!("actions:{name}"));
                return (!declared).then(|| name.clone());
            }
            Op::Login(login) => {
                let declared = self.login.contains(&login.method);
                return (!declared).then(|| "this login method".to_owned());
            }
            Op::LoginInput { .. } | Op::Logout => {
                return self.login.is_empty().then(|| "login".to_owned());
            }
            Op::Start(_) | Op::Send(_) | Op::Probe | Op::Ping | Op::Stop { .. } | Op::Unknown => {
                return None;
            }
        };
        (!self.has(needed)).then(|| needed.to_owned())
    }

    /// Everything that is wrong with it, in words; empty if it is right.
    pub fn problems(&self) -> Vec<String> {
        let mut out = Vec::new();
        if !valid_id(&self.id) {
            out.push(format!(
                "id {:?} must be 1 to 32 lower case letters, digits or '-', a letter first",
                self.id
            ));
        }
        for (key, value) in [("name", &self.name), ("version", &self.version)] {
            if value.is_empty() {
                out.push(format!("{key} is missing"));
            }
        }
        for (key, value) in [
            ("api", Some(&self.api)),
            ("minHostApi", self.min_host_api.as_ref()),
        ] {
            match value.map(|v| (v, parse_api(v))) {
                Some((v, None)) => out.push(format!("{key} {v:?} must read like \"1.0\"")),
                Some((v, Some((major, _)))) if major != API_MAJOR => {
                    out.push(format!("{key} {v:?} is of another major than {API_MAJOR}"));
                }
                _ => {}
            }
        }
        for c in &self.capabilities {
            let action = c
                .strip_prefix("actions:")
                .is_some_and(|name| !name.is_empty());
            // What is unknown is no error for a plugin newer than this list.
            if !action && !CAPABILITIES.contains(&c.as_str()) && !self.newer_than_us() {
                out.push(format!("capability {c:?} is unknown"));
            }
        }
        if !self.config_schema.is_object() {
            out.push("configSchema must be a JSON Schema object".to_owned());
        }
        for s in self.secrets.iter().filter(|s| !s.starts_with('/')) {
            out.push(format!(
                "secret {s:?} must be a JSON pointer such as \"/botToken\""
            ));
        }
        out
    }

    fn newer_than_us(&self) -> bool {
        parse_api(&self.api).is_some_and(|(_, minor)| minor > API_MINOR)
    }
}

/// `"1.2"` as numbers.
pub fn parse_api(text: &str) -> Option<(u16, u16)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Is it 1 to 32 lower case letters, digits or `-`, a letter first?
///
/// ```
/// use gateway_plugin::manifest::valid_id;
///
/// assert!(valid_id("acme-chat2") && !valid_id("Acme chat"));
/// ```
pub fn valid_id(id: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    id.len() <= 32
        && id.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && id.bytes().all(ok)
}
