//! `health` and `status`.

use gateway_schemas::system::HealthParams;

use super::{Call, Outcome, Reply};
use crate::limits::HEALTH_INTERVAL;

/// `health`: the cached snapshot while it is young, else a fresh one. Each call also asks for a
/// refresh, which everybody sees as a `health` event.
pub async fn health(call: Call) -> Outcome {
    let board = &call.parts.health;
    if call.params.is_some() {
        let params: HealthParams = call.params()?;
        if params.probe.as_ref().and_then(serde_json::Value::as_bool) == Some(true) {
            return Ok(Reply::shared(board.refresh(true).await.json.clone()));
        }
    }
    let oldest = u64::try_from(HEALTH_INTERVAL.as_millis()).unwrap_or(u64::MAX);
    let young = |ts: u64| call.parts.clock.now_ms().saturating_sub(ts) < oldest;
    match board.current().filter(|s| young(s.health.ts)) {
        Some(snapshot) => {
            board.want_refresh();
            Ok(Reply::shared(snapshot.json.clone()))
        }
        None => Ok(Reply::shared(board.refresh(false).await.json.clone())),
    }
}
