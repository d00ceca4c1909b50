//! Sessions on disk, and the types of what they hold; their messages are in [`super::transcripts`].
//!
//! Called by `crate::sessions` alone. One table: the row of each session by its key; its order by
//! time is in [`super::session_order`].

use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::session_order as order;
use super::tables::SESSIONS;
use super::transcripts::{self, Extent};
use super::{Store, StoreError, decode, get_json};

/// One session as stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SessionRow {
    /// Names the transcript; a reset gives a new one.
    pub session_id: String,
    /// Transcripts before a reset, the oldest first: what was used in them still counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
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
    /// Ids under which programs that answer keep this conversation, by the runner's name.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub memories: std::collections::BTreeMap<String, String>,
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
#[allow(
    clippy::large_enum_variant,
    reason = "rows are read, used and gone; half of them are of the largest kind"
)]
pub enum BodyRow {
    /// A person or client.
    User(InputRow),
    /// The agent, or the gateway in its name.
    Assistant(AssistantRow),
    /// A tool that the agent called.
    Tool(ToolRow),
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AssistantRow {
    /// The text; empty when the model failed before its first word.
    pub text: String,
    /// What the model thought first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thoughts: Vec<ThoughtRow>,
    /// The tools it called with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallRow>,
    /// The wire the model was reached by.
    pub api: String,
    /// The provider; `openclaw` for texts of the gateway.
    pub provider: String,
    /// The model; `gateway-injected` or `delivery-mirror` for texts of the gateway.
    pub model: String,
    /// What it cost.
    pub tokens: TokensRow,
    /// `stop`, `length`, `toolUse`, `error` or `aborted`.
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

/// What the model thought before it spoke.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ThoughtRow {
    /// The text; empty when the provider hides it.
    pub text: String,
    /// The provider's seal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
    /// All of it lies in the seal.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CallRow {
    /// The provider's id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments, as the model wrote them.
    pub arguments: serde_json::Value,
}

/// What a tool answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ToolRow {
    /// The call it answers.
    pub call_id: String,
    /// The tool.
    pub name: String,
    /// The answer.
    pub text: String,
    /// It failed.
    pub is_error: bool,
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
        let old = row_in(txn, &key)?;
        let row = change(old, &Others { txn, key: &key })?;
        put_row(txn, &key, &row)?;
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

/// Writes a session's row: the only place that does.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn put_row(
    txn: &WriteTransaction,
    key: &str,
    row: &SessionRow,
) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(row).map_err(|e| StoreError::Io(Box::new(e)))?;
    let was = {
        let mut table = txn.open_table(SESSIONS)?;
        let old = table.insert(key, bytes.as_slice())?;
        old.and_then(|old| order::changed_at(old.value()))
    };
    order::moved(txn, key, was, Some(row.updated_at))
}

/// Takes a session's row out: the only place that does. True when there was one.
fn remove_row(txn: &WriteTransaction, key: &str) -> Result<bool, StoreError> {
    let was = {
        let mut table = txn.open_table(SESSIONS)?;
        let Some(old) = table.remove(key)? else {
            return Ok(false);
        };
        order::changed_at(old.value())
    };
    order::moved(txn, key, was, None)?;
    Ok(true)
}

/// Reads a session's row inside a write.
///
/// # Errors
/// [`StoreError`] when the database fails or the row is damaged.
pub(super) fn row_in(txn: &WriteTransaction, key: &str) -> Result<Option<SessionRow>, StoreError> {
    get_json(&txn.open_table(SESSIONS)?, "sessions", key)
}

/// What a deletion found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The session is gone.
    Gone,
    /// There was none.
    Unknown,
    /// Its transcript is another one or longer than the caller has seen; nothing was done.
    Changed,
}

/// Takes out the session of `key`, and its transcript too if `with_transcript`: provided that the
/// transcript still is `seen`, so that no message goes that the caller has not kept elsewhere.
///
/// # Errors
/// [`StoreError`] when the database fails or the row is damaged.
pub async fn delete(
    store: &Store,
    key: &str,
    seen: Extent,
    with_transcript: bool,
) -> Result<Deleted, StoreError> {
    let key = key.to_owned();
    let job = move |txn: &WriteTransaction| {
        let Some(row) = row_in(txn, &key)? else {
            return Ok(Deleted::Unknown);
        };
        if transcripts::extent_in(txn, &row.session_id)? != seen {
            return Ok(Deleted::Changed);
        }
        if with_transcript {
            transcripts::remove_in(txn, &row.session_id)?;
        }
        remove_row(txn, &key)?;
        Ok(Deleted::Gone)
    };
    store.write(job).await
}

/// Takes out the session of `key` and its transcript, unless it has changed since `before_ms` or
/// the session of `owner` still has that transcript. False when it was left as it is.
///
/// # Errors
/// [`StoreError`] when the database fails or a row is damaged.
pub async fn forget(
    store: &Store,
    key: String,
    owner: String,
    before_ms: u64,
) -> Result<bool, StoreError> {
    let job = move |txn: &WriteTransaction| {
        let Some(row) = row_in(txn, &key)?.filter(|row| row.updated_at < before_ms) else {
            return Ok(false);
        };
        let owner = row_in(txn, &owner)?;
        if owner.is_some_and(|owner| owner.session_id == row.session_id) {
            return Ok(false);
        }
        transcripts::remove_in(txn, &row.session_id)?;
        remove_row(txn, &key)
    };
    store.write(job).await
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
