//! Operations the host asks for, their results, and the host's own services.
//!
//! Re-exported by `message`; split off only for length.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Attachment, Media, Peer, Poll};

/// How the text of a message is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextFormat {
    /// As it is.
    Plain,
    /// Markdown; the surface turns it into what its provider knows.
    #[default]
    Markdown,
    /// Something a newer host knows: treat it as plain.
    #[serde(other)]
    Unknown,
}

/// A message to be sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OutboundMessage {
    /// The chat's id, as [`Chat::id`](super::Chat::id) gave it or as the operator wrote it.
    pub to: String,
    /// The topic or thread inside the chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The id of the message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The text.
    pub text: String,
    /// How `text` is written.
    pub format: TextFormat,
    /// Files, each inline in the blob beside it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// A poll to be sent with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll: Option<Poll>,
    /// A provider's effect by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Deliver without a sound.
    #[serde(skip_serializing_if = "is_false")]
    pub silent: bool,
    /// The same key means the same message. Pass it on where the provider takes one; the gateway
    /// itself never sends a key twice unless it saw the first try fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

fn is_false(b: &bool) -> bool {
    !*b
}

/// Proof that a message was sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SendReceipt {
    /// The provider's id (of the last part, if the text had to be split).
    pub message_id: String,
    /// The chat it went to, where the provider says (a user name resolved to an id).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// When, as the provider says; 0 if it does not.
    pub at_ms: u64,
    /// What else the surface wants clients to see.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub native: Value,
}

/// Everything an instance needs to begin. The first operation it gets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StartRequest {
    /// The account's id in the gateway's configuration.
    pub account: String,
    /// The account's configuration, valid by the manifest's schema, secrets resolved.
    pub config: Value,
    /// Who is asking.
    pub host: HostInfo,
}

/// What a plugin may know about its host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HostInfo {
    /// The gateway's version.
    pub version: String,
    /// The message schema it speaks, `1.N`.
    pub api: String,
    /// How much to log: `error`, `warn`, `info`, `debug` or `trace`.
    pub log_level: String,
    /// What webhook paths are appended to, if the gateway can be reached from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_base: Option<String>,
}

/// Put a reaction on a message, or take it away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct React {
    /// The chat's id.
    pub chat: String,
    /// The message's id.
    pub message_id: String,
    /// The emoji or the provider's name for it.
    pub emoji: String,
    /// Take it away?
    pub remove: bool,
}

/// Give a sent message another text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Edit {
    /// The chat's id.
    pub chat: String,
    /// The message's id.
    pub message_id: String,
    /// The new text.
    pub text: String,
    /// How `text` is written.
    pub format: TextFormat,
}

/// A login to begin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LoginRequest {
    /// One of the manifest's login methods.
    pub method: String,
    /// Log in anew even if a login exists.
    pub force: bool,
}

/// A provider's call to one of the manifest's http paths. Its body is the blob.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRequest {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path below the plugin's own, with its query.
    pub path: String,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
}

/// The answer to an [`HttpRequest`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Headers to be sent.
    pub headers: Vec<(String, String)>,
    /// The body; travels as the blob.
    #[serde(skip)]
    pub body: Media,
}

/// A fetched file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MediaFile {
    /// Its media type.
    pub mime: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// Its content; travels as the blob.
    #[serde(skip)]
    pub bytes: Media,
}

/// How an account is doing, asked now and then.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProbeReport {
    /// Did the provider answer as it should?
    pub ok: bool,
    /// Who the account is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub me: Option<Peer>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What else the surface wants to tell.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub native: Value,
}

/// A chat or person found by a directory search.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DirectoryEntry {
    /// What to send to.
    pub id: String,
    /// The name people see.
    pub name: String,
    /// A chat's kind; direct for a person.
    pub kind: super::ChatKind,
}

/// Why an instance is being stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The gateway ends.
    #[default]
    Shutdown,
    /// The configuration or the library changed.
    Reload,
    /// The account was switched off.
    Disabled,
    /// It misbehaved and is started anew.
    Restart,
    /// Something a newer host knows.
    #[serde(other)]
    Unknown,
}

/// What the host asks of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Op {
    /// Begin.
    Start(StartRequest),
    /// Send a message.
    Send(OutboundMessage),
    /// Edit a sent message.
    Edit(Edit),
    /// Take a sent message back.
    Unsend {
        /// The chat's id.
        chat: String,
        /// The message's id.
        message_id: String,
    },
    /// React to a message.
    React(React),
    /// Send a poll.
    Poll {
        /// The chat's id.
        to: String,
        /// Question and options.
        poll: Poll,
    },
    /// Show that the account writes, or stopped.
    Typing {
        /// The chat's id.
        chat: String,
        /// The topic or thread inside the chat.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thread_id: Option<String>,
        /// Started or stopped.
        on: bool,
    },
    /// Tell the other side that its message was read.
    MarkRead {
        /// The chat's id.
        chat: String,
        /// The message's id.
        message_id: String,
    },
    /// One of the manifest's `actions:`, by name.
    Action {
        /// Which.
        name: String,
        /// Its arguments.
        #[serde(default)]
        args: Value,
    },
    /// Fetch an attachment's bytes.
    FetchMedia {
        /// As the attachment named it.
        remote_ref: String,
    },
    /// Search chats and people.
    Directory {
        /// Part of a name.
        query: String,
    },
    /// Begin a login; its steps come as events.
    Login(LoginRequest),
    /// The operator's answer to a login prompt.
    LoginInput {
        /// Which prompt.
        field: String,
        /// What was typed.
        value: String,
    },
    /// Forget the login.
    Logout,
    /// A provider called.
    Http(HttpRequest),
    /// How is the account doing?
    Probe,
    /// Is the plugin alive at all? Answered by the SDK.
    Ping,
    /// End.
    Stop {
        /// Why.
        #[serde(default)]
        why: StopReason,
    },
    /// Something a newer host knows: answered `unsupported`.
    #[serde(other)]
    Unknown,
}

/// What an operation gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "result",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum OpResult {
    /// It is done; there is nothing to tell.
    Done,
    /// A message was sent (send, poll).
    Sent(SendReceipt),
    /// Any value (action).
    Value {
        /// The value.
        #[serde(default)]
        value: Value,
    },
    /// A file; its bytes are the blob (fetch_media).
    Media(MediaFile),
    /// What a search found.
    Directory {
        /// The hits, best first.
        #[serde(default)]
        entries: Vec<DirectoryEntry>,
    },
    /// The answer to a provider; its body is the blob.
    Http(HttpResponse),
    /// How the account is doing.
    Probe(ProbeReport),
    /// Alive (ping).
    Pong {
        /// The message schema the plugin was built with, `1.N`.
        #[serde(default)]
        api: String,
    },
    /// Something a newer plugin knows.
    #[serde(other)]
    Unknown,
}

/// What an instance asks of the host. Values travel as the blob.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all_fields = "camelCase")]
pub enum HostCall {
    /// Read one value of this account.
    #[serde(rename = "kv.get")]
    KvGet {
        /// Its key.
        key: String,
    },
    /// Write one value; answered once it is on disk.
    #[serde(rename = "kv.put")]
    KvPut {
        /// Its key.
        key: String,
    },
    /// Forget one value; answered once that is on disk.
    #[serde(rename = "kv.del")]
    KvDel {
        /// Its key.
        key: String,
    },
    /// The keys of this account that begin so, sorted.
    #[serde(rename = "kv.list")]
    KvList {
        /// How they begin.
        prefix: String,
    },
    /// Something a newer plugin knows: answered `unsupported`.
    #[serde(other, rename = "unknown")]
    Unknown,
}

/// The host's answer to a [`HostCall`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "result",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum HostReply {
    /// It is done.
    Done,
    /// The value is the blob, if there is one.
    Value {
        /// Is there one? (An empty value is one.)
        #[serde(default)]
        found: bool,
    },
    /// Keys.
    Keys {
        /// Sorted.
        #[serde(default)]
        keys: Vec<String>,
    },
    /// Something a newer host knows.
    #[serde(other)]
    Unknown,
}

/// One line of a plugin's log.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LogRecord {
    /// 1 error, 2 warn, 3 info, 4 debug, 5 trace.
    pub level: u8,
    /// Where in the plugin.
    pub target: String,
    /// What.
    pub message: String,
    /// Its fields in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<(String, String)>,
}
