//! hello-ok: what a client is told when it is in.

use gateway_schemas::catalogue;
use gateway_schemas::connect::{
    AuthInfo, AuthMode, Features, HandedToken, HelloKind, HelloOk, Policy, ServerInfo,
    SessionDefaults, Snapshot, SnapshotHealth,
};
use gateway_schemas::frame::{self, StateVersion};

use crate::config::{self, Config};
use crate::devices::Grant;
use crate::hub::Caller;
use crate::limits::{CLIENT_QUEUE_BYTES_MAX, FRAME_BYTES_MAX, TICK_INTERVAL};
use crate::methods::Parts;

/// Room for most snapshots, so that the text is not moved while it grows.
const HELLO_BYTES_USUAL: usize = 8 * 1024;

/// The device tokens that a connection is told.
#[derive(Default)]
pub(super) struct Granted {
    /// That of its own role.
    pub(super) own: Option<Grant>,
    /// Role → token that a setup code hands over besides.
    pub(super) others: Vec<(String, Grant)>,
}

/// The response to `connect`.
pub(super) fn text(id: &str, caller: &Caller, granted: Granted, parts: &Parts) -> String {
    let config = parts.config.current();
    let hello = HelloOk {
        kind: HelloKind::HelloOk,
        protocol: caller.protocol,
        server: ServerInfo {
            version: crate::VERSION.into(),
            conn_id: caller.conn_uuid.clone(),
        },
        features: Features {
            methods: catalogue::advertised_methods().map(Into::into).collect(),
            events: catalogue::advertised_events().map(Into::into).collect(),
        },
        snapshot: snapshot(&config, parts),
        // No canvas host is built yet: what isn't there is not advertised.
        canvas_host_url: None,
        auth: auth(caller, granted),
        policy: Policy {
            max_payload: FRAME_BYTES_MAX as u64,
            max_buffered_bytes: CLIENT_QUEUE_BYTES_MAX as u64,
            tick_interval_ms: crate::spell::millis(TICK_INTERVAL),
        },
    };
    let mut payload = Vec::with_capacity(HELLO_BYTES_USUAL);
    serde_json::to_writer(&mut payload, &hello).expect("hello-ok has text keys");
    let payload = String::from_utf8(payload).expect("JSON is UTF-8");
    frame::response_ok(id, &payload)
}

/// Protocol 3 hears of a device token and its scopes, which may be more than were asked for;
/// protocol 4 always hears what this connection may do.
fn auth(caller: &Caller, granted: Granted) -> Option<AuthInfo> {
    let Granted { own: grant, others } = granted;
    let newer = caller.protocol >= 4;
    if grant.is_none() && !newer {
        return None;
    }
    let (token, scopes, issued) = grant.map_or((None, Vec::new(), None), |g| {
        (Some(g.token), g.scopes, Some(g.issued_at_ms))
    });
    Some(AuthInfo {
        device_token: token,
        role: caller.role_name().to_owned(),
        scopes: if newer { caller.scopes.clone() } else { scopes },
        issued_at_ms: issued,
        device_tokens: (!others.is_empty()).then(|| others.into_iter().map(handed_over).collect()),
    })
}

fn handed_over((role, grant): (String, Grant)) -> HandedToken {
    HandedToken {
        device_token: grant.token,
        role,
        scopes: grant.scopes,
        issued_at_ms: grant.issued_at_ms,
    }
}

fn snapshot(config: &Config, parts: &Parts) -> Snapshot {
    let (presence, health) = parts.presence.versions();
    let current = parts.health.current();
    let agent = config.agents.default_id();
    Snapshot {
        presence: parts.presence.list(),
        health: current.map_or(SnapshotHealth::NotYet {}, |s| {
            SnapshotHealth::Known(s.health.clone())
        }),
        state_version: StateVersion { presence, health },
        uptime_ms: parts.clock.now_ms().saturating_sub(parts.started_ms),
        config_path: Some(config.paths.config_file.display().to_string()),
        state_dir: Some(config.paths.state_dir.display().to_string()),
        session_defaults: Some(SessionDefaults {
            default_agent_id: agent.to_owned(),
            main_key: "main".into(),
            main_session_key: format!("agent:{agent}:main"),
            scope: Some(config.session.scope.as_str().to_owned()),
        }),
        auth_mode: Some(match config.gateway.auth.mode {
            Some(config::AuthMode::None) => AuthMode::None,
            Some(config::AuthMode::Password) => AuthMode::Password,
            Some(config::AuthMode::TrustedProxy) => AuthMode::TrustedProxy,
            Some(config::AuthMode::Token) | None => AuthMode::Token,
        }),
        update_available: None,
    }
}
