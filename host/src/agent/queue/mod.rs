//! The queue of each session: one run at a time, the rest waits in order.
//!
//! Owned by the agent. A session has an entry and a task only while something runs or waits in
//! it. Promises: a turn is either run, collected into a later run, put into the running one, or
//! ended as interrupted; a panic in a run frees its session.
//!
//! Turns of `agent` and of channels keep their ids and run one after the other, so that each gets
//! its own answer. What becomes of a message of `chat.send` that arrives during a run, the session
//! or the configuration says ([`mode`]).

mod abort;
pub mod collected;
pub mod mode;
mod switch;

pub use abort::abort;
pub use switch::{AbortReason, AbortSwitch};

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use super::events::RunEvents;
use super::outcome::{Ending, Run, RunOutcome};
use super::results::EndSender;
use super::{Inner, Origin, Owner, SubmitError, Turn, run};
use crate::config::QueueDrop;
use crate::limits;
use crate::sessions::SessionKey;
use collected::{Cap, Overflow, joined};
use mode::Way;

/// What runs and waits in one session.
#[derive(Default)]
pub struct Queue {
    active: Option<Active>,
    waiting: VecDeque<Waiting>,
    /// Collected messages that wait are not answered before: more of them may follow.
    quiet_until: Option<Instant>,
    /// What is not answered because too much waited.
    overflow: Overflow,
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

/// Takes a turn: see [`super::Agent::submit`].
pub fn submit(inner: &Arc<Inner>, turn: Turn) -> Result<Run, SubmitError> {
    if inner.tasks.stop_token().is_cancelled() {
        return Err(SubmitError::Stopping);
    }
    let (key, way) = (turn.key.clone(), mode::way(inner, &turn));
    let mut queues = lock(inner);
    let known = queues.len();
    let (run, end) = match queues.entry(key.clone()) {
        Entry::Occupied(entry) if entry.get().waiting.len() >= limits::SESSION_RUNS_WAITING_MAX => {
            return Err(SubmitError::SessionFull);
        }
        Entry::Occupied(entry) if entry.get().refuses(way) => {
            return Err(SubmitError::SessionFull);
        }
        Entry::Occupied(mut entry) => {
            let (run, end) = inner.results.add(&turn.run_id, &key);
            let early = entry.get_mut().take_in(turn, end, way);
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
                ..Queue::default()
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

impl Queue {
    /// Takes a turn while the session is busy. Gives the end of its run id back when that is over
    /// at once: it is answered together with others, or by the running one.
    fn take_in(&mut self, turn: Turn, end: EndSender, way: Way) -> Option<EndSender> {
        let active = self.active.as_ref();
        let running = active.filter(|active| !active.switch.is_ending());
        match way {
            Way::Collect(debounce, cap) if running.is_some() || self.is_collecting() => {
                self.quiet_until = Some(Instant::now() + debounce);
                let turn = self.make_room(turn, cap);
                self.put(Waiting { turn, end: None });
                return Some(end);
            }
            Way::Steer(twice) => {
                let copy = twice.then(|| turn.clone());
                let left = match running {
                    Some(active) => active.switch.steer(turn),
                    None => Some(turn),
                };
                match (left, copy) {
                    (None, None) => return Some(end),
                    (Some(turn), _) | (None, Some(turn)) => {
                        let end = Some(end);
                        self.put(Waiting { turn, end });
                    }
                }
            }
            Way::Interrupt => {
                // Only what clients may stop: an answer that somebody waits for goes on.
                if let Some(active) = running.filter(|active| active.owners.is_some()) {
                    active.switch.abort(AbortReason::Rpc);
                }
                let end = Some(end);
                self.put(Waiting { turn, end });
            }
            Way::Collect(..) | Way::Wait => {
                let end = Some(end);
                self.put(Waiting { turn, end });
            }
        }
        None
    }

    /// Whether a message is one too many for those that are answered together.
    fn refuses(&self, way: Way) -> bool {
        matches!(way, Way::Collect(_, cap) if cap.drop == QueueDrop::New && self.collected() >= cap.most)
    }

    fn collected(&self) -> usize {
        self.waiting.iter().filter(|one| one.end.is_none()).count()
    }

    /// Takes out the oldest of those that are answered together, if there are too many. What is
    /// kept of it on disk is settled with the newcomer.
    fn make_room(&mut self, mut turn: Turn, cap: Cap) -> Turn {
        while self.collected() >= cap.most {
            let oldest = self.waiting.iter().position(|one| one.end.is_none());
            let Some(old) = oldest.and_then(|place| self.waiting.remove(place)) else {
                break;
            };
            tracing::warn!(session = %turn.key, "more messages wait than messages.queue.cap");
            if cap.drop == QueueDrop::Summarize {
                self.overflow.note(&old.turn.text);
            }
            turn.kept.extend(old.turn.kept);
        }
        turn
    }

    /// Lets a turn wait behind those that were accepted before it, however long each took to be
    /// kept.
    fn put(&mut self, new: Waiting) {
        let earlier = |other: &Waiting| match (other.turn.kept.first(), new.turn.kept.first()) {
            (Some(other), Some(new)) => other < new,
            _ => true,
        };
        let place = self.waiting.iter().rposition(earlier);
        self.waiting.insert(place.map_or(0, |place| place + 1), new);
    }

    /// True while collected messages wait for more of them.
    fn is_collecting(&self) -> bool {
        self.waiting.back().is_some_and(|last| last.end.is_none())
    }

    /// How long the first that waits is to wait for more to come.
    fn pause(&self) -> Option<Instant> {
        let first = self.waiting.front()?;
        self.quiet_until
            .filter(|until| first.end.is_none() && *until > Instant::now())
    }
}

/// Ends the own run id of a message that will be answered together with others.
fn collected(inner: &Inner, run: &Run, end: &EndSender) {
    let mut events = RunEvents::new(inner.hub.clone(), inner.clock, &run.run_id, &run.key, None);
    events.queued();
    let now = inner.clock.now_ms();
    let outcome = RunOutcome::unstarted(&run.run_id, &run.key, Ending::Collected, now);
    inner.results.finish(end, outcome);
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
            next = self.next(&switch).await;
        }
    }

    /// The next run, now active; none when nothing waits, and the session has no entry any more.
    async fn next(&mut self, last: &AbortSwitch) -> Option<Job> {
        loop {
            let pause = match self.step(last) {
                Step::Run(job) => return Some(*job),
                Step::Idle => return None,
                Step::Pause(until) => tokio::time::sleep_until(until.into()),
            };
            tokio::select! {
                () = pause => {}
                () = self.inner.tasks.stop_token().cancelled() => {}
            }
        }
    }

    fn step(&mut self, last: &AbortSwitch) -> Step {
        let mut queues = lock(&self.inner);
        let Some(queue) = queues.get_mut(&self.key) else {
            return Step::Idle;
        };
        queue.active = None;
        // What was put into the last run too late for it is answered first.
        for turn in last.steered().into_iter().rev() {
            queue.waiting.push_front(Waiting { turn, end: None });
        }
        let stopping = self.inner.tasks.stop_token().is_cancelled();
        if let Some(until) = queue.pause().filter(|_| !stopping) {
            return Step::Pause(until);
        }
        let Some((turn, end, owners)) = take(&self.inner, queue) else {
            queues.remove(&self.key);
            self.idle = true;
            return Step::Idle;
        };
        let (active, job) = activate(turn, end, owners);
        queue.active = Some(active);
        Step::Run(Box::new(job))
    }
}

/// What the session's task does next.
enum Step {
    Run(Box<Job>),
    /// Collected messages wait for more of them.
    Pause(Instant),
    Idle,
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
fn take(inner: &Inner, queue: &mut Queue) -> Option<(Turn, EndSender, Option<Vec<Owner>>)> {
    let waiting = &mut queue.waiting;
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
        turn.kept.extend(next.turn.kept);
    }
    turn.text = joined(texts, &std::mem::take(&mut queue.overflow));
    turn.run_id = inner.clock.uuid();
    let (_, end) = inner.results.add(&turn.run_id, &turn.key);
    Some((turn, end, Some(owners)))
}

fn owner(turn: &Turn) -> Option<Owner> {
    match &turn.origin {
        Origin::Chat { owner, .. } => Some(owner.clone()),
        _ => None,
    }
}

/// True when a new turn of the session would have to wait.
pub fn is_busy(inner: &Inner, key: &SessionKey) -> bool {
    lock(inner).contains_key(key)
}

/// Resolves when the message of a run that was just taken is on disk, or the run is over.
pub async fn opened(inner: &Inner, run: &Run) {
    let switch = {
        let queues = lock(inner);
        let active = queues.get(&run.key).and_then(|queue| queue.active.as_ref());
        let own = active.filter(|active| active.run.run_id == run.run_id);
        own.map(|active| active.switch.clone())
    };
    if let Some(switch) = switch {
        tokio::select! {
            () = switch.opened() => {}
            _ = run.done() => {}
        }
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

fn lock(inner: &Inner) -> MutexGuard<'_, HashMap<SessionKey, Queue>> {
    inner.queues.lock().unwrap_or_else(PoisonError::into_inner)
}
