//! Who is on the other end of a connection, decided once in the handshake.

use gateway_schemas::catalogue::{Role, Scope};

/// Number of a connection within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// What the client said of itself in `connect`.
#[derive(Clone, Debug, Default)]
pub struct ClientInfo {
    /// Program, from the closed set of the schema.
    pub id: String,
    /// Kind of use, from the closed set of the schema.
    pub mode: String,
    /// Program version.
    pub version: String,
    /// Operating system, free text.
    pub platform: String,
    /// Shown name.
    pub display_name: Option<String>,
    /// Kind of device, free text.
    pub device_family: Option<String>,
    /// Model of the device, free text.
    pub model_identifier: Option<String>,
    /// One installation or process of the program.
    pub instance_id: Option<String>,
}

impl ClientInfo {
    /// Whether this is a chat page other than the Control UI.
    pub fn is_webchat(&self) -> bool {
        self.id != "openclaw-control-ui" && (self.mode == "webchat" || self.id == "webchat-ui")
    }
}

/// The other end of a connection: identity and rights.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The connection.
    pub conn: ConnId,
    /// The connection's public id (`server.connId` of hello-ok).
    pub conn_uuid: String,
    /// Operator or node.
    pub role: Role,
    /// What it asked for and was granted.
    pub scopes: Vec<String>,
    /// The paired device, if it showed one.
    pub device_id: Option<String>,
    /// The generation of the device token it came with; `None` when something else let it in.
    pub token_generation: Option<u64>,
    /// The generation of the shared secret it came with; `None` when something else let it in.
    pub secret_generation: Option<u64>,
    /// What it said of itself.
    pub client: ClientInfo,
    /// Abilities it declared, such as `tool-events`.
    pub caps: Vec<String>,
    /// Protocol version spoken on this connection.
    pub protocol: u32,
    /// Whether it is a direct connection from this host.
    pub is_local: bool,
}

impl Caller {
    /// Whether it was granted `scope` itself or admin.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.is_admin() || self.scopes.iter().any(|s| s == scope)
    }

    /// Whether it may do everything.
    pub fn is_admin(&self) -> bool {
        self.scopes.iter().any(|s| s == "operator.admin")
    }

    /// Whether it declared the ability `cap`.
    pub fn has_cap(&self, cap: &str) -> bool {
        self.caps.iter().any(|c| c == cap)
    }

    /// The role as the wire spells it.
    pub fn role_name(&self) -> &'static str {
        if self.role == Role::Node {
            "node"
        } else {
            "operator"
        }
    }

    /// The close code that says its credential is gone, as its protocol has it.
    pub fn credential_close_code(&self) -> u16 {
        if self.protocol >= 4 { 4001 } else { 1008 }
    }

    /// Whether it came with a shared secret that was replaced by that of `generation`.
    pub fn came_with_older_secret(&self, generation: u64) -> bool {
        self.secret_generation.is_some_and(|own| own < generation)
    }

    /// Whether an event guarded by `scope` may go to it.
    pub fn may_see(&self, scope: Scope) -> bool {
        scope == Scope::Open || (self.role == Role::Operator && scope.allows(&self.scopes))
    }

    #[cfg(test)]
    pub(crate) fn for_tests(conn: ConnId, role: &str, scopes: &[&str]) -> Caller {
        Caller {
            conn,
            conn_uuid: format!("conn-{}", conn.0),
            role: if role == "node" {
                Role::Node
            } else {
                Role::Operator
            },
            scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            device_id: Some("device-of-tests".into()),
            token_generation: None,
            secret_generation: None,
            client: ClientInfo {
                id: "test".into(),
                mode: "test".into(),
                ..ClientInfo::default()
            },
            caps: Vec::new(),
            protocol: 3,
            is_local: true,
        }
    }
}
