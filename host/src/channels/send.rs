//! Sending one message: from a request to what became of it.
//!
//! Called by `methods/send.rs`, and by whoever else has something to say to the world. The key
//! makes it happen once, over restarts too: a known key is answered with what became of the first.

use std::sync::Arc;

use super::status::Phase;
use super::{Account, Channels};
use crate::limits::SEND_EXPIRES_MS;
use crate::store::outbox::{self, Prepared, Receipt, State};
use crate::store::{StoreError, outbox::Entry};

/// A message to the world.
#[derive(Clone, Debug)]
pub struct SendRequest {
    /// The same key is the same message.
    pub key: String,
    /// Channel id.
    pub channel: String,
    /// Account; the channel's default one when absent.
    pub account: Option<String>,
    /// The provider's target.
    pub to: String,
    /// Thread or topic there.
    pub thread_id: Option<String>,
    /// The message it replies to.
    pub reply_to: Option<String>,
    /// The words.
    pub text: String,
}

/// A message that the provider took.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivered {
    /// The account it went through.
    pub account: String,
    /// What the provider said.
    pub receipt: Receipt,
}

/// Why a message was not delivered, or isn't known to be.
#[derive(Debug)]
pub enum SendError {
    /// No such channel.
    Channel(String),
    /// No such account.
    Account {
        /// The channel.
        channel: String,
        /// The account that was asked for.
        account: String,
    },
    /// The account doesn't run and won't by itself.
    NotRunning {
        /// The channel's name.
        label: String,
        /// The account.
        account: String,
        /// Why it doesn't run.
        why: Option<String>,
    },
    /// Too many messages wait for this account.
    Full {
        /// The account.
        account: String,
    },
    /// The request can't be fulfilled by anybody, such as a target that can't exist.
    Invalid(String),
    /// The provider did not take it.
    Failed(String),
    /// Nobody knows whether the provider took it.
    Unknown(String),
    /// The gateway stopped before the message met its end: it is sent after the next start, or
    /// unknown then.
    Stopping,
    /// The disk failed.
    Store(StoreError),
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Channel(id) => write!(f, "unsupported channel: {id}"),
            Self::Account { channel, account } => {
                write!(f, "unknown account \"{account}\" of channel {channel}")
            }
            Self::NotRunning {
                label,
                account,
                why,
            } => {
                write!(f, "{label} account \"{account}\" is not running")?;
                why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
            }
            Self::Full { account } => {
                write!(
                    f,
                    "too many messages wait for account \"{account}\": try again later"
                )
            }
            Self::Invalid(text) | Self::Failed(text) => f.write_str(text),
            Self::Unknown(text) => {
                write!(
                    f,
                    "delivery unknown, the message was not sent again: {text}"
                )
            }
            Self::Stopping => f.write_str("the gateway is stopping: ask again with the same key"),
            Self::Store(_) => f.write_str("the gateway could not store the message"),
        }
    }
}

impl SendError {
    /// True when the message has met its end: asking again with the same key changes nothing.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Invalid(_) | Self::Failed(_) | Self::Unknown(_))
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(e) => Some(e),
            _ => None,
        }
    }
}

impl From<StoreError> for SendError {
    fn from(e: StoreError) -> Self {
        SendError::Store(e)
    }
}

impl Channels {
    /// Sends a message and waits for its end. Dropping the future doesn't stop the message.
    ///
    /// # Errors
    /// [`SendError`]; its `Failed`, `Invalid` and `Unknown` are remembered under the key.
    pub async fn send(&self, request: SendRequest) -> Result<Delivered, SendError> {
        let account = self.find(&request)?;
        let room = account.post().try_room();
        let room = room.ok_or_else(|| SendError::Full {
            account: account.id().to_owned(),
        })?;
        let now_ms = self.inner.clock.now_ms();
        let entry = Entry {
            key: request.key,
            channel: account.channel().to_owned(),
            account: account.id().to_owned(),
            to: request.to,
            thread_id: request.thread_id,
            reply_to: request.reply_to,
            text: request.text,
            state: State::Prepared,
            attempts: 0,
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(SEND_EXPIRES_MS),
            updated_ms: now_ms,
        };
        let stored = entry.clone();
        match self
            .inner
            .store
            .write(move |txn| outbox::prepare(txn, &stored))
            .await?
        {
            Prepared::New(id) => {
                let told = account.post().wait(id);
                account.post().hand_in(id, &entry, room);
                finished(&account, told.await.ok())
            }
            Prepared::Known(id, _) => {
                let told = account.post().wait(id);
                // Read after asking to be told: what ends in between is seen here.
                let found = self.inner.store.read(|txn| outbox::get(txn, id))?;
                match found {
                    Some(found) if found.state.is_open() => finished(&account, told.await.ok()),
                    found => finished(&account, found.map(|entry| entry.state)),
                }
            }
        }
    }

    fn find(&self, request: &SendRequest) -> Result<Arc<Account>, SendError> {
        let board = self.board();
        let channel = board.channels.get(&request.channel);
        let channel = channel.ok_or_else(|| SendError::Channel(request.channel.clone()))?;
        let asked = request.account.as_deref();
        let Some(account) = channel.account(asked) else {
            let account = asked.unwrap_or(&channel.default_account).to_owned();
            return Err(SendError::Account {
                channel: request.channel.clone(),
                account,
            });
        };
        let status = account.status();
        if matches!(
            status.phase,
            Phase::Off | Phase::Stopped | Phase::Quarantined
        ) {
            return Err(SendError::NotRunning {
                label: channel.label.clone(),
                account: account.id().to_owned(),
                why: status.last_error,
            });
        }
        Ok(account.clone())
    }
}

fn finished(account: &Account, end: Option<State>) -> Result<Delivered, SendError> {
    match end {
        Some(State::Delivered { receipt }) => Ok(Delivered {
            account: account.id().to_owned(),
            receipt,
        }),
        Some(State::Failed {
            message,
            invalid: true,
        }) => Err(SendError::Invalid(message)),
        Some(State::Failed {
            message,
            invalid: false,
        }) => Err(SendError::Failed(message)),
        Some(State::Unknown { message }) => Err(SendError::Unknown(message)),
        Some(State::Prepared | State::Sending) | None => Err(SendError::Stopping),
    }
}
