//! Getting in: the TCP connection, the upgrade, the challenge, `connect`.
//!
//! The shared secret goes first; without one the stored device token takes its place. A token
//! that the gateway gives is kept for next time.

use std::path::Path;

use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::talk::{Line, Patience, Socket, Wire, read_answer};
use super::target::{Source, Target};
use super::tokens::{self, StoredToken};
use super::wire::{self, Credentials, Hello, WireError};
use super::{Client, address, refusal, secure};
use crate::cli::error::{CliError, CliResult};
use crate::clock::Clock;
use crate::identity::Identity;

/// The largest answer a client takes; the gateway promises less.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Connects, a second time with the stored device token when the gateway suggests it.
///
/// # Errors
/// What stood in the way, or the gateway's refusal with what to do about it.
pub async fn connect(target: &Target, state_dir: &Path, patience: Patience) -> CliResult<Client> {
    let clock = Clock::system();
    let path = state_dir.join("identity").join("device.json");
    let identity = Identity::load_or_create(&path, &clock)
        .map_err(|cause| CliError::file(&path, "use the device identity", &cause))?;
    let stored = if target.is_configured() {
        tokens::stored(state_dir, &identity.device_id, wire::ROLE).map(|stored| stored.token)
    } else {
        None
    };
    let mut credentials = Credentials {
        secrets: target.secrets.clone(),
        device_token: None,
    };
    if credentials.secrets.is_empty() {
        credentials.secrets.token.clone_from(&stored);
    }
    let door = Door {
        target,
        identity: &identity,
        clock: &clock,
        patience,
    };
    let answer = match door.knock(&credentials).await? {
        Err(error) if may_retry(&error, target) && stored.is_some() => {
            credentials.device_token.clone_from(&stored);
            door.knock(&credentials).await?
        }
        answer => answer,
    };
    let (line, hello) = answer.map_err(|error| refusal::explain(&error, target))?;
    if target.is_configured() {
        keep_token(&hello, state_dir, &identity, &clock)?;
    }
    Ok(Client {
        line,
        requests: 0,
        target: target.clone(),
        hello,
        device_id: identity.device_id,
    })
}

/// Connects through the local socket of the gateway that runs as the same user on this machine:
/// no secret, no pairing.
///
/// # Errors
/// When nobody listens there, or it is another user.
pub async fn connect_local(path: &Path, target: &Target, patience: Patience) -> CliResult<Client> {
    let what = "the gateway's own socket did not answer";
    let failed = |cause: std::io::Error| CliError::file(path, "use the gateway's socket", &cause);
    let way = crate::files::socket_path(path).map_err(failed)?;
    let stream = patience
        .wait(what, UnixStream::connect(way.as_path()))
        .await?;
    let stream = stream.map_err(failed)?;
    let owner = stream.peer_cred().map_err(failed)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(failed(std::io::Error::other("it belongs to another user")));
    }
    let socket = patience
        .wait(what, upgrade("ws://localhost/", Box::new(stream)))
        .await??;
    let mut line = Line::new(socket, patience);
    line.challenge().await?;
    let clock = Clock::system();
    let params = wire::own_user_params(&clock);
    let answer = line.ask(&clock.uuid(), "connect", &params).await?;
    let payload = answer.map_err(|failure| refusal::explain(&failure.error, target))?;
    let mut target = target.clone();
    target.url = format!("unix:{}", path.display());
    Ok(Client {
        line,
        requests: 0,
        target,
        hello: read_answer("connect", &payload)?,
        device_id: String::new(),
    })
}

async fn upgrade(request: &str, stream: Box<dyn Wire>) -> CliResult<Socket> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(ANSWER_BYTES_MAX))
        .max_frame_size(Some(ANSWER_BYTES_MAX));
    let upgrade = tokio_tungstenite::client_async_with_config(request, stream, Some(config));
    let (socket, _) = upgrade.await.map_err(|cause| refusal::no_gateway(&cause))?;
    Ok(socket)
}

fn keep_token(
    hello: &Hello,
    state_dir: &Path,
    identity: &Identity,
    clock: &Clock,
) -> CliResult<()> {
    let Some(auth) = hello.auth.as_ref() else {
        return Ok(());
    };
    let Some(token) = auth.device_token.clone() else {
        return Ok(());
    };
    let role = wire::ROLE.to_owned();
    let (scopes, updated_at_ms) = (auth.scopes.clone(), clock.now_ms());
    let token = StoredToken {
        token,
        role,
        scopes,
        updated_at_ms,
    };
    tokens::store(state_dir, &identity.device_id, token)
}

/// A wrong shared token and a suggestion; never over a network, and not when the token was typed:
/// then the answer is what was asked for.
fn may_retry(error: &WireError, target: &Target) -> bool {
    !target.private_only
        && target.secrets_from != Some(Source::Flag)
        && error.detail("code") == Some("AUTH_TOKEN_MISMATCH")
        && error.detail("recommendedNextStep") == Some("retry_with_device_token")
}

/// One attempt to get in.
struct Door<'a> {
    target: &'a Target,
    identity: &'a Identity,
    clock: &'a Clock,
    patience: Patience,
}

type Admitted = (Line, Hello);

impl Door<'_> {
    /// The outer error is about the way there, the inner one is the gateway's refusal.
    async fn knock(&self, credentials: &Credentials) -> CliResult<Result<Admitted, WireError>> {
        let socket = self
            .patience
            .wait("no gateway could be reached", self.open())
            .await??;
        let mut line = Line::new(socket, self.patience);
        let nonce = line.challenge().await?;
        let params = wire::connect_params(self.identity, credentials, &nonce, self.clock);
        match line.ask(&self.clock.uuid(), "connect", &params).await? {
            Ok(payload) => Ok(Ok((line, read_answer("connect", &payload)?))),
            Err(failure) => Ok(Err(failure.error)),
        }
    }

    async fn open(&self) -> CliResult<Socket> {
        let target = self.target;
        let stream = TcpStream::connect((target.host.as_str(), target.port)).await;
        let stream = stream.map_err(|cause| refusal::unreachable(&cause, target))?;
        if target.private_only {
            let peer = stream
                .peer_addr()
                .map_err(|cause| refusal::unreachable(&cause, target))?;
            if !address::is_private(peer.ip()) {
                return Err(refusal::not_private(peer.ip()));
            }
        }
        // A delay here only costs time; a refusal of the option is no reason to give up.
        stream.set_nodelay(true).unwrap_or(());
        match &target.trust {
            None => upgrade(&target.request, Box::new(stream)).await,
            Some(trust) => {
                let stream = secure::wrap(stream, &target.host, trust).await?;
                upgrade(&target.request, Box::new(stream)).await
            }
        }
    }
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
