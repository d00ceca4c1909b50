//! The trait a plugin's author implements. One value of it is one account.
//!
//! The SDK calls it from its own runtime: each operation runs as a task, several at a time, and a
//! task is dropped at its next `.await` when the host gives up on it. A panic in any method is
//! caught, reported to the host as `ErrorKind::Panic`, and the instance goes on.

use std::fmt;
use std::future::Future;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cx::Cx;
use crate::message::{
    DirectoryEntry, Edit, HttpRequest, HttpResponse, LoginRequest, Media, MediaFile,
    OutboundMessage, Poll, ProbeReport, React, SendReceipt, StopReason, SurfaceError,
};

/// What every operation gives.
pub type Res<T> = Result<T, SurfaceError>;

/// A messaging surface. Write plain `async fn`s; only `start` and `send` are needed, every other
/// operation answers `unsupported` until it is written (and declared in `plugin.json`).
pub trait Surface: Sized + Send + Sync + 'static {
    /// An account's configuration, as the manifest's `configSchema` describes it.
    type Config: DeserializeOwned + Send;

    /// Begins serving an account. Return soon: what lasts goes into [`Cx::spawn`]. An error of kind
    /// `Auth` or `Config` stops the account; any other is tried again later.
    fn start(config: Self::Config, cx: Cx) -> impl Future<Output = Res<Self>> + Send;

    /// Sends one message; `media` holds its inline attachments.
    fn send(
        &self,
        message: OutboundMessage,
        media: Media,
    ) -> impl Future<Output = Res<SendReceipt>> + Send;

    /// Gives a sent message another text.
    fn edit(&self, _edit: Edit) -> impl Future<Output = Res<()>> + Send {
        async { Err(SurfaceError::unsupported("edit")) }
    }

    /// Takes a sent message back.
    fn unsend(&self, _chat: String, _message_id: String) -> impl Future<Output = Res<()>> + Send {
        async { Err(SurfaceError::unsupported("unsend")) }
    }

    /// Puts a reaction on a message or takes it away.
    fn react(&self, _react: React) -> impl Future<Output = Res<()>> + Send {
        async { Err(SurfaceError::unsupported("react")) }
    }

    /// Sends a poll.
    fn poll(&self, _to: String, _poll: Poll) -> impl Future<Output = Res<SendReceipt>> + Send {
        async { Err(SurfaceError::unsupported("poll")) }
    }

    /// Shows that the account writes, or stopped.
    fn typing(
        &self,
        _chat: String,
        _thread_id: Option<String>,
        _on: bool,
    ) -> impl Future<Output = Res<()>> + Send {
        async { Err(SurfaceError::unsupported("typing")) }
    }

    /// Tells the other side that its message was read.
    fn mark_read(
        &self,
        _chat: String,
        _message_id: String,
    ) -> impl Future<Output = Res<()>> + Send {
        async { Err(SurfaceError::unsupported("mark_read")) }
    }

    /// One of the manifest's `actions:` (pin, member-info, ...).
    fn action(&self, name: String, _args: Value) -> impl Future<Output = Res<Value>> + Send {
        async move { Err(SurfaceError::unsupported(&format!("action {name}"))) }
    }

    /// Fetches the bytes of an attachment that came with a `remoteRef`.
    fn fetch_media(&self, _remote_ref: String) -> impl Future<Output = Res<MediaFile>> + Send {
        async { Err(SurfaceError::unsupported("fetch_media")) }
    }

    /// Searches chats and people.
    fn directory(&self, _query: String) -> impl Future<Output = Res<Vec<DirectoryEntry>>> + Send {
        async { Err(SurfaceError::unsupported("directory")) }
    }

    /// Begins a login and returns at once; its steps are emitted as `Event::Login`.
    fn login(&self, _login: LoginRequest) -> impl Future<Output = Res<()>> + Send {
        async { Err(SurfaceError::unsupported("login")) }
    }

    /// The operator's answer to a login prompt.
    fn login_input(&self, _field: String, _value: Secret) -> impl Future<Output = Res<()>> + Send {
        async { Err(SurfaceError::unsupported("login_input")) }
    }

    /// Forgets the login.
    fn logout(&self) -> impl Future<Output = Res<()>> + Send {
        async { Err(SurfaceError::unsupported("logout")) }
    }

    /// A provider called one of the manifest's http paths. Verify its signature here.
    fn http(
        &self,
        _request: HttpRequest,
        _body: Media,
    ) -> impl Future<Output = Res<HttpResponse>> + Send {
        async { Err(SurfaceError::unsupported("http")) }
    }

    /// How is the account doing? Asked now and then and by `channels.status`.
    fn probe(&self) -> impl Future<Output = Res<ProbeReport>> + Send {
        async { Err(SurfaceError::unsupported("probe")) }
    }

    /// The account ends: say goodbye to the provider. Spawned tasks are ended after it returns.
    fn stop(&self, _why: StopReason) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A text that never shows itself: `Debug` prints `***`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
