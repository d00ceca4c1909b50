//! Stopping: the session's run, and what waits to be answered after it.

use std::sync::Arc;

use super::super::events::RunEvents;
use super::super::outcome::{Ending, Run, RunOutcome};
use super::super::{AbortBy, AbortError, Inner, Owner, Turn};
use super::{AbortReason, Queue, Waiting, lock, owner};
use crate::sessions::SessionKey;
use crate::store::sessions::InputRow;

/// See [`super::Agent::abort`].
pub async fn abort(
    inner: &Arc<Inner>,
    key: &SessionKey,
    run_id: Option<&str>,
    by: AbortBy,
) -> Result<Vec<String>, AbortError> {
    let other = |run: &Run| run.ended().is_none() && run.key != *key;
    if run_id
        .and_then(|id| inner.results.get(id))
        .is_some_and(|run| other(&run))
    {
        return Err(AbortError::OtherSession);
    }
    let reason = match by {
        AbortBy::ClientStopWord { .. } | AbortBy::Person => AbortReason::StopWord,
        AbortBy::Client { .. } | AbortBy::Starter | AbortBy::Reset => AbortReason::Rpc,
    };
    let (stopped, dropped) = {
        let mut queues = lock(inner);
        let Some(queue) = queues.get_mut(key) else {
            return Ok(Vec::new());
        };
        let stopped = stop_active(queue, run_id, &by, reason)?;
        let mut dropped = drop_waiting(queue, run_id, &by);
        // What was put into a run that is stopped is not answered either.
        if let Some(active) = queue.active.as_ref().filter(|_| stopped.is_some()) {
            let steered = active.switch.steered().into_iter();
            dropped.extend(steered.map(|turn| Waiting { turn, end: None }));
        }
        (stopped, dropped)
    };
    let mut ids = Vec::new();
    if let Some(run) = stopped {
        run.done().await;
        ids.push(run.run_id);
    }
    for Waiting { turn, end } in dropped {
        keep(inner, &turn).await;
        inner.sessions.settle(turn.kept.clone()).await;
        let Some(end) = end else { continue };
        let mut events = RunEvents::new(inner.hub.clone(), inner.clock, &turn.run_id, key, None);
        events.abort(reason);
        let now = inner.clock.now_ms();
        let ending = RunOutcome::unstarted(&turn.run_id, key, Ending::Aborted, now);
        inner.results.finish(&end, ending);
        ids.push(turn.run_id);
    }
    Ok(ids)
}

fn stop_active(
    queue: &Queue,
    run_id: Option<&str>,
    by: &AbortBy,
    reason: AbortReason,
) -> Result<Option<Run>, AbortError> {
    let Some(active) = &queue.active else {
        return Ok(None);
    };
    if run_id.is_some_and(|id| id != active.run.run_id) {
        return Ok(None);
    }
    if active.switch.is_ending() {
        // A reset still has to wait for its last write.
        return Ok(matches!(by, AbortBy::Reset).then(|| active.run.clone()));
    }
    match (by, &active.owners) {
        (AbortBy::Person | AbortBy::Starter | AbortBy::Reset, _) => {}
        (_, None) => return Ok(None),
        (_, Some(owners)) if !may_stop(by, owners) => return Err(AbortError::Unauthorized),
        _ => {}
    }
    active.switch.abort(reason);
    Ok(Some(active.run.clone()))
}

/// Takes out what would be answered after the stopped run. A client that can't stop a waiting
/// message leaves it; turns of `agent` and of channels go only with a reset.
fn drop_waiting(queue: &mut Queue, run_id: Option<&str>, by: &AbortBy) -> Vec<Waiting> {
    let goes = |waiting: &Waiting| {
        let meant = run_id.is_none_or(|id| waiting.end.is_some() && waiting.turn.run_id == id);
        let allowed = match (by, owner(&waiting.turn)) {
            (AbortBy::Starter | AbortBy::Reset, _) => true,
            (_, None) => false,
            (_, Some(owner)) => may_stop(by, &[owner]),
        };
        meant && allowed
    };
    let (dropped, kept) = queue.waiting.drain(..).partition(goes);
    queue.waiting = kept;
    Vec::from(dropped)
}

pub(super) fn may_stop(by: &AbortBy, owners: &[Owner]) -> bool {
    match by {
        AbortBy::Person | AbortBy::Starter | AbortBy::Reset => true,
        AbortBy::Client { owner, admin } | AbortBy::ClientStopWord { owner, admin } => {
            let same = |other: &Owner| {
                let device = owner.device_id.is_some() && owner.device_id == other.device_id;
                device || owner.conn == other.conn
            };
            *admin || owners.iter().any(same)
        }
    }
}

/// A message that is not answered any more still was said: it stays in the transcript.
async fn keep(inner: &Inner, turn: &Turn) {
    let sender_label = turn.sender_label();
    let user = InputRow {
        text: turn.text.clone(),
        sender_label,
        ..InputRow::default()
    };
    if let Err(error) = inner.sessions.append_user(&turn.key, None, user).await {
        tracing::error!(%error, "stopped message not kept");
    }
}
