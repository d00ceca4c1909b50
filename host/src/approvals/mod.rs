//! Approvals: what may be run on this machine, and who is asked when nobody said.
//!
//! [`Approvals`] is the handle that methods, tools and runners share. It owns the questions that
//! wait for a decision (here), and the approvals file (`file.rs`: who may run what; `rules.rs`:
//! what that means for one command). Promises: a question ends once, by a decision, by its time or
//! because nobody wants to know any more; only clients with the scope `operator.approvals` see and
//! decide it; without an answer nothing is allowed. Questions live as long as the process: what
//! asked them ends with it.

mod binding;
mod file;
mod rules;
mod shown;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_schemas::approvals::{
    ExecApprovalDecided, ExecApprovalDecision, ExecApprovalQuestion, ExecApprovalRequested,
    ExecApprovalResolved,
};
use gateway_schemas::catalogue::Scope;
use tokio::sync::watch;
use tokio::time::Instant;

pub use binding::bind;
pub use file::FileError;
pub use rules::{
    Ask, Command, Limit, Rules, Security, Verdict, exact_pattern, limits, pattern_for,
};
pub use shown::{quoted, visible};

use crate::clock::Clock;
use crate::config::Paths;
use crate::hub::{Caller, ConnId, Event, Hub};
use crate::limits;

/// The decision of an approver.
pub type Decision = ExecApprovalDecision;

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Approvals {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    hub: Hub,
    open: Mutex<HashMap<String, Entry>>,
    /// One change of the file at a time.
    changing: Mutex<()>,
    path: PathBuf,
    socket: PathBuf,
}

impl fmt::Debug for Approvals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Approvals")
    }
}

/// Who asked: an approval for a node counts for nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The connection.
    pub conn: ConnId,
    /// The device, on any of its connections.
    pub device_id: Option<String>,
    /// Its program.
    pub client_id: String,
}

impl From<&Caller> for Asker {
    fn from(caller: &Caller) -> Asker {
        Asker {
            conn: caller.conn,
            device_id: caller.device_id.clone(),
            client_id: caller.client.id.clone(),
        }
    }
}

/// A question to approvers.
#[derive(Debug)]
pub struct Question {
    /// Its id; one is made when there is none.
    pub id: Option<String>,
    /// What is asked.
    pub question: ExecApprovalQuestion,
    /// How long there is to decide; bounded.
    pub time: Duration,
    /// Who asked; none for the gateway itself.
    pub by: Option<Asker>,
}

/// Why a question is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskError {
    /// Another question has this id, or had it a moment ago.
    Known,
    /// Too many questions wait.
    Full,
    /// The question is larger than approvers are shown.
    TooLarge,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::Known => f.write_str("approval id already pending"),
            AskError::Full => write!(
                f,
                "{} approvals wait for a decision already; try again later",
                limits::APPROVALS_OPEN_MAX
            ),
            AskError::TooLarge => write!(
                f,
                "the command is too long to be asked about: at most {} bytes",
                limits::APPROVAL_BYTES_MAX
            ),
        }
    }
}

impl std::error::Error for AskError {}

/// Why nothing was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// No open question has this id or beginning.
    Unknown,
    /// Several have this beginning; sorted.
    Ambiguous(Vec<String>),
}

/// A question and how it ended.
struct Entry {
    asked: ExecApprovalRequested,
    by: Option<Asker>,
    deadline: Instant,
    end: watch::Sender<Option<End>>,
}

#[derive(Clone, Copy)]
struct End {
    decision: Option<Decision>,
    at: Instant,
}

impl Entry {
    fn is_open(&self, now: Instant) -> bool {
        self.end.borrow().is_none() && now < self.deadline
    }

    /// It ended so long ago that nobody may ask for its end any more.
    fn is_over(&self, now: Instant) -> bool {
        let ended = self.end.borrow().map_or(self.deadline, |end| end.at);
        now >= ended + limits::APPROVAL_KEPT
    }

    fn settle(&self, decision: Option<Decision>, at: Instant) {
        self.end.send_replace(Some(End { decision, at }));
    }

    fn wait(&self) -> Wait {
        Wait {
            asked: self.asked.clone(),
            deadline: self.deadline,
            end: self.end.subscribe(),
        }
    }
}

/// Waits for the end of a question.
#[derive(Debug)]
pub struct Wait {
    /// The question.
    pub asked: ExecApprovalRequested,
    deadline: Instant,
    end: watch::Receiver<Option<End>>,
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.decision)
    }
}

impl Wait {
    /// The decision; none when the time was over first, or nobody could be asked.
    pub async fn decision(&mut self) -> Option<Decision> {
        let decided = self.end.wait_for(Option::is_some);
        match tokio::time::timeout_at(self.deadline, decided).await {
            Ok(Ok(end)) => end.and_then(|end| end.decision),
            _ => None,
        }
    }

    /// The same as clients are told.
    pub async fn told(&mut self) -> ExecApprovalDecided {
        let decision = self.decision().await;
        ExecApprovalDecided {
            id: self.asked.id.clone(),
            decision,
            created_at_ms: self.asked.created_at_ms,
            expires_at_ms: self.asked.expires_at_ms,
        }
    }

    /// Whether the end is known already: nobody could be asked.
    pub fn has_ended(&self) -> bool {
        self.end.borrow().is_some()
    }
}

/// A question that is taken back when nobody waits for it any more: what it asked for would not
/// be run.
#[derive(Debug)]
pub struct Held {
    approvals: Approvals,
    /// The question.
    pub wait: Wait,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.approvals.withdraw(&self.wait.asked.id);
    }
}

impl Approvals {
    /// Without any question. The file is made when it is first needed.
    pub fn new(clock: Clock, hub: Hub, paths: &Paths) -> Approvals {
        let inner = Inner {
            clock,
            hub,
            open: Mutex::default(),
            changing: Mutex::new(()),
            path: paths.exec_approvals(),
            socket: paths.exec_approvals_socket(),
        };
        Approvals {
            inner: Arc::new(inner),
        }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        let open = self.inner.open.lock();
        let mut open = open.unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        open.retain(|_, entry| !entry.is_over(now));
        open
    }

    /// Asks approvers. When none is connected the question ends at once, without a decision.
    ///
    /// # Errors
    /// [`AskError`] when it can't be asked.
    pub fn ask(&self, question: Question) -> Result<Wait, AskError> {
        let bytes = serde_json::to_string(&question.question).map_or(usize::MAX, |t| t.len());
        if bytes > limits::APPROVAL_BYTES_MAX {
            return Err(AskError::TooLarge);
        }
        let time = question.time.min(limits::APPROVAL_TIME_MAX);
        let (created, now) = (self.inner.clock.now_ms(), Instant::now());
        let id = question.id.unwrap_or_else(|| self.inner.clock.uuid());
        let entry = Entry {
            asked: ExecApprovalRequested {
                id: id.clone(),
                request: question.question,
                created_at_ms: created,
                expires_at_ms: created.saturating_add(crate::spell::millis(time)),
            },
            by: question.by,
            deadline: now + time,
            end: watch::Sender::new(None),
        };
        let event = Event::new("exec.approval.requested", &entry.asked);
        let by_client = entry.by.is_some();
        let mut open = self.open();
        if open.contains_key(&id) {
            return Err(AskError::Known);
        }
        if open.len() >= limits::APPROVALS_OPEN_MAX {
            return Err(AskError::Full);
        }
        if !self.is_anybody_there() {
            entry.settle(None, now);
        }
        let wait = entry.wait();
        open.insert(id.clone(), entry);
        drop(open);
        tracing::info!(id, by_client, "approval asked for");
        self.inner.hub.publish(event);
        Ok(wait)
    }

    /// The same for the gateway itself: the question is taken back when the answer is dropped.
    ///
    /// # Errors
    /// As [`Approvals::ask`].
    pub fn ask_held(
        &self,
        question: ExecApprovalQuestion,
        time: Duration,
    ) -> Result<Held, AskError> {
        let question = Question {
            id: None,
            question,
            time,
            by: None,
        };
        let wait = self.ask(question)?;
        Ok(Held {
            approvals: self.clone(),
            wait,
        })
    }

    fn is_anybody_there(&self) -> bool {
        let clients = self.inner.hub.clients();
        let mut clients = clients.iter();
        clients.any(|client| client.caller.may_see(Scope::Approvals))
    }

    /// Waits for a question that was asked before, also for a moment after its end.
    pub fn wait(&self, id: &str) -> Option<Wait> {
        self.open().get(id).map(Entry::wait)
    }

    /// Who asked a question, as long as its end is known; the inner one is none for the gateway.
    pub fn asker(&self, id: &str) -> Option<Option<Asker>> {
        self.open().get(id).map(|entry| entry.by.clone())
    }

    /// The open questions, oldest first.
    pub fn list(&self) -> Vec<ExecApprovalRequested> {
        let now = Instant::now();
        let open = self.open();
        let open = open.values().filter(|entry| entry.is_open(now));
        let mut list: Vec<_> = open.map(|entry| entry.asked.clone()).collect();
        list.sort_by(|a, b| (a.created_at_ms, &a.id).cmp(&(b.created_at_ms, &b.id)));
        list
    }

    /// Decides a question by its id, or by a beginning that no other open one has.
    ///
    /// # Errors
    /// [`ResolveError`] when there is no such question, or there are several.
    pub fn resolve(
        &self,
        id: &str,
        decision: Decision,
        by: Option<String>,
    ) -> Result<(), ResolveError> {
        let now = Instant::now();
        let open = self.open();
        let id = find(&open, id.trim(), now)?;
        let entry = open.get(&id).ok_or(ResolveError::Unknown)?;
        entry.settle(Some(decision), now);
        let request = entry.asked.request.clone();
        drop(open);
        tracing::info!(id, ?decision, by, "approval decided");
        self.tell(id, decision, by, request);
        Ok(())
    }

    /// Ends a question that nobody waits for. Approvers see it denied, so that it leaves their
    /// screens.
    fn withdraw(&self, id: &str) {
        let now = Instant::now();
        let open = self.open();
        let Some(entry) = open.get(id).filter(|entry| entry.is_open(now)) else {
            return;
        };
        entry.settle(None, now);
        let request = entry.asked.request.clone();
        drop(open);
        tracing::info!(id, "approval not needed any more");
        self.tell(id.to_owned(), Decision::Deny, None, request);
    }

    fn tell(
        &self,
        id: String,
        decision: Decision,
        by: Option<String>,
        request: ExecApprovalQuestion,
    ) {
        let resolved = ExecApprovalResolved {
            id,
            decision,
            resolved_by: by,
            ts: self.inner.clock.now_ms(),
            request: Some(request),
        };
        let event = Event::new("exec.approval.resolved", &resolved);
        self.inner.hub.publish(event);
    }
}

/// The open question that `id` names.
fn find(open: &HashMap<String, Entry>, id: &str, now: Instant) -> Result<String, ResolveError> {
    if id.is_empty() {
        return Err(ResolveError::Unknown);
    }
    if let Some(entry) = open.get(id) {
        let found = entry.is_open(now).then(|| id.to_owned());
        return found.ok_or(ResolveError::Unknown);
    }
    let start = id.to_lowercase();
    let fits = |(id, entry): &(&String, &Entry)| {
        entry.is_open(now) && id.to_lowercase().starts_with(&start)
    };
    let found = open.iter().filter(fits).map(|(id, _)| id.clone());
    let mut found: Vec<String> = found.collect();
    found.sort();
    match found.len() {
        0 => Err(ResolveError::Unknown),
        1 => Ok(found.remove(0)),
        _ => Err(ResolveError::Ambiguous(found)),
    }
}
