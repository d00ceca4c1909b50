//! The queue of each session: one run at a time, the rest waits in order.
//!
//! Owned by the agent. A session has an entry and a task only while something runs or waits in
//! it. Promises: a turn is either run, collected into a later run, or ended as interrupted; a
//! panic in a run frees its session.
//!
//! Messages of `chat.send` that arrive during a run are collected: their own run ids end at once
//! and one later run answers them together. Turns of `agent` and of channels keep their ids and
//! run one after the other, so that each gets its own answer.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use super::events::RunEvents;
use super::outcome::{Ending, Run, RunOutcome};
use super::reset_words::after_reset_word;
use super::results::EndSender;
use super::{AbortBy, AbortError, Inner, Origin, Owner, SubmitError, Turn, run};
use crate::limits;
use crate::sessions::SessionKey;
use crate::store::sessions::InputRow;

/// What runs and waits in one session.
#[derive(Default)]
pub struct Queue {
    active: Option<Active>,
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    turn: Turn,
    /// None for a collected message: its run id is over already.
    end: Option<EndSender>,
}

struct Active {
    run: Run,
    /// Who may stop it; none for runs that clients can't stop.
    owners: Option<Vec<Owner>>,
    switch: Arc<AbortSwitch>,
}

/// Stops one run and remembers why; says when it can't be stopped any more.
#[derive(Debug, Default)]
pub struct AbortSwitch {
    token: CancellationToken,
    reason: OnceLock<AbortReason>,
    ending: AtomicBool,
}

/// Why a run was stopped, as transcripts and `chat` events name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortReason {
    /// `chat.abort`, or a reset.
    Rpc,
    /// A stop word.
    StopWord,
}

impl AbortReason {
    /// `stopReason` of the `chat` event.
    pub fn stop_reason(self) -> &'static str {
        match self {
            AbortReason::Rpc => "rpc",
            AbortReason::StopWord => "stop",
        }
    }
}

impl AbortSwitch {
    fn abort(&self, reason: AbortReason) {
        let _first_reason_counts = self.reason.set(reason);
        self.token.cancel();
    }

    /// From now on the run is as good as over: clients are about to see its end. A message that
    /// comes after that starts a run of its own, and nothing stops this one.
    pub fn ends(&self) {
        self.ending.store(true, Ordering::Release);
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Resolves when the run is to stop.
    pub async fn aborted(&self) -> AbortReason {
        self.token.cancelled().await;
        self.reason.get().copied().unwrap_or(AbortReason::Rpc)
    }
}

/// Takes a turn: see [`super::Agent::submit`].
pub fn submit(inner: &Arc<Inner>, turn: Turn) -> Result<Run, SubmitError> {
    if inner.tasks.stop_token().is_cancelled() {
        return Err(SubmitError::Stopping);
    }
    let (key, collect) = (turn.key.clone(), is_collectable(inner, &turn));
    let mut queues = lock(inner);
    let known = queues.len();
    let (run, end) = match queues.entry(key.clone()) {
        Entry::Occupied(entry) if entry.get().waiting.len() >= limits::SESSION_RUNS_WAITING_MAX => {
            return Err(SubmitError::SessionFull);
        }
        Entry::Occupied(mut entry) => {
            let (run, end) = inner.results.add(&turn.run_id, &key);
            let active = entry.get().active.as_ref();
            let collect = collect && active.is_some_and(|active| !active.switch.is_ending());
            let (own, early) = if collect {
                (None, Some(end))
            } else {
                (Some(end), None)
            };
            entry
                .get_mut()
                .waiting
                .push_back(Waiting { turn, end: own });
            (run, early)
        }
        Entry::Vacant(_) if known >= limits::SESSIONS_ACTIVE_MAX => {
            return Err(SubmitError::TooManySessions);
        }
        Entry::Vacant(entry) => {
            let (run, end) = inner.results.add(&turn.run_id, &key);
            let owners = owner(&turn).map(|owner| vec![owner]);
            let (active, first) = activate(turn, end, owners);
            entry.insert(Queue {
                active: Some(active),
                waiting: VecDeque::new(),
            });
            let session = SessionTask {
                inner: inner.clone(),
                key: key.clone(),
                idle: false,
            };
            inner.tasks.spawn("agent session", session.work(first));
            (run, None)
        }
    };
    drop(queues);
    if let Some(end) = end {
        collected(inner, &run, &end);
    }
    Ok(run)
}

/// Ends the own run id of a message that will be answered together with others.
fn collected(inner: &Inner, run: &Run, end: &EndSender) {
    let mut events = RunEvents::new(inner.hub.clone(), inner.clock, &run.run_id, &run.key, None);
    events.queued();
    let now = inner.clock.now_ms();
    let outcome = RunOutcome::unstarted(&run.run_id, &run.key, Ending::Collected, now);
    inner.results.finish(end, outcome);
}

/// A message that begins the conversation anew can't be joined with others.
fn is_collectable(inner: &Inner, turn: &Turn) -> bool {
    matches!(turn.origin, Origin::Chat { collect: true, .. })
        && turn.images.is_empty()
        && after_reset_word(&turn.text, &inner.config.current()).is_none()
}

/// What the session's task runs next.
struct Job {
    turn: Turn,
    end: EndSender,
    switch: Arc<AbortSwitch>,
}

fn activate(turn: Turn, end: EndSender, owners: Option<Vec<Owner>>) -> (Active, Job) {
    let switch = Arc::new(AbortSwitch::default());
    let run = Run {
        run_id: turn.run_id.clone(),
        key: turn.key.clone(),
        end: end.subscribe(),
    };
    (
        Active {
            run,
            owners,
            switch: switch.clone(),
        },
        Job { turn, end, switch },
    )
}

/// The task of one session, gone when it is idle.
struct SessionTask {
    inner: Arc<Inner>,
    key: SessionKey,
    /// The entry is removed already; one of the same key belongs to another task.
    idle: bool,
}

impl SessionTask {
    async fn work(mut self, first: Job) {
        let mut next = Some(first);
        while let Some(Job { turn, end, switch }) = next {
            let outcome = run::run(&self.inner, &turn, &switch).await;
            self.inner.results.finish(&end, outcome);
            next = self.next();
        }
    }

    /// The next run, now active; none when nothing waits, and the session has no entry any more.
    fn next(&mut self) -> Option<Job> {
        let mut queues = lock(&self.inner);
        let queue = queues.get_mut(&self.key)?;
        queue.active = None;
        let Some((turn, end, owners)) = take(&self.inner, &mut queue.waiting) else {
            queues.remove(&self.key);
            self.idle = true;
            return None;
        };
        let (active, job) = activate(turn, end, owners);
        queue.active = Some(active);
        Some(job)
    }
}

impl Drop for SessionTask {
    /// Also after a panic and when the task is aborted: nobody may wait for ever.
    fn drop(&mut self) {
        if !self.idle {
            lock(&self.inner).remove(&self.key);
        }
    }
}

/// Takes the first waiting turn, or all collected messages that stand first as one turn.
fn take(
    inner: &Inner,
    waiting: &mut VecDeque<Waiting>,
) -> Option<(Turn, EndSender, Option<Vec<Owner>>)> {
    let Waiting { mut turn, end } = waiting.pop_front()?;
    if let Some(end) = end {
        let owners = owner(&turn).map(|owner| vec![owner]);
        return Some((turn, end, owners));
    }
    let mut owners: Vec<Owner> = owner(&turn).into_iter().collect();
    let mut texts = vec![std::mem::take(&mut turn.text)];
    while waiting.front().is_some_and(|next| next.end.is_none()) {
        let Some(next) = waiting.pop_front() else {
            break;
        };
        owners.extend(owner(&next.turn).filter(|owner| !owners.contains(owner)));
        texts.push(next.turn.text);
    }
    turn.text = joined(texts);
    turn.run_id = inner.clock.uuid();
    let (_, end) = inner.results.add(&turn.run_id, &turn.key);
    Some((turn, end, Some(owners)))
}

/// One message stays as it is; several are listed.
fn joined(mut texts: Vec<String>) -> String {
    if texts.len() == 1 {
        return texts.swap_remove(0);
    }
    let parts = texts.iter().enumerate();
    let parts = parts.map(|(i, text)| format!("---\nQueued #{}\n{text}", i + 1));
    let list: Vec<String> = parts.collect();
    format!(
        "[Queued messages while agent was busy]\n\n{}",
        list.join("\n\n")
    )
}

fn owner(turn: &Turn) -> Option<Owner> {
    match &turn.origin {
        Origin::Chat { owner, .. } => Some(owner.clone()),
        _ => None,
    }
}

/// See [`super::Agent::active`].
pub fn active(inner: &Inner, key: &SessionKey) -> Option<String> {
    let queues = lock(inner);
    let active = queues.get(key)?.active.as_ref()?;
    active
        .run
        .ended()
        .is_none()
        .then(|| active.run.run_id.clone())
}

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
        AbortBy::Client { .. } | AbortBy::Reset => AbortReason::Rpc,
    };
    let (stopped, dropped) = {
        let mut queues = lock(inner);
        let Some(queue) = queues.get_mut(key) else {
            return Ok(Vec::new());
        };
        let stopped = stop_active(queue, run_id, &by, reason)?;
        (stopped, drop_waiting(queue, run_id, &by))
    };
    let mut ids = Vec::new();
    if let Some(run) = stopped {
        run.done().await;
        ids.push(run.run_id);
    }
    for Waiting { turn, end } in dropped {
        keep(inner, &turn).await;
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
        (AbortBy::Person | AbortBy::Reset, _) => {}
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
            (AbortBy::Reset, _) => true,
            (_, None) => false,
            (_, Some(owner)) => may_stop(by, &[owner]),
        };
        meant && allowed
    };
    let (dropped, kept) = queue.waiting.drain(..).partition(goes);
    queue.waiting = kept;
    Vec::from(dropped)
}

fn may_stop(by: &AbortBy, owners: &[Owner]) -> bool {
    match by {
        AbortBy::Person | AbortBy::Reset => true,
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
    let sender_label = match &turn.origin {
        Origin::Chat { label, .. } => Some(label.clone()),
        _ => None,
    };
    let user = InputRow {
        text: turn.text.clone(),
        sender_label,
        ..InputRow::default()
    };
    if let Err(error) = inner.sessions.append_user(&turn.key, None, user).await {
        tracing::error!(%error, "stopped message not kept");
    }
}

fn lock(inner: &Inner) -> MutexGuard<'_, HashMap<SessionKey, Queue>> {
    inner.queues.lock().unwrap_or_else(PoisonError::into_inner)
}
