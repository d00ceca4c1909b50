//! What the host lends to an instance: events out, key-value state, supervised tasks.
//!
//! A [`Cx`] is given to `Surface::start`; clone it freely. The other end of the line is a
//! [`HostLine`]: the C table in a real plugin, the mock host in tests.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use gateway_plugin_abi::{kind, rc};
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::message::{ErrorKind, Event, HostCall, HostInfo, HostReply, Media, SurfaceError};
use crate::surface::Res;
use crate::{barrier, log};

/// The way frames leave a plugin. Never blocks; answers a code of `abi::rc`.
pub trait HostLine: Send + Sync + 'static {
    /// Hands one frame to the host.
    fn deliver(&self, kind: u32, id: u64, status: i32, body: &[u8], blob: Media) -> i32;
}

/// A RESPONSE frame from the host: status, body, blob.
pub(crate) type Answer = (i32, Vec<u8>, Media);

/// One instance's side of the line, shared by its [`Cx`]s and the dispatcher.
pub(crate) struct Shared {
    pub(crate) line: Box<dyn HostLine>,
    pub(crate) runtime: tokio::runtime::Handle,
    pub(crate) credits: Semaphore,
    /// The account was told to stop: spawned tasks end.
    pub(crate) stopping: CancellationToken,
    /// The instance is closed: everything ends.
    pub(crate) closed: CancellationToken,
    pub(crate) tasks: TaskTracker,
    pub(crate) account: OnceLock<(String, HostInfo)>,
    pending: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next: AtomicU64,
}

impl Shared {
    pub(crate) fn new(line: Box<dyn HostLine>, runtime: tokio::runtime::Handle) -> Arc<Self> {
        Arc::new(Self {
            line,
            runtime,
            credits: Semaphore::new(0),
            stopping: CancellationToken::new(),
            closed: CancellationToken::new(),
            tasks: TaskTracker::new(),
            account: OnceLock::new(),
            pending: Mutex::default(),
            next: AtomicU64::new(1),
        })
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A RESPONSE frame came in.
    pub(crate) fn answered(&self, id: u64, answer: Answer) {
        let waiter = self.pending().remove(&id);
        if let Some(waiter) = waiter {
            // The asker may have given up meanwhile: nobody is left to tell.
            waiter.send(answer).ok();
        }
    }

    /// The instance ends: everyone who waits for the host is told so.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        self.stopping.cancel();
        self.credits.close();
        self.tasks.close();
        self.pending().clear();
    }

    /// Sends a frame that the host answers, and waits for the answer. Dropping the future forgets
    /// the answer; what was asked still happens.
    async fn ask(
        &self,
        kind: u32,
        body: &[u8],
        blob: Media,
        credit: Option<SemaphorePermit<'_>>,
    ) -> Res<Answer> {
        struct Forget<'a>(&'a Shared, u64);
        impl Drop for Forget<'_> {
            fn drop(&mut self) {
                self.0.pending().remove(&self.1);
            }
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.pending().insert(id, sender);
        let _forget = Forget(self, id);
        refused(self.line.deliver(kind, id, 0, body, blob))?;
        // Spent only now: a frame that was refused at once costs nothing.
        if let Some(credit) = credit {
            credit.forget();
        }
        let answer = receiver.await.map_err(|_| stopping())?;
        if answer.0 == 0 {
            return Ok(answer);
        }
        Err(serde_json::from_slice(&answer.1).unwrap_or_else(|e| {
            SurfaceError::new(
                ErrorKind::Other,
                format!("unreadable error from the host: {e}"),
            )
        }))
    }
}

fn stopping() -> SurfaceError {
    SurfaceError::new(ErrorKind::Cancelled, "the account is stopping")
}

fn refused(code: i32) -> Res<()> {
    match code {
        rc::OK => Ok(()),
        rc::CLOSED => Err(stopping()),
        rc::BUSY => Err(SurfaceError::new(ErrorKind::Transient, "the host is busy")),
        code => Err(SurfaceError::new(
            ErrorKind::Other,
            format!("the host refused a frame: {code}"),
        )),
    }
}

fn encode(value: &impl serde::Serialize) -> Res<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| {
        SurfaceError::new(
            ErrorKind::InvalidRequest,
            format!("message cannot be encoded: {e}"),
        )
    })
}

/// An instance's handle to the host.
#[derive(Clone)]
pub struct Cx(pub(crate) Arc<Shared>);

impl Cx {
    /// The account's id in the gateway's configuration.
    pub fn account(&self) -> &str {
        self.0.account.get().map_or("", |(account, _)| account)
    }

    /// The message schema the host speaks, `1.N`.
    pub fn host_api(&self) -> &str {
        self.0.account.get().map_or("", |(_, host)| &host.api)
    }

    /// Where a provider reaches this account's http path; `None` if the gateway has no address.
    pub fn webhook_url(&self, path: &str) -> Option<String> {
        let base = self.0.account.get()?.1.webhook_base.as_ref()?;
        Some(format!(
            "{}/{}",
            base.trim_end_matches('/'),
            path.trim_start_matches('/')
        ))
    }

    /// Hands an event to the host and waits until the host has it on disk: after `Ok` the provider
    /// may be told that the message was taken. Waits for a credit first, so a slow gateway slows
    /// the provider's loop; at most 64 events of an instance are under way.
    ///
    /// # Errors
    /// `Cancelled` when the account stops, the host's own refusal otherwise: then it is not on
    /// disk and may be emitted again.
    pub async fn emit(&self, event: Event) -> Res<()> {
        self.emit_with(event, Media::new()).await
    }

    /// The same with the bytes of inline attachments.
    ///
    /// # Errors
    /// As [`Cx::emit`].
    pub async fn emit_with(&self, event: Event, media: Media) -> Res<()> {
        self.emit_raw(&encode(&event)?, media).await
    }

    /// Emits a body as it is. For tests of the boundary.
    #[doc(hidden)]
    pub async fn emit_raw(&self, body: &[u8], media: Media) -> Res<()> {
        let credit = self.0.credits.acquire().await.map_err(|_| stopping())?;
        self.0
            .ask(kind::EVENT, body, media, Some(credit))
            .await
            .map(|_| ())
    }

    /// Sends any frame, past credits and answers. For tests of the boundary.
    #[doc(hidden)]
    pub fn raw_frame(&self, kind: u32, id: u64, body: &[u8]) -> i32 {
        self.0.line.deliver(kind, id, 0, body, Media::new())
    }

    /// Hands an event to the host without waiting or proof, for what is only of this moment
    /// (typing, presence). `false`: no credit was left, it is dropped.
    pub fn try_emit(&self, event: Event) -> bool {
        let Ok(body) = encode(&event) else {
            return false;
        };
        let Ok(permit) = self.0.credits.try_acquire() else {
            return false;
        };
        let taken = self.0.line.deliver(kind::EVENT, 0, 0, &body, Media::new()) == rc::OK;
        if taken {
            permit.forget();
        }
        taken
    }

    /// How many events could be emitted without waiting.
    pub fn credits(&self) -> usize {
        self.0.credits.available_permits()
    }

    /// Reads one value of this account's state.
    ///
    /// # Errors
    /// The host's, such as `Cancelled` when the account stops.
    pub async fn kv_get(&self, key: &str) -> Res<Option<Media>> {
        match self
            .call(
                HostCall::KvGet {
                    key: key.to_owned(),
                },
                Media::new(),
            )
            .await?
        {
            (HostReply::Value { found }, blob) => Ok(found.then_some(blob)),
            (other, _) => Err(unexpected(&other)),
        }
    }

    /// Writes one value; `Ok` means it is on disk.
    ///
    /// # Errors
    /// The host's, such as `TooLarge` when the account's quota is used up.
    pub async fn kv_put(&self, key: &str, value: impl Into<Media>) -> Res<()> {
        self.call(
            HostCall::KvPut {
                key: key.to_owned(),
            },
            value.into(),
        )
        .await
        .map(|_| ())
    }

    /// Forgets one value; it need not exist.
    ///
    /// # Errors
    /// The host's.
    pub async fn kv_del(&self, key: &str) -> Res<()> {
        self.call(
            HostCall::KvDel {
                key: key.to_owned(),
            },
            Media::new(),
        )
        .await
        .map(|_| ())
    }

    /// The keys of this account that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// The host's.
    pub async fn kv_list(&self, prefix: &str) -> Res<Vec<String>> {
        match self
            .call(
                HostCall::KvList {
                    prefix: prefix.to_owned(),
                },
                Media::new(),
            )
            .await?
        {
            (HostReply::Keys { keys }, _) => Ok(keys),
            (other, _) => Err(unexpected(&other)),
        }
    }

    async fn call(&self, call: HostCall, blob: Media) -> Res<(HostReply, Media)> {
        let (_, body, blob) = self
            .0
            .ask(kind::REQUEST, &encode(&call)?, blob, None)
            .await?;
        let reply = serde_json::from_slice(&body).map_err(|e| {
            SurfaceError::new(
                ErrorKind::Other,
                format!("unreadable answer from the host: {e}"),
            )
        })?;
        Ok((reply, blob))
    }

    /// Runs a task beside the account. It is dropped at its next `.await` when the account stops;
    /// a panic in it is reported to the host, which starts the account anew.
    pub fn spawn<F>(&self, name: &str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (shared, name) = (self.0.clone(), name.to_owned());
        let task = barrier::Caught::new(future);
        let guarded = log::of_account(self.0.clone(), async move {
            let ended = tokio::select! {
                () = shared.stopping.cancelled() => return,
                ended = task => ended,
            };
            if let Err(text) = ended {
                barrier::report_fatal(&*shared.line, &name, &text);
            }
        });
        self.0.tasks.spawn_on(guarded, &self.0.runtime);
    }

    /// Resolves when the account stops.
    pub async fn cancelled(&self) {
        self.0.stopping.cancelled().await;
    }
}

fn unexpected(reply: &HostReply) -> SurfaceError {
    SurfaceError::new(
        ErrorKind::Other,
        format!("unexpected answer from the host: {reply:?}"),
    )
}
