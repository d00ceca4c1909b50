//! What the gateway and a plugin say to each other, as plain serde types.
//!
//! Every type here travels as JSON in the body of a frame. Plugins use them through the
//! [`Surface`](crate::surface::Surface) trait; the host decodes and encodes them in its account
//! tasks. The promise that lets old plugins meet new gateways and the other way round:
//! * a struct only ever gains fields, each with a default, and readers skip what they do not know;
//! * an enum only ever gains variants, and what a reader does not know becomes `Unknown`;
//! * nothing is renamed, retyped, removed or given another meaning.
//!
//! Fields are camelCase on the wire, variants snake_case, times are milliseconds since 1970.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Bytes that travel beside a body without being copied (an image, a request's content).
pub type Media = bytes::Bytes;

/// Who wrote something: a person, a bot, the account itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Peer {
    /// The provider's stable id, never a display name.
    pub id: String,
    /// The name people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The provider's handle or user name, without decoration such as `@`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// Is it a machine? Absent if the provider does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_bot: Option<bool>,
}

/// What kind of room a chat is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// Two parties.
    #[default]
    Direct,
    /// Several people who all may write.
    Group,
    /// A broadcast room or a server's channel.
    Channel,
    /// A thread that is a chat of its own.
    Thread,
    /// Something a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// Where something was written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Chat {
    /// The provider's id; giving it back as [`OutboundMessage::to`] must reach this chat.
    pub id: String,
    /// Direct, group, channel or thread.
    pub kind: ChatKind,
    /// The title people see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The topic or thread inside the chat.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// A file that belongs to a message: either in the frame's blob or to be fetched later.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Attachment {
    /// Its media type, `application/octet-stream` if unknown.
    pub mime: String,
    /// The name it was sent under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// Its size in bytes, 0 if unknown.
    pub size: u64,
    /// Offset and length inside the frame's blob, when the bytes came along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline: Option<(u64, u64)>,
    /// Otherwise what [`Op::FetchMedia`] takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_ref: Option<String>,
}

impl Attachment {
    /// The bytes of this attachment inside `blob`; `None` if it is not inline or out of range.
    pub fn bytes(&self, blob: &Media) -> Option<Media> {
        let (offset, len) = self.inline?;
        let end = offset.checked_add(len)?;
        if end > blob.len() as u64 {
            return None;
        }
        Some(blob.slice(offset as usize..end as usize))
    }
}

/// A message somebody wrote on the surface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InboundMessage {
    /// The provider's id, unique inside the chat. The gateway answers each id once.
    pub id: String,
    /// Where it was written.
    pub chat: Chat,
    /// Who wrote it.
    pub sender: Peer,
    /// When, as the provider says; 0 if it does not.
    pub at_ms: u64,
    /// The text, empty for a message of attachments only.
    pub text: String,
    /// Its files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The id of the message it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Ids of those it names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// Does it name the account itself, or answer one of its messages?
    pub mentions_me: bool,
    /// When it was last edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited_ms: Option<u64>,
    /// Who wrote it first, if it was forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forwarded_from: Option<Peer>,
    /// What only this surface has; the gateway stores it and looks at nothing inside.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub native: Value,
}

/// What happened on the surface. A plugin emits these.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// A new message.
    Message(InboundMessage),
    /// A message has another content now.
    Edited(InboundMessage),
    /// A message is gone.
    Deleted {
        /// The chat's id.
        chat: String,
        /// The message's id.
        message_id: String,
    },
    /// Somebody reacted, or took a reaction back.
    Reaction {
        /// The chat's id.
        chat: String,
        /// The message's id.
        message_id: String,
        /// Who did.
        sender: Peer,
        /// The emoji or the provider's name for it.
        emoji: String,
        /// Was it taken back?
        #[serde(default)]
        removed: bool,
    },
    /// What became of a message sent by this account.
    Receipt {
        /// The chat's id.
        chat: String,
        /// The message's id.
        message_id: String,
        /// Its new state.
        state: ReceiptState,
        /// When.
        #[serde(default)]
        at_ms: u64,
    },
    /// Somebody writes, or stopped.
    Typing {
        /// The chat's id.
        chat: String,
        /// Who.
        sender: Peer,
        /// Started or stopped.
        on: bool,
    },
    /// Somebody came or went.
    Presence {
        /// Who.
        peer: Peer,
        /// Here or away.
        online: bool,
    },
    /// A poll was opened.
    Poll {
        /// The chat's id.
        chat: String,
        /// The message that carries it.
        message_id: String,
        /// Question and options.
        poll: Poll,
    },
    /// Somebody voted.
    PollVote {
        /// The chat's id.
        chat: String,
        /// The message that carries the poll.
        message_id: String,
        /// Who.
        voter: Peer,
        /// Positions of the chosen options; empty means the vote was taken back.
        options: Vec<u32>,
    },
    /// Somebody joined, left or got another role in a chat.
    Membership {
        /// The chat.
        chat: Chat,
        /// Who.
        peer: Peer,
        /// What changed.
        change: MembershipChange,
    },
    /// The account's connection to its provider changed.
    Connection(ConnectionState),
    /// A login went a step further.
    Login(LoginUpdate),
    /// Who this account is, once the provider told.
    Account(AccountUpdate),
    /// Something a newer plugin knows: counted and dropped.
    #[serde(other)]
    Unknown,
}

/// What became of a sent message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// The provider has it.
    Sent,
    /// The other side has it.
    Delivered,
    /// The other side has read it.
    Read,
    /// It will not arrive.
    Failed,
    /// Something a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// What changed about a chat's member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MembershipChange {
    /// Came in.
    Joined,
    /// Left by itself.
    Left,
    /// Was removed.
    Removed,
    /// Has another role.
    Role,
    /// Something a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// A question with options.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Poll {
    /// The question.
    pub question: String,
    /// What can be chosen.
    pub options: Vec<String>,
    /// How many options one voter may choose, at least 1.
    pub max_choices: u32,
    /// How long it stays open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_ms: Option<u64>,
}

/// How an account stands with its provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// On its way, or trying again.
    #[default]
    Connecting,
    /// Messages flow.
    Connected,
    /// Messages flow, with trouble.
    Degraded,
    /// The provider no longer accepts the credentials.
    LoggedOut,
    /// Ended on purpose.
    Stopped,
    /// Something a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// A change of an account's connection. Counters and times are kept by the gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConnectionState {
    /// Where it stands now.
    pub state: Link,
    /// Why, for the operator; never a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The provider's status code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<i64>,
    /// Which attempt to reconnect this is, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconnect_attempt: Option<u32>,
    /// Did the provider end the login?
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logged_out: Option<bool>,
}

impl ConnectionState {
    /// A state with nothing else to say.
    pub fn of(state: Link) -> Self {
        Self {
            state,
            ..Self::default()
        }
    }

    /// The same with a reason for the operator.
    pub fn because(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// A step of a login under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "step",
    rename_all = "snake_case",
    rename_all_fields = "camelCase"
)]
pub enum LoginUpdate {
    /// Show this as a QR code (`data` is the raw content).
    Qr {
        /// What the code says.
        data: String,
        /// How long it is good.
        #[serde(default)]
        expires_ms: u64,
    },
    /// Show this code, to be typed on the other device.
    PairingCode {
        /// The code.
        code: String,
    },
    /// Ask the operator; the answer comes back as [`Op::LoginInput`].
    Prompt {
        /// Which field.
        field: String,
        /// What to ask.
        label: String,
        /// Hide what is typed?
        #[serde(default)]
        secret: bool,
    },
    /// Logged in.
    Done {
        /// As whom.
        account: Peer,
    },
    /// It failed.
    Failed {
        /// Why.
        reason: String,
    },
    /// Something a newer peer knows.
    #[serde(other)]
    Unknown,
}

/// Who the account is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AccountUpdate {
    /// The account itself as others see it.
    pub me: Peer,
    /// What else the provider tells about it.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub native: Value,
}

mod error;
mod op;

pub use error::*;
pub use op::*;
