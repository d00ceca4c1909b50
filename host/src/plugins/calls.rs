//! Serves what plugins ask of the host: their key-value state. One task per instance, several
//! calls side by side so that their writes share a commit.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use gateway_plugin::abi::{kind, rc};
use gateway_plugin::message::{ErrorKind, HostCall, HostReply, SurfaceError};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::intake::Raw;
use super::kv::{KvError, KvStore};
use super::line::Line;
use crate::limits::PLUGIN_CALLS_RUNNING_MAX;

/// Serves an instance's calls until it is closed.
pub(super) async fn serve(
    mut calls: mpsc::Receiver<Raw>,
    kv: Arc<dyn KvStore>,
    line: Weak<dyn Line>,
    closed: CancellationToken,
) {
    let turn = Semaphore::new(1);
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = closed.cancelled() => break,
            Some(()) = running.next(), if !running.is_empty() => {}
            call = calls.recv(), if running.len() < PLUGIN_CALLS_RUNNING_MAX => match call {
                Some(call) => running.push(answer(call, &*kv, &line, &turn)),
                None => break,
            },
        }
    }
    while running.next().await.is_some() {}
}

async fn answer(call: Raw, kv: &dyn KvStore, line: &Weak<dyn Line>, turn: &Semaphore) {
    let (status, body, blob) = match perform(&call, kv).await {
        Ok((reply, blob)) => (0, serde_json::to_vec(&reply), blob),
        Err(error) => (1, serde_json::to_vec(&error), Bytes::new()),
    };
    let Some(line) = line.upgrade() else {
        return;
    };
    // One after the other, each when the one before is on its way: what the plugin does not take
    // must not pile up here.
    let _turn = turn.acquire().await;
    line.room().await;
    let body = body.unwrap_or_default();
    let code = line.deliver(kind::RESPONSE, call.id, status, &body, blob);
    if code == rc::BAD_FRAME {
        let error = SurfaceError::new(ErrorKind::TooLarge, "the answer is too large for a frame");
        let body = serde_json::to_vec(&error).unwrap_or_default();
        line.deliver(kind::RESPONSE, call.id, 1, &body, Bytes::new());
    }
}

async fn perform(call: &Raw, kv: &dyn KvStore) -> Result<(HostReply, Bytes), SurfaceError> {
    let asked = serde_json::from_slice(&call.body).map_err(|e| {
        SurfaceError::new(
            ErrorKind::InvalidRequest,
            format!("the call cannot be read: {e}"),
        )
    })?;
    match asked {
        HostCall::KvGet { key } => Ok(match kv.get(&key)? {
            Some(value) => (HostReply::Value { found: true }, value.into()),
            None => (HostReply::Value { found: false }, Bytes::new()),
        }),
        HostCall::KvPut { key } => {
            kv.put(&key, call.blob.clone()).await?;
            Ok((HostReply::Done, Bytes::new()))
        }
        HostCall::KvDel { key } => {
            kv.del(&key).await?;
            Ok((HostReply::Done, Bytes::new()))
        }
        HostCall::KvList { prefix } => Ok((
            HostReply::Keys {
                keys: kv.list(&prefix)?,
            },
            Bytes::new(),
        )),
        HostCall::Unknown => Err(SurfaceError::new(
            ErrorKind::Unsupported,
            "this gateway does not know the call; it speaks an older plugin API",
        )),
    }
}

impl From<KvError> for SurfaceError {
    fn from(error: KvError) -> Self {
        let kind = match &error {
            KvError::Key(_) => ErrorKind::InvalidRequest,
            KvError::Quota { .. } => ErrorKind::TooLarge,
            KvError::Store(_) => ErrorKind::Transient,
        };
        // What the database says stays in our own log.
        SurfaceError::new(kind, error.to_string())
    }
}
