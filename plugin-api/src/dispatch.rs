//! One instance inside the plugin: frames in, operations of the author's [`Surface`] out.
//!
//! `runtime` feeds it from the C functions, `testkit` from a mock host; nothing here is unsafe.
//! Every operation is a task of the library's runtime, behind the panic barrier, and ends with
//! exactly one RESPONSE: its result, its error, `Panic` or `Cancelled`.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use gateway_plugin_abi::{kind, rc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::barrier::Caught;
use crate::cx::{Cx, HostLine, Shared};
use crate::log;
use crate::manifest::{API_MAJOR, API_MINOR};
use crate::message::{ErrorKind, Media, Op, OpResult, StartRequest, StopReason, SurfaceError};
use crate::surface::{Res, Secret, Surface};

/// How long spawned tasks may take to end after `stop` returned.
const TASKS_GRACE: Duration = Duration::from_secs(2);

/// One account's instance.
pub struct Dispatcher<S> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    shared: Arc<Shared>,
    surface: OnceLock<S>,
    running: Mutex<HashMap<u64, CancellationToken>>,
}

impl<S> Inner<S> {
    fn running(&self) -> MutexGuard<'_, HashMap<u64, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Surface> Dispatcher<S> {
    /// An instance that talks to `line` and works on `runtime`.
    pub fn new(line: Box<dyn HostLine>, runtime: tokio::runtime::Handle) -> Self {
        let shared = Shared::new(line, runtime);
        let inner = Inner {
            shared,
            surface: OnceLock::new(),
            running: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Alive as long as anything of the account is: its surface, or a handle to the host.
    pub(crate) fn remains(&self) -> Vec<Weak<dyn Any + Send + Sync>> {
        let surface: Weak<Inner<S>> = Arc::downgrade(&self.inner);
        let handle: Weak<Shared> = Arc::downgrade(&self.inner.shared);
        vec![surface, handle]
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }

    /// Takes one frame; never blocks. Answers a code of `abi::rc`.
    pub fn deliver(&self, what: u32, id: u64, status: i32, body: &[u8], blob: Media) -> i32 {
        let shared = &self.inner.shared;
        if shared.closed.is_cancelled() {
            return rc::CLOSED;
        }
        match what {
            kind::REQUEST => self.request(id, body.to_vec(), blob),
            kind::CANCEL => {
                if let Some(token) = self.inner.running().get(&id) {
                    token.cancel();
                }
            }
            kind::RESPONSE => shared.answered(id, (status, body.to_vec(), blob)),
            kind::CREDIT => shared
                .credits
                .add_permits(usize::try_from(id).unwrap_or(0).min(4_096)),
            _ => return rc::UNSUPPORTED,
        }
        rc::OK
    }

    fn request(&self, id: u64, body: Vec<u8>, blob: Media) {
        let token = CancellationToken::new();
        self.inner.running().insert(id, token.clone());
        let inner = self.inner.clone();
        let shared = &self.inner.shared;
        shared
            .runtime
            .spawn(log::of_account(shared.clone(), async move {
                let work = Caught::new(perform(inner.clone(), body, blob));
                let result = tokio::select! {
                    biased;
                    () = token.cancelled() => Err(cancelled("by the host")),
                    () = inner.shared.closed.cancelled() => Err(cancelled("the account stops")),
                    caught = work => caught.unwrap_or_else(|text| {
                        Err(SurfaceError::new(ErrorKind::Panic, text))
                    }),
                };
                inner.running().remove(&id);
                respond(&inner.shared, id, result);
            }));
    }

    /// Ends the instance: no frame leaves it afterwards, everything of it is dropped.
    pub fn close(&self) {
        self.inner.shared.close();
    }
}

fn cancelled(why: &str) -> SurfaceError {
    SurfaceError::new(ErrorKind::Cancelled, format!("cancelled: {why}"))
}

fn respond(shared: &Shared, id: u64, result: Res<OpResult>) {
    let (status, body, blob) = match result {
        Ok(mut result) => {
            let blob = match &mut result {
                OpResult::Media(file) => std::mem::take(&mut file.bytes),
                OpResult::Http(response) => std::mem::take(&mut response.body),
                _ => Media::new(),
            };
            (0, serde_json::to_vec(&result), blob)
        }
        Err(error) => (1, serde_json::to_vec(&error), Media::new()),
    };
    shared
        .line
        .deliver(kind::RESPONSE, id, status, &body.unwrap_or_default(), blob);
}

async fn perform<S: Surface>(inner: Arc<Inner<S>>, body: Vec<u8>, blob: Media) -> Res<OpResult> {
    let op: Op = serde_json::from_slice(&body).map_err(|e| {
        SurfaceError::new(
            ErrorKind::InvalidRequest,
            format!("operation cannot be read: {e}"),
        )
    })?;
    match op {
        Op::Start(request) => start(&inner, request).await,
        Op::Ping => Ok(OpResult::Pong {
            api: format!("{API_MAJOR}.{API_MINOR}"),
        }),
        Op::Unknown => Err(SurfaceError::unsupported("this operation")),
        Op::Stop { why } => {
            stop(&inner, why).await;
            Ok(OpResult::Done)
        }
        op => {
            let surface = inner.surface.get().ok_or_else(|| {
                SurfaceError::new(ErrorKind::NotConnected, "the account is not started")
            })?;
            ask(surface, op, blob).await
        }
    }
}

async fn start<S: Surface>(inner: &Inner<S>, request: StartRequest) -> Res<OpResult> {
    let again = || SurfaceError::new(ErrorKind::InvalidRequest, "the account was started before");
    log::set_level(&request.host.log_level);
    let account = (request.account, request.host);
    inner.shared.account.set(account).map_err(|_| again())?;
    let config: S::Config = serde_json::from_value(request.config)
        .map_err(|e| SurfaceError::new(ErrorKind::Config, e.to_string()))?;
    let surface = S::start(config, Cx(inner.shared.clone())).await?;
    inner.surface.set(surface).map_err(|_| again())?;
    Ok(OpResult::Done)
}

async fn stop<S: Surface>(inner: &Inner<S>, why: StopReason) {
    if let Some(surface) = inner.surface.get() {
        surface.stop(why).await;
    }
    inner.shared.stopping.cancel();
    inner.shared.tasks.close();
    tokio::time::timeout(TASKS_GRACE, inner.shared.tasks.wait())
        .await
        .ok();
}

async fn ask<S: Surface>(surface: &S, op: Op, blob: Media) -> Res<OpResult> {
    match op {
        Op::Send(message) => surface.send(message, blob).await.map(OpResult::Sent),
        Op::Edit(edit) => done(surface.edit(edit)).await,
        Op::Unsend { chat, message_id } => done(surface.unsend(chat, message_id)).await,
        Op::React(react) => done(surface.react(react)).await,
        Op::Poll { to, poll } => surface.poll(to, poll).await.map(OpResult::Sent),
        Op::Typing {
            chat,
            thread_id,
            on,
        } => done(surface.typing(chat, thread_id, on)).await,
        Op::MarkRead { chat, message_id } => done(surface.mark_read(chat, message_id)).await,
        Op::Action { name, args } => value(surface.action(name, args)).await,
        Op::FetchMedia { remote_ref } => surface.fetch_media(remote_ref).await.map(OpResult::Media),
        Op::Directory { query } => surface
            .directory(query)
            .await
            .map(|entries| OpResult::Directory { entries }),
        Op::Login(login) => done(surface.login(login)).await,
        Op::LoginInput { field, value } => {
            done(surface.login_input(field, Secret::new(value))).await
        }
        Op::Logout => done(surface.logout()).await,
        Op::Http(request) => surface.http(request, blob).await.map(OpResult::Http),
        Op::Probe => surface.probe().await.map(OpResult::Probe),
        Op::Start(_) | Op::Stop { .. } | Op::Ping | Op::Unknown => {
            Err(SurfaceError::unsupported("this operation"))
        }
    }
}

async fn done(work: impl Future<Output = Res<()>>) -> Res<OpResult> {
    work.await.map(|()| OpResult::Done)
}

async fn value(work: impl Future<Output = Res<Value>>) -> Res<OpResult> {
    work.await.map(|value| OpResult::Value { value })
}
