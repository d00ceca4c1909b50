//! What stood in the way, in words: cause, where the value came from, the next command.

use std::io;
use std::net::IpAddr;

use serde_json::json;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::address::TUNNEL;
use super::talk::Failure;
use super::target::{Source, Target};
use super::wire::WireError;
use crate::cli::error::{CliError, Kind};

const START: &str = "start the gateway: openclaw gateway";

/// No TCP connection.
pub fn unreachable(cause: &io::Error, target: &Target) -> CliError {
    let (code, why) = match cause.kind() {
        io::ErrorKind::ConnectionRefused => (
            "GATEWAY_UNREACHABLE",
            "nothing listens there (connection refused)".to_owned(),
        ),
        _ => ("GATEWAY_UNREACHABLE", cause.to_string()),
    };
    let error = CliError::new(
        Kind::Connection,
        code,
        format!("no gateway is reachable: {why}"),
    );
    let error = error.retryable(true);
    match target.source {
        Source::Local => error
            .fix(START)
            .fix("name another gateway: --url ws://HOST:PORT --token TOKEN"),
        Source::Remote => error
            .fix("check gateway.remote.url, and that the gateway (or the tunnel to it) runs")
            .fix("use this machine's own gateway: set gateway.mode to local"),
        Source::Flag | Source::Environment => {
            error.fix("check the address, and that the gateway (or the tunnel to it) runs")
        }
    }
}

/// The name led out of the private network.
pub fn not_private(ip: IpAddr) -> CliError {
    CliError::new(
        Kind::Config,
        "PLAINTEXT_REFUSED",
        format!("refusing to send secrets over plain ws:// to {ip}, which is a public address"),
    )
    .fix(TUNNEL)
}

/// Something listens, but does not upgrade to a WebSocket.
pub fn no_gateway(cause: &SocketError) -> CliError {
    let why = match cause {
        SocketError::Http(answer) => format!("it answers HTTP {}", answer.status().as_u16()),
        other => other.to_string(),
    };
    CliError::new(
        Kind::Protocol,
        "NOT_A_GATEWAY",
        format!("something else than a gateway listens there: {why}"),
    )
    .fix("check the port: gateway.port in the configuration, or --url")
    .fix("a gateway that speaks TLS is reached by wss://HOST:PORT and --tls-fingerprint")
}

/// The first frame is no challenge.
pub fn not_a_challenge() -> CliError {
    CliError::new(
        Kind::Protocol,
        "NOT_A_GATEWAY",
        "the other end speaks WebSocket, but its first frame is no connect.challenge",
    )
    .fix("check the address: --url, or gateway.port in the configuration")
}

/// The connection broke.
pub fn lost(cause: &SocketError) -> CliError {
    let message = format!("the connection to the gateway broke: {cause}");
    CliError::new(Kind::Connection, "CONNECTION_LOST", message)
        .retryable(true)
        .fix("see whether it still runs: openclaw health")
}

/// The gateway closed the connection instead of answering.
pub fn closed(frame: Option<&CloseFrame>) -> CliError {
    let (number, reason) = frame.map_or((1006, ""), |f| (u16::from(f.code), f.reason.as_str()));
    let meaning = match (number, reason) {
        (1006, _) => "without a word",
        (1012, "") => "it is restarting",
        (1013, "") => "it is not ready yet",
        (_, "") => "without a reason",
        (_, reason) => reason,
    };
    let message = format!("the gateway closed the connection: {meaning} ({number})");
    let error = CliError::new(Kind::Connection, "CONNECTION_CLOSED", message)
        .with_details(Some(json!({"closeCode": number, "closeReason": reason})))
        .retryable(matches!(number, 1001 | 1006 | 1012 | 1013));
    match number {
        1012 | 1013 => error.fix("run the same command again in a moment"),
        1000 => error.fix("a gateway under load may be slow to shake hands: run it again"),
        _ => error.fix("the gateway's log says more: look at its terminal, or <state>/logs"),
    }
}

/// The gateway did not let this client in.
pub fn explain(error: &WireError, target: &Target) -> CliError {
    let detail = error.detail("code").unwrap_or("");
    let code = if detail.is_empty() {
        error.code.as_str()
    } else {
        detail
    };
    let explained = CliError::new(Kind::Auth, code, &error.message)
        .with_details(error.details.clone())
        .retryable(error.retryable.unwrap_or(detail == "AUTH_RATE_LIMITED"));
    match detail {
        "AUTH_TOKEN_MISSING" => missing(explained, target, Source::of_token),
        "AUTH_PASSWORD_MISSING" => missing(explained, target, Source::of_password),
        "AUTH_TOKEN_MISMATCH" | "AUTH_DEVICE_TOKEN_MISMATCH" => {
            mismatch(explained, target, Source::of_token)
        }
        "AUTH_PASSWORD_MISMATCH" => mismatch(explained, target, Source::of_password),
        "AUTH_RATE_LIMITED" => explained.fix("wait a few minutes before the next attempt"),
        "PAIRING_REQUIRED" => pairing(explained, error),
        "DEVICE_AUTH_SIGNATURE_EXPIRED" => {
            explained.fix("set the clock of this machine: it is over two minutes off the gateway's")
        }
        _ if error.message == "protocol mismatch" => {
            let theirs = error
                .details
                .as_ref()
                .and_then(|d| d["expectedProtocol"].as_u64());
            let theirs = theirs.map_or("another protocol".to_owned(), |p| format!("protocol {p}"));
            explained.fix(format!(
                "this client speaks protocol 3, the gateway {theirs}: use equal versions"
            ))
        }
        _ => explained,
    }
}

/// No secret was sent.
fn missing(error: CliError, target: &Target, place: fn(Source) -> &'static str) -> CliError {
    let wanted = place(target.source);
    match target.source {
        Source::Flag => error.fix(format!(
            "pass {wanted}: an address given with --url borrows nothing"
        )),
        Source::Environment => error.fix(format!("set {wanted}, or pass {}", place(Source::Flag))),
        Source::Remote | Source::Local => {
            error
                .fix(format!("set {wanted} in openclaw.json"))
                .fix(format!(
                    "pass {}, or set {}",
                    place(Source::Flag),
                    place(Source::Environment)
                ))
        }
    }
}

/// A wrong secret was sent.
fn mismatch(error: CliError, target: &Target, place: fn(Source) -> &'static str) -> CliError {
    match target.secrets_from {
        Some(source) => {
            let fix = format!("{} holds another secret than the gateway: correct it", place(source));
            let error = error.fact("secret", "secretSource", place(source)).fix(fix);
            let shadowed = matches!(source, Source::Environment) && target.is_configured();
            if shadowed {
                error.fix(format!("unset {} to use {}", place(source), place(target.source)))
            } else {
                error
            }
        }
        None => error
            .fact("secret", "secretSource", "the device token stored by an earlier call")
            .fix(format!("set {} in openclaw.json, or pass {}", place(target.source), place(Source::Flag)))
            .fix("rotate it where you still have access: openclaw devices rotate --device ID --role operator"),
    }
}

fn pairing(error: CliError, wire: &WireError) -> CliError {
    let id = wire.detail("requestId").unwrap_or("REQUEST_ID");
    let error = match wire.detail("reason") {
        Some("scope-upgrade") => error.fact(
            "because",
            "because",
            "this device asks for more scopes than approved",
        ),
        Some("role-upgrade") => error.fact(
            "because",
            "because",
            "this device is paired for another role",
        ),
        Some("metadata-upgrade") => error.fact(
            "because",
            "because",
            "this device's platform changed since it was approved",
        ),
        _ => error,
    };
    error
        .fact("request", "requestId", id)
        .fix(format!(
            "approve it where the gateway runs: openclaw devices approve {id}"
        ))
        .fix("then run the same command again (a request lasts five minutes)")
}

/// A method answered with an error.
pub fn failed(method: &str, failure: Failure) -> CliError {
    let Failure { error, payload } = failure;
    let mut failed = CliError::new(Kind::Gateway, &error.code, &error.message)
        .with_details(error.details.clone())
        .with_details(payload.map(|payload| json!({"payload": payload})))
        .with_details(error.retry_after_ms.map(|ms| json!({"retryAfterMs": ms})))
        .retryable(error.retryable.unwrap_or(false));
    if let Some(scope) = error.message.strip_prefix("missing scope: ") {
        failed = failed.fix(format!(
            "this device may not do that: it needs {scope}; see its scopes with openclaw devices list"
        ));
    } else if error.message.starts_with("unknown method: ") {
        failed = failed.fix("see the methods of this gateway: openclaw status --all");
    } else if let Some(ms) = error.retry_after_ms {
        failed = failed.fix(format!(
            "run it again in {}",
            crate::cli::when::duration(ms)
        ));
    } else if error.message.starts_with("unknown requestId") {
        failed = failed.fix("see what waits: openclaw devices list");
    } else if error.message.starts_with("unknown deviceId") {
        failed = failed.fix("see the paired devices: openclaw devices list");
    } else if method == "send" && error.message.contains("hannel") {
        failed = failed.fix("see the channels: openclaw channels status");
    }
    failed
}
