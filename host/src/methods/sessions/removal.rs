//! `sessions.reset`, `sessions.delete`, `sessions.compact`.

use gateway_schemas::sessions as wire;

use super::super::{Call, Outcome, Reply};
use super::{failed, refuse_webchat, resolve};
use crate::error::GatewayError;
use crate::limits;
use crate::sessions::{Compacted, RemovalError, SessionKey, shown};
use crate::store::StoreError;

/// `sessions.reset`
pub async fn reset(call: Call) -> Outcome {
    let params: wire::SessionsResetParams = call.params()?;
    let config = call.parts.config.current();
    let key = resolve(&call, &params.key, &config)?;
    silence(&call, &key).await?;
    let row = call.parts.sessions.reset(&key).await.map_err(failed)?;
    Reply::of(&wire::SessionsReset {
        ok: true,
        key: key.to_string(),
        entry: shown::entry(&row),
    })
}

/// `sessions.delete`
pub async fn delete(call: Call) -> Outcome {
    let params: wire::SessionsDeleteParams = call.params()?;
    refuse_webchat(&call, "delete")?;
    let config = call.parts.config.current();
    let key = resolve(&call, &params.key, &config)?;
    if key == SessionKey::main_of(config.agents.default_id(), &config) {
        return Err(GatewayError::invalid(format!(
            "Cannot delete the main session ({key})."
        )));
    }
    silence(&call, &key).await?;
    let with_transcript = params.delete_transcript != Some(false);
    let gone = call.parts.sessions.delete(&key, with_transcript).await;
    let gone = gone.map_err(|error| unremoved(&key, error))?;
    let file = gone.clone().flatten();
    Reply::of(&wire::SessionsDeleted {
        ok: true,
        key: key.to_string(),
        deleted: gone.is_some(),
        archived: file.iter().map(|f| f.display().to_string()).collect(),
    })
}

/// `sessions.compact`
pub async fn compact(call: Call) -> Outcome {
    let params: wire::SessionsCompactParams = call.params()?;
    let config = call.parts.config.current();
    let key = resolve(&call, &params.key, &config)?;
    let keep = params.max_lines.unwrap_or(limits::COMPACT_MESSAGES);
    let done = call.parts.sessions.compact(&key, keep).await;
    let done = done.map_err(|error| unremoved(&key, error))?;
    let reason = match &done {
        Compacted::Unknown => Some("no sessionId".to_owned()),
        Compacted::Empty => Some("no transcript".to_owned()),
        _ => None,
    };
    Reply::of(&wire::SessionsCompacted {
        ok: true,
        key: key.to_string(),
        compacted: matches!(done, Compacted::Cut(_)),
        archived: match &done {
            Compacted::Cut(file) => Some(file.display().to_string()),
            _ => None,
        },
        kept: match &done {
            Compacted::Short(count) => Some(*count),
            Compacted::Cut(_) => Some(keep),
            _ => None,
        },
        reason,
    })
}

/// Ends what runs and waits in the session.
async fn silence(call: &Call, key: &SessionKey) -> Result<(), GatewayError> {
    match call.parts.agent.quiet(key, limits::RESET_WAIT).await {
        true => Ok(()),
        false => Err(still_active(key)),
    }
}

fn still_active(key: &SessionKey) -> GatewayError {
    GatewayError::unavailable(format!(
        "Session {key} is still active; try again in a moment."
    ))
}

fn unremoved(key: &SessionKey, error: RemovalError) -> GatewayError {
    match error {
        RemovalError::Store(error) => failed(error),
        RemovalError::Busy => still_active(key),
        RemovalError::File(..) => {
            GatewayError::unavailable("Error: the transcript could not be kept as a file")
                .caused_by(StoreError::Refused(error.to_string()))
        }
    }
}
