//! For a plugin's own tests: a host without a gateway, and checks of its manifest.
//!
//! [`MockHost`] speaks frames with the same dispatcher a loaded library uses; only the C functions
//! are left out. Nothing here waits for a time: every wait is for a state, bounded by
//! [`PATIENCE`].

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use gateway_plugin_abi::{kind, rc};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::cx::{Answer, HostLine};
use crate::dispatch::Dispatcher;
use crate::message::{
    ErrorKind, Event, HostCall, HostInfo, HostReply, LogRecord, Media, Op, OpResult, StartRequest,
    StopReason, SurfaceError,
};
use crate::surface::{Res, Surface};

mod manifest;

pub use manifest::check_manifest;

/// How long a test waits before it gives up. Only a broken plugin waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Calls to the host that may wait, as with a real one.
const CALLS_MAX: usize = 64;

/// Events that may be under way, as with a real one.
const EVENTS_MAX: usize = 64;

/// A host for one account of `S`.
pub struct MockHost<S> {
    dispatcher: Arc<Dispatcher<S>>,
    state: Arc<State>,
    next: AtomicU64,
}

/// What the host heard and keeps.
struct State {
    events: Mutex<VecDeque<Taken>>,
    arrived: Notify,
    pending: Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>,
    kv: Mutex<BTreeMap<String, Media>>,
    logs: Mutex<Vec<LogRecord>>,
    fatals: Mutex<Vec<String>>,
    /// What a real host would hold against the plugin.
    complaints: Mutex<Vec<String>>,
    /// Events that are not acknowledged yet.
    unsettled: AtomicUsize,
    /// Frames the host owes; sent by a task, because a host never answers within a call.
    answers: mpsc::Sender<(u64, i32, Vec<u8>, Media)>,
}

/// An event that waits to be acknowledged.
pub(crate) struct Taken {
    pub(crate) id: u64,
    pub(crate) event: Event,
    pub(crate) media: Media,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HostLine for Arc<State> {
    fn deliver(&self, what: u32, id: u64, status: i32, body: &[u8], blob: Media) -> i32 {
        match what {
            kind::EVENT => {
                let Ok(event) = serde_json::from_slice(body) else {
                    self.complain("an event that cannot be read");
                    return rc::BAD_FRAME;
                };
                if self.unsettled.fetch_add(1, Ordering::AcqRel) >= EVENTS_MAX {
                    self.unsettled.fetch_sub(1, Ordering::AcqRel);
                    self.complain("an event without a credit for it");
                    return rc::BUSY;
                }
                locked(&self.events).push_back(Taken {
                    id,
                    event,
                    media: blob,
                });
                self.arrived.notify_one();
            }
            kind::RESPONSE => {
                if let Some(asker) = locked(&self.pending).remove(&id) {
                    // The test may have stopped waiting.
                    asker.send((status, body.to_vec(), blob)).ok();
                }
            }
            kind::REQUEST => {
                let (status, body, blob) = self.serve(body, blob);
                if self.answers.try_send((id, status, body, blob)).is_err() {
                    return rc::BUSY;
                }
            }
            kind::LOG => locked(&self.logs).extend(serde_json::from_slice(body)),
            kind::FATAL => {
                let text = String::from_utf8_lossy(body).into_owned();
                self.complain(&format!("it asked to be started anew: {text}"));
                locked(&self.fatals).push(text);
                self.arrived.notify_one();
            }
            _ => {
                self.complain("a frame of a kind nobody knows");
                return rc::UNSUPPORTED;
            }
        }
        rc::OK
    }
}

impl State {
    fn complain(&self, what: &str) {
        locked(&self.complaints).push(what.to_owned());
    }

    fn serve(&self, body: &[u8], blob: Media) -> (i32, Vec<u8>, Media) {
        let mut kv = locked(&self.kv);
        let (reply, blob) = match serde_json::from_slice(body) {
            Ok(HostCall::KvGet { key }) => {
                let value = kv.get(&key).cloned();
                (
                    HostReply::Value {
                        found: value.is_some(),
                    },
                    value.unwrap_or_default(),
                )
            }
            Ok(HostCall::KvPut { key }) => {
                kv.insert(key, blob);
                (HostReply::Done, Media::new())
            }
            Ok(HostCall::KvDel { key }) => {
                kv.remove(&key);
                (HostReply::Done, Media::new())
            }
            Ok(HostCall::KvList { prefix }) => {
                let keys = kv
                    .keys()
                    .filter(|key| key.starts_with(&prefix))
                    .cloned()
                    .collect();
                (HostReply::Keys { keys }, Media::new())
            }
            Ok(HostCall::Unknown) | Err(_) => {
                let error = SurfaceError::new(ErrorKind::Unsupported, "unknown call");
                return (
                    1,
                    serde_json::to_vec(&error).unwrap_or_default(),
                    Media::new(),
                );
            }
        };
        (0, serde_json::to_vec(&reply).unwrap_or_default(), blob)
    }
}

impl<S: Surface> MockHost<S> {
    /// An instance that is not started yet, with 64 credits. Call inside a tokio runtime.
    pub fn new() -> Self {
        Self::with_kv(BTreeMap::new())
    }

    /// The same with state of an earlier run.
    pub fn with_kv(kv: BTreeMap<String, Media>) -> Self {
        let (answers, mut owed) = mpsc::channel::<(u64, i32, Vec<u8>, Media)>(CALLS_MAX);
        let state = Arc::new(State {
            events: Mutex::default(),
            arrived: Notify::new(),
            pending: Mutex::default(),
            kv: Mutex::new(kv),
            logs: Mutex::default(),
            fatals: Mutex::default(),
            complaints: Mutex::default(),
            unsettled: AtomicUsize::new(0),
            answers,
        });
        let runtime = tokio::runtime::Handle::current();
        let dispatcher = Arc::new(Dispatcher::new(Box::new(state.clone()), runtime.clone()));
        let weak: Weak<Dispatcher<S>> = Arc::downgrade(&dispatcher);
        runtime.spawn(async move {
            while let Some((id, status, body, blob)) = owed.recv().await {
                let Some(dispatcher) = weak.upgrade() else {
                    return;
                };
                dispatcher.deliver(kind::RESPONSE, id, status, &body, blob);
            }
        });
        dispatcher.deliver(kind::CREDIT, EVENTS_MAX as u64, 0, &[], Media::new());
        Self {
            dispatcher,
            state,
            next: AtomicU64::new(1),
        }
    }

    /// Starts the account `default` with this configuration.
    ///
    /// # Errors
    /// The plugin's own.
    pub async fn start(&self, config: Value) -> Res<()> {
        let host = HostInfo {
            log_level: "debug".to_owned(),
            ..HostInfo::default()
        };
        let start = StartRequest {
            account: "default".to_owned(),
            config,
            host,
        };
        self.request(Op::Start(start), Media::new())
            .await
            .map(|_| ())
    }

    /// Asks for one operation. Dropping the future cancels it, as a real host does.
    ///
    /// # Errors
    /// The plugin's own; `Timeout` after [`PATIENCE`].
    pub async fn request(&self, op: Op, media: Media) -> Res<OpResult> {
        let body = serde_json::to_vec(&op)
            .map_err(|e| SurfaceError::new(ErrorKind::InvalidRequest, e.to_string()))?;
        self.request_body(&body, media, PATIENCE).await
    }

    /// The same with a body as it is, for what only another version of the host would ask.
    ///
    /// # Errors
    /// As [`MockHost::request`]; `Timeout` after `patience`.
    pub async fn request_body(
        &self,
        body: &[u8],
        media: Media,
        patience: Duration,
    ) -> Res<OpResult> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        locked(&self.state.pending).insert(id, sender);
        let _cancel = Cancel(self, id);
        self.dispatcher.deliver(kind::REQUEST, id, 0, body, media);
        let late = || SurfaceError::new(ErrorKind::Timeout, "no answer from the plugin");
        let answer = tokio::time::timeout(patience, receiver)
            .await
            .map_err(|_| late())?;
        let (status, body, blob) = answer.map_err(|_| late())?;
        let garbage = |e: serde_json::Error| SurfaceError::new(ErrorKind::Other, e.to_string());
        if status != 0 {
            return Err(serde_json::from_slice(&body).map_err(garbage)?);
        }
        let mut result = serde_json::from_slice(&body).map_err(garbage)?;
        match &mut result {
            OpResult::Media(file) => file.bytes = blob,
            OpResult::Http(response) => response.body = blob,
            _ => {}
        }
        Ok(result)
    }

    /// Stops the account and closes the instance.
    pub async fn stop(&self) {
        // A plugin that cannot stop is closed all the same.
        self.request(
            Op::Stop {
                why: StopReason::Shutdown,
            },
            Media::new(),
        )
        .await
        .ok();
        self.dispatcher.close();
    }

    /// Ends the instance without a goodbye; nothing comes from it afterwards.
    pub(crate) fn close(&self) {
        self.dispatcher.close();
    }

    /// Alive as long as anything of the account is.
    pub(crate) fn remains(&self) -> Vec<Weak<dyn Any + Send + Sync>> {
        self.dispatcher.remains()
    }

    /// The next event, to be settled by the caller. Cancel-safe.
    pub(crate) async fn taken(&self) -> Taken {
        loop {
            let arrived = self.state.arrived.notified();
            let taken = locked(&self.state.events).pop_front();
            if let Some(taken) = taken {
                return taken;
            }
            arrived.await;
        }
    }

    /// What a real host would hold against the plugin: frames that make no sense, events past
    /// the credits, requests to be started anew.
    pub fn complaints(&self) -> Vec<String> {
        locked(&self.state.complaints).clone()
    }

    /// The next event, acknowledged as a host does that has it on disk.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub async fn event(&self) -> Event {
        self.event_with_media().await.0
    }

    /// The same with the bytes of its attachments.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub async fn event_with_media(&self) -> (Event, Media) {
        let taken = self.wait(|state| locked(&state.events).pop_front()).await;
        let done = serde_json::to_vec(&HostReply::Done).unwrap_or_default();
        self.settle(taken.id, 0, done);
        (taken.event, taken.media)
    }

    /// Takes the next event and refuses it, as a host does that could not keep it.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub async fn refuse_event(&self) -> Event {
        let taken = self.wait(|state| locked(&state.events).pop_front()).await;
        let error = SurfaceError::new(ErrorKind::Transient, "refused by the test");
        self.settle(taken.id, 1, serde_json::to_vec(&error).unwrap_or_default());
        taken.event
    }

    /// Answers an event and gives its credit back.
    pub(crate) fn settle(&self, id: u64, status: i32, body: Vec<u8>) {
        self.state.unsettled.fetch_sub(1, Ordering::AcqRel);
        if id != 0 {
            self.dispatcher
                .deliver(kind::RESPONSE, id, status, &body, Media::new());
        }
        self.dispatcher
            .deliver(kind::CREDIT, 1, 0, &[], Media::new());
    }

    /// The text of the next request to be started anew.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    pub async fn fatal(&self) -> String {
        self.wait(|state| locked(&state.fatals).pop()).await
    }

    async fn wait<T>(&self, mut take: impl FnMut(&State) -> Option<T>) -> T {
        let found = async {
            loop {
                if let Some(found) = take(&self.state) {
                    return found;
                }
                self.state.arrived.notified().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.expect("the plugin did what the test waits for")
    }

    /// How many events wait to be acknowledged.
    pub fn waiting(&self) -> usize {
        locked(&self.state.events).len()
    }

    /// The account's state.
    pub fn kv(&self) -> BTreeMap<String, Media> {
        locked(&self.state.kv).clone()
    }

    /// What the account logged, if its library's subscriber was installed.
    pub fn logs(&self) -> Vec<LogRecord> {
        locked(&self.state.logs).clone()
    }
}

/// Tells the plugin when nobody waits for an answer any more.
struct Cancel<'a, S: Surface>(&'a MockHost<S>, u64);

impl<S: Surface> Drop for Cancel<'_, S> {
    fn drop(&mut self) {
        let Cancel(host, id) = self;
        if locked(&host.state.pending).remove(id).is_some() {
            host.dispatcher
                .deliver(kind::CANCEL, *id, 0, &[], Media::new());
        }
    }
}

impl<S: Surface> Default for MockHost<S> {
    fn default() -> Self {
        Self::new()
    }
}
