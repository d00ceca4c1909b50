//! The inbound journal: what the world said to us and we have not answered yet.
//!
//! An account task appends a message before its plugin may acknowledge it to the provider; the
//! router closes the entry in the transaction that prepares the answer. So a crash at any point
//! loses nothing that was acknowledged, and what is still here after a start is routed again.
//! [`append`] also remembers the provider's message ids: a message that the provider delivers
//! again is [`Appended::Seen`] and never written twice.

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::tables::{JOURNAL, META, SEEN};
use super::{StoreError, decode, delete, get_json, put_json};
use crate::limits::{SEEN_MESSAGES_MAX, SEEN_PRUNE_SLACK};

const NEXT: &str = "journal.next";

/// Place of an entry: rises with arrival and is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct JournalId(u64);

impl JournalId {
    fn key(self) -> String {
        format!("{:020}", self.0)
    }
}

impl std::fmt::Display for JournalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One message that waits for its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The run that answers it. Fixed on arrival: a replay after a crash is the same run.
    pub run_id: String,
    /// Surface it came from.
    pub channel: String,
    /// Account it came to.
    pub account: String,
    /// When it was journalled, milliseconds.
    pub received_ms: u64,
    /// What was said.
    pub message: Message,
}

/// Kinds of conversation a message can belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    /// Two people.
    Direct,
    /// Several people.
    Group,
    /// A room or broadcast.
    Channel,
}

/// The message as the plugin reported it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// The provider's id; empty when it has none (then nothing is recognised as seen).
    pub id: String,
    /// The provider's id of the conversation.
    pub chat_id: String,
    /// What kind of conversation it is.
    pub chat_kind: ChatKind,
    /// Name of the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_title: Option<String>,
    /// Thread or topic in the conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Who said it.
    pub sender_id: String,
    /// Their display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    /// Their user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_handle: Option<String>,
    /// When it was said, by the provider's clock, milliseconds.
    pub at_ms: u64,
    /// The words; for media without words the router puts a placeholder.
    pub text: String,
    /// Media types of the attachments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
    /// The message it replies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The account was addressed: by name, or by a reply to one of its messages.
    #[serde(default)]
    pub mentions_me: bool,
}

/// What [`append`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Written; the router will find it.
    New(JournalId),
    /// The provider delivered it before; nothing was written.
    Seen,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SeenRow {
    at_ms: u64,
}

/// Writes a message that arrived, unless the same was written before.
///
/// # Errors
/// The store's own.
pub fn append(txn: &WriteTransaction, entry: &Entry) -> Result<Appended, StoreError> {
    let seen_key = seen_key(entry)?;
    if let Some(key) = &seen_key
        && txn.open_table(SEEN)?.get(key.as_str())?.is_some()
    {
        return Ok(Appended::Seen);
    }
    let id = JournalId(next_id(txn, NEXT)?);
    put_json(txn, JOURNAL, &id.key(), entry)?;
    if let Some(key) = &seen_key {
        put_json(
            txn,
            SEEN,
            key,
            &SeenRow {
                at_ms: entry.received_ms,
            },
        )?;
        forget_oldest(txn, SEEN_MESSAGES_MAX, SEEN_PRUNE_SLACK)?;
    }
    Ok(Appended::New(id))
}

/// Takes an entry out because its answer is decided. False when that had happened before: then
/// the caller must write nothing more.
///
/// # Errors
/// The store's own.
pub fn close(txn: &WriteTransaction, id: JournalId) -> Result<bool, StoreError> {
    delete(txn, JOURNAL, &id.key())
}

/// Lets several entries be answered by one run: a replay after a crash answers the same ones
/// together.
///
/// # Errors
/// The store's own.
pub fn share_run(
    txn: &WriteTransaction,
    ids: &[JournalId],
    run_id: &str,
) -> Result<(), StoreError> {
    for id in ids {
        let entry = get_json::<Entry>(&txn.open_table(JOURNAL)?, "journal", &id.key())?;
        if let Some(mut entry) = entry {
            entry.run_id = run_id.to_owned();
            put_json(txn, JOURNAL, &id.key(), &entry)?;
        }
    }
    Ok(())
}

/// True while the entry waits for its answer.
///
/// # Errors
/// The store's own.
pub fn is_open(txn: &WriteTransaction, id: JournalId) -> Result<bool, StoreError> {
    Ok(txn.open_table(JOURNAL)?.get(id.key().as_str())?.is_some())
}

/// Part of the journal, in order of arrival.
#[derive(Debug)]
pub struct Page {
    /// The readable entries.
    pub entries: Vec<(JournalId, Entry)>,
    /// Where the next page begins after; nothing when this one is empty.
    pub last: Option<JournalId>,
}

/// The next `max` entries after `after`. A damaged one is logged and left out.
///
/// # Errors
/// The store's own.
pub fn open_after(txn: &ReadTransaction, after: JournalId, max: usize) -> Result<Page, StoreError> {
    let table = txn.open_table(JOURNAL)?;
    let from = JournalId(after.0.saturating_add(1)).key();
    let mut page = Page {
        entries: Vec::new(),
        last: None,
    };
    for row in table.range(from.as_str()..)?.take(max) {
        let (key, value) = row?;
        let Ok(id) = key.value().parse().map(JournalId) else {
            let key = key.value();
            return Err(StoreError::Refused(format!(
                "journal key {key} is no number"
            )));
        };
        page.last = Some(id);
        match decode("journal", key.value(), value.value()) {
            Ok(entry) => page.entries.push((id, entry)),
            Err(e) => tracing::error!(error = %e, "journal entry left out"),
        }
    }
    Ok(page)
}

/// How many messages wait for an answer.
///
/// # Errors
/// The store's own.
pub fn open_count(txn: &ReadTransaction) -> Result<u64, StoreError> {
    Ok(txn.open_table(JOURNAL)?.len()?)
}

/// The next number of a sequence that survives restarts and never repeats.
pub(super) fn next_id(txn: &WriteTransaction, sequence: &str) -> Result<u64, StoreError> {
    let last: u64 = get_json(&txn.open_table(META)?, "meta", sequence)?.unwrap_or(0);
    put_json(txn, META, sequence, &(last + 1))?;
    Ok(last + 1)
}

/// A JSON list, because the parts are the provider's and may hold any separator.
fn seen_key(entry: &Entry) -> Result<Option<String>, StoreError> {
    let message = &entry.message;
    if message.id.is_empty() {
        return Ok(None);
    }
    let parts = [
        &entry.channel,
        &entry.account,
        &message.chat_id,
        &message.id,
    ];
    serde_json::to_string(&parts)
        .map(Some)
        .map_err(|e| StoreError::Io(Box::new(e)))
}

/// Keeps the seen ids bounded: once over the limit plus slack, the oldest go in one sweep.
fn forget_oldest(txn: &WriteTransaction, max: usize, slack: usize) -> Result<(), StoreError> {
    let mut table = txn.open_table(SEEN)?;
    let count = usize::try_from(table.len()?).unwrap_or(usize::MAX);
    if count <= max + slack {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(count);
    for row in table.iter()? {
        let (key, value) = row?;
        let at_ms = decode::<SeenRow>("seen", key.value(), value.value()).map_or(0, |r| r.at_ms);
        rows.push((at_ms, key.value().to_owned()));
    }
    rows.sort_unstable();
    for (_, key) in rows.iter().take(count - max) {
        table.remove(key.as_str())?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Store;

    pub(crate) fn entry(id: &str, text: &str) -> Entry {
        Entry {
            run_id: format!("run-{id}"),
            channel: "telegram".into(),
            account: "default".into(),
            received_ms: 1_000,
            message: Message {
                id: id.into(),
                chat_id: "777".into(),
                chat_kind: ChatKind::Direct,
                chat_title: None,
                thread_id: None,
                sender_id: "777".into(),
                sender_name: Some("Ada".into()),
                sender_handle: None,
                at_ms: 900,
                text: text.into(),
                media: Vec::new(),
                reply_to: None,
                mentions_me: false,
            },
        }
    }

    async fn add(store: &Store, entry: Entry) -> Appended {
        store.write(move |txn| append(txn, &entry)).await.unwrap()
    }

    fn open(store: &Store) -> Vec<String> {
        let page = store
            .read(|txn| open_after(txn, JournalId::default(), 100))
            .unwrap();
        page.entries
            .into_iter()
            .map(|(_, e)| e.message.text)
            .collect()
    }

    #[tokio::test]
    async fn what_was_not_answered_is_there_after_a_crash_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.redb");
        let store = Store::open(&path).unwrap();
        let Appended::New(first) = add(&store, entry("1", "one")).await else {
            panic!("seen")
        };
        add(&store, entry("2", "two")).await;
        add(&store, entry("3", "three")).await;
        assert!(store.write(move |txn| close(txn, first)).await.unwrap());
        store.close().await;
        drop(store);

        let store = Store::open(&path).unwrap();
        assert_eq!(open(&store), ["two", "three"]);
        assert!(
            !store.write(move |txn| close(txn, first)).await.unwrap(),
            "answered once only"
        );
        assert_eq!(add(&store, entry("1", "one")).await, Appended::Seen);
        let Appended::New(fourth) = add(&store, entry("4", "four")).await else {
            panic!("seen")
        };
        assert!(fourth > first);
    }

    #[tokio::test]
    async fn the_same_id_elsewhere_is_another_message() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
        add(&store, entry("1", "one")).await;
        let mut other = entry("1", "other chat");
        other.message.chat_id = "778".into();
        assert!(matches!(add(&store, other).await, Appended::New(_)));
        assert_eq!(add(&store, entry("1", "again")).await, Appended::Seen);
        for text in ["no id", "no id either"] {
            assert!(matches!(
                add(&store, entry("", text)).await,
                Appended::New(_)
            ));
        }
        assert_eq!(open(&store), ["one", "other chat", "no id", "no id either"]);
    }

    #[tokio::test]
    async fn ids_are_not_reused_when_the_journal_runs_empty() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
        let Appended::New(a) = add(&store, entry("1", "one")).await else {
            panic!("seen")
        };
        store.write(move |txn| close(txn, a)).await.unwrap();
        let Appended::New(b) = add(&store, entry("2", "two")).await else {
            panic!("seen")
        };
        assert!(b > a);
    }

    #[tokio::test]
    async fn seen_ids_are_bounded_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
        let fill = |txn: &WriteTransaction| {
            for n in 0..25 {
                let mut e = entry(&n.to_string(), "x");
                e.received_ms = n;
                append(txn, &e)?;
            }
            forget_oldest(txn, 20, 5)?;
            let with_slack = txn.open_table(SEEN)?.len()?;
            append(txn, &entry("25", "x"))?;
            forget_oldest(txn, 20, 5)?;
            Ok((with_slack, txn.open_table(SEEN)?.len()?))
        };
        assert_eq!(store.write(fill).await.unwrap(), (25, 20));
        assert!(matches!(
            add(&store, entry("0", "forgotten")).await,
            Appended::New(_)
        ));
        assert_eq!(add(&store, entry("24", "kept")).await, Appended::Seen);
    }
}
