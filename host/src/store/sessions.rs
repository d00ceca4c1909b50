//! Sessions and transcripts on disk.
//!
//! Called by `crate::sessions` alone. Two tables and an index: the row of each session by its
//! key, each message by `<session id>/<number>`, and messages that carry a key of their own by
//! `<session id>/<key>`, so that a repeated append finds what is there. Promises that appending a
//! message and updating its session's row are one transaction.

use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::tables::{SESSIONS, TRANSCRIPT_KEYS, TRANSCRIPTS};
use super::{Store, StoreError, decode, get_json, put_json};

/// One session as stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionRow {
    /// Names the transcript; a reset gives a new one.
    pub session_id: String,
    /// Last change, ms.
    pub updated_at: u64,
    /// Who talks here, as far as a provider said.
    pub chat: ChatFacts,
    /// Where the last message came from and answers go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<RouteRow>,
    /// What clients set; survives a reset.
    pub settings: SettingsRow,
    /// A run has begun in this session.
    pub system_sent: bool,
    /// The last run was aborted.
    pub aborted_last_run: bool,
    /// Provider of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// Model of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Context window of that model, tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// Tokens of the last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokensRow>,
}

/// What a provider told about the conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ChatFacts {
    /// `direct`, `group` or `channel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_type: Option<String>,
    /// Channel id (`telegram`), or `webchat` for WebSocket clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Name of the room or person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Subject of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Address of the sender, `<channel>:<id>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// Where an answer goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RouteRow {
    /// Channel id.
    pub channel: String,
    /// Target in the channel's own form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Account of the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// Thread or topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
}

/// What `sessions.patch` sets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SettingsRow {
    /// Name given by a client, unique.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Answer fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fast_mode: Option<bool>,
    /// Provider instead of the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_override: Option<String>,
    /// Model instead of the agent's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_override: Option<String>,
    /// Depth of a sub-agent's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spawn_depth: Option<u64>,
    /// The other settings by their wire name (`thinkingLevel`, `sendPolicy` …).
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub words: std::collections::BTreeMap<String, String>,
}

/// Tokens of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TokensRow {
    /// Prompt tokens not read from a cache.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// Prompt tokens read from a cache.
    pub cache_read: u64,
    /// Prompt tokens written to a cache.
    pub cache_write: u64,
    /// All of them.
    pub total: u64,
}

/// One message of a transcript.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRow {
    /// Eight hex digits, unique in the transcript for all practical purposes.
    pub id: String,
    /// A second append under the same key finds this message instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When it was said, ms.
    pub timestamp: u64,
    /// Who said what.
    #[serde(flatten)]
    pub body: BodyRow,
}

/// Who said what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase")]
pub enum BodyRow {
    /// A person or client.
    User(InputRow),
    /// The agent, or the gateway in its name.
    Assistant(AssistantRow),
}

/// What a person or client said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InputRow {
    /// The plain text, as clients see it.
    pub text: String,
    /// The text with its envelope, as the model reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Name of the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_label: Option<String>,
    /// Pictures that came along; their bytes are not kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageRow>,
}

/// A picture that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageRow {
    /// Its MIME type.
    pub mime_type: String,
    /// Its size.
    pub bytes: u64,
}

/// What the agent said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AssistantRow {
    /// The text; empty when the model failed before its first word.
    pub text: String,
    /// The wire the model was reached by.
    pub api: String,
    /// The provider; `openclaw` for texts of the gateway.
    pub provider: String,
    /// The model; `gateway-injected` or `delivery-mirror` for texts of the gateway.
    pub model: String,
    /// What it cost.
    pub tokens: TokensRow,
    /// `stop`, `length`, `error` or `aborted`.
    pub stop_reason: String,
    /// Why there is no (more) text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The key clients see on mirrored and aborted texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_key: Option<String>,
    /// Set when a client aborted the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<AbortRow>,
}

/// How a run was aborted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AbortRow {
    /// `rpc`, `stop-command` or `timeout`.
    pub origin: String,
    /// The run.
    pub run_id: String,
}

/// The row of `key`.
///
/// # Errors
/// [`StoreError`] when the database fails or the row is damaged.
pub fn get(store: &Store, key: &str) -> Result<Option<SessionRow>, StoreError> {
    store.read(|txn| get_json(&txn.open_table(SESSIONS)?, "sessions", key))
}

/// Every session with its key. A damaged row is left out and named in the log: it must not hide
/// the others.
///
/// # Errors
/// [`StoreError::Io`] when the database fails.
pub fn all(store: &Store) -> Result<Vec<(String, SessionRow)>, StoreError> {
    store.read(|txn| rows(&txn.open_table(SESSIONS)?))
}

fn rows(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Vec<(String, SessionRow)>, StoreError> {
    let mut found = Vec::new();
    for item in table.iter()? {
        let (key, value) = item?;
        match decode("sessions", key.value(), value.value()) {
            Ok(row) => found.push((key.value().to_owned(), row)),
            Err(error) => tracing::warn!(%error, "session left out"),
        }
    }
    Ok(found)
}

/// Changes the row of `key` in one transaction. `change` gets the row (if there is one) and all
/// others by a reader, and gives the row to store.
///
/// # Errors
/// What `change` refuses with, or [`StoreError`].
pub async fn update<C>(store: &Store, key: &str, change: C) -> Result<SessionRow, StoreError>
where
    C: FnOnce(Option<SessionRow>, &Others<'_>) -> Result<SessionRow, StoreError> + Send + 'static,
{
    let key = key.to_owned();
    let job = move |txn: &WriteTransaction| {
        let old = get_json(&txn.open_table(SESSIONS)?, "sessions", &key)?;
        let row = change(old, &Others { txn, key: &key })?;
        put_json(txn, SESSIONS, &key, &row)?;
        Ok(row)
    };
    store.write(job).await
}

/// Every session but the one being changed.
pub struct Others<'a> {
    txn: &'a WriteTransaction,
    key: &'a str,
}

impl Others<'_> {
    /// True when another session carries this label.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the database fails.
    pub fn use_label(&self, label: &str) -> Result<bool, StoreError> {
        let rows = rows(&self.txn.open_table(SESSIONS)?)?;
        let same = |row: &SessionRow| row.settings.label.as_deref() == Some(label);
        Ok(rows.iter().any(|(key, row)| key != self.key && same(row)))
    }
}

/// What an append did.
#[derive(Clone, Debug, PartialEq)]
pub struct Appended {
    /// The session's row afterwards.
    pub row: SessionRow,
    /// The message as it stands in the transcript.
    pub message: MessageRow,
    /// False when a message with the same key was there already and nothing was written.
    pub fresh: bool,
}

/// Appends a message to the transcript of `key`. `touch` gets the row (if there is one) and gives
/// the row to store with it, whose `session_id` says which transcript.
///
/// # Errors
/// What `touch` refuses with, or [`StoreError`].
pub async fn append<T>(
    store: &Store,
    key: &str,
    message: MessageRow,
    touch: T,
) -> Result<Appended, StoreError>
where
    T: FnOnce(Option<SessionRow>) -> Result<SessionRow, StoreError> + Send + 'static,
{
    let key = key.to_owned();
    store
        .write(move |txn| append_in(txn, &key, message, touch))
        .await
}

fn append_in(
    txn: &WriteTransaction,
    key: &str,
    message: MessageRow,
    touch: impl FnOnce(Option<SessionRow>) -> Result<SessionRow, StoreError>,
) -> Result<Appended, StoreError> {
    let old: Option<SessionRow> = get_json(&txn.open_table(SESSIONS)?, "sessions", key)?;
    let row = touch(old.clone())?;
    let index = message
        .key
        .as_ref()
        .map(|k| format!("{}/{k}", row.session_id));
    if let Some(index) = &index {
        let keys = txn.open_table(TRANSCRIPT_KEYS)?;
        let place: Option<String> = get_json(&keys, "transcript_keys", index)?;
        let table = txn.open_table(TRANSCRIPTS)?;
        let found = place
            .map(|place| get_json(&table, "transcripts", &place))
            .transpose()?;
        if let (Some(message), Some(row)) = (found.flatten(), old) {
            return Ok(Appended {
                row,
                message,
                fresh: false,
            });
        }
    }
    let place = next_place(txn, &row.session_id)?;
    put_json(txn, TRANSCRIPTS, &place, &message)?;
    if let Some(index) = index {
        put_json(txn, TRANSCRIPT_KEYS, &index, &place)?;
    }
    put_json(txn, SESSIONS, key, &row)?;
    Ok(Appended {
        row,
        message,
        fresh: true,
    })
}

fn next_place(txn: &WriteTransaction, session_id: &str) -> Result<String, StoreError> {
    let table = txn.open_table(TRANSCRIPTS)?;
    let (from, to) = bounds(session_id);
    let last = table
        .range(from.as_str()..to.as_str())?
        .next_back()
        .transpose()?;
    let number = last.and_then(|(place, _)| {
        let (_, number) = place.value().rsplit_once('/')?;
        u64::from_str_radix(number, 16).ok()
    });
    Ok(format!("{session_id}/{:016x}", number.map_or(0, |n| n + 1)))
}

/// The messages of a session id sort between these two; `0` follows `/`.
fn bounds(session_id: &str) -> (String, String) {
    (format!("{session_id}/"), format!("{session_id}0"))
}

/// The newest messages of a transcript, oldest first.
///
/// # Errors
/// [`StoreError`] when the database fails or a message is damaged.
pub fn tail(store: &Store, session_id: &str, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
    let (from, to) = bounds(session_id);
    store.read(|txn| {
        let table = txn.open_table(TRANSCRIPTS)?;
        let mut found = Vec::new();
        for item in table.range(from.as_str()..to.as_str())?.rev().take(limit) {
            let (place, value) = item?;
            found.push(decode("transcripts", place.value(), value.value())?);
        }
        found.reverse();
        Ok(found)
    })
}

/// The oldest messages of a transcript, oldest first.
///
/// # Errors
/// [`StoreError`] when the database fails or a message is damaged.
pub fn head(store: &Store, session_id: &str, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
    let (from, to) = bounds(session_id);
    store.read(|txn| {
        let table = txn.open_table(TRANSCRIPTS)?;
        let items = table.range(from.as_str()..to.as_str())?.take(limit);
        items
            .map(|item| {
                let (place, value) = item?;
                decode("transcripts", place.value(), value.value())
            })
            .collect()
    })
}

/// The message that was appended under `key`, if any.
///
/// # Errors
/// [`StoreError`] when the database fails or the message is damaged.
pub fn by_key(
    store: &Store,
    session_id: &str,
    key: &str,
) -> Result<Option<MessageRow>, StoreError> {
    let index = format!("{session_id}/{key}");
    store.read(|txn| {
        let keys = txn.open_table(TRANSCRIPT_KEYS)?;
        let Some(place) = get_json::<String>(&keys, "transcript_keys", &index)? else {
            return Ok(None);
        };
        get_json(&txn.open_table(TRANSCRIPTS)?, "transcripts", &place)
    })
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
