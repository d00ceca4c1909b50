//! The outbox: every message to the world, from the decision to send it to what became of it.
//!
//! `prepared` → `sending` → `delivered` | `failed` | `unknown`, and from `sending` back to
//! `prepared` when it is certain that the provider did not take it. The state is on disk before
//! the step it announces is taken; so after a crash `prepared` is sent, and `sending` becomes
//! `unknown`, because nobody knows: it is shown and never sent again by itself.
//!
//! Finished entries stay for a while under their idempotency key, so that a client that repeats
//! a request after a restart gets the first answer instead of a second delivery.

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::journal::next_id;
use super::tables::{OUTBOX, OUTBOX_KEYS};
use super::{StoreError, decode, get_json, put_json};
use crate::limits::{OUTBOX_FINISHED_MAX, OUTBOX_PRUNE_SLACK};

const NEXT: &str = "outbox.next";

/// Place of an entry: rises with time and is never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutboxId(u64);

impl OutboxId {
    fn key(self) -> String {
        format!("{:020}", self.0)
    }
}

impl std::fmt::Display for OutboxId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One message to the world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Unique while remembered: `send:<key>` of a client, `reply:<run>:<n>` of the router.
    pub key: String,
    /// Surface it goes to.
    pub channel: String,
    /// Account it goes through.
    pub account: String,
    /// The provider's target.
    pub to: String,
    /// Thread or topic there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// The message it replies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// The words. Emptied once delivered: nobody needs them here any more.
    pub text: String,
    /// Where it stands.
    pub state: State,
    /// How often it was handed to the plugin.
    #[serde(default)]
    pub attempts: u32,
    /// When it was prepared, milliseconds.
    pub created_ms: u64,
    /// When it is given up if it could not be sent by then, milliseconds.
    pub expires_ms: u64,
    /// When the state last changed, milliseconds.
    pub updated_ms: u64,
}

/// Where an entry stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "camelCase")]
pub enum State {
    /// Decided, not given to the plugin (or refused in a way that makes a second try safe).
    Prepared,
    /// Given to the plugin, no answer yet.
    Sending,
    /// The provider took it.
    Delivered {
        /// What the provider said.
        receipt: Receipt,
    },
    /// The provider did not take it and will not be asked again.
    Failed {
        /// Why, for the sender.
        message: String,
        /// The sender asked for something impossible, such as a target that can't exist.
        #[serde(default)]
        invalid: bool,
    },
    /// Nobody knows whether the provider took it.
    Unknown {
        /// What happened.
        message: String,
    },
}

impl State {
    /// True while the entry still has somewhere to go.
    pub fn is_open(&self) -> bool {
        matches!(self, State::Prepared | State::Sending)
    }
}

/// Proof of sending.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The provider's id of the message.
    pub message_id: String,
    /// The provider's id of the chat, when it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// The provider's id of the channel or room, when it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<String>,
    /// The provider's address of the receiver, when it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_jid: Option<String>,
    /// The provider's id of the conversation, when it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// When the provider took it, milliseconds.
    pub at_ms: u64,
}

/// What [`prepare`] found.
#[derive(Clone, Debug, PartialEq)]
pub enum Prepared {
    /// Written as `prepared`.
    New(OutboxId),
    /// The key is known: this is what became of it. Nothing was written.
    Known(OutboxId, Box<Entry>),
}

/// Writes a new entry in state `prepared`, unless its key is known.
///
/// # Errors
/// The store's own.
pub fn prepare(txn: &WriteTransaction, entry: &Entry) -> Result<Prepared, StoreError> {
    debug_assert_eq!(entry.state, State::Prepared);
    let known: Option<OutboxId> =
        get_json(&txn.open_table(OUTBOX_KEYS)?, "outbox_keys", &entry.key)?;
    if let Some(id) = known
        && let Some(found) = load(txn, id)?
    {
        return Ok(Prepared::Known(id, Box::new(found)));
    }
    let id = OutboxId(next_id(txn, NEXT)?);
    put_json(txn, OUTBOX, &id.key(), entry)?;
    put_json(txn, OUTBOX_KEYS, &entry.key, &id)?;
    Ok(Prepared::New(id))
}

/// `prepared` → `sending`: the next thing that happens is the call to the plugin.
///
/// # Errors
/// [`StoreError::Refused`] when it isn't `prepared`.
pub fn begin(txn: &WriteTransaction, id: OutboxId, now_ms: u64) -> Result<Entry, StoreError> {
    let mut entry = expect(txn, id, "sent", |s| matches!(s, State::Prepared))?;
    entry.state = State::Sending;
    entry.attempts += 1;
    entry.updated_ms = now_ms;
    put_json(txn, OUTBOX, &id.key(), &entry)?;
    Ok(entry)
}

/// `sending` → `prepared`: it is certain that the provider did not take it.
///
/// # Errors
/// [`StoreError::Refused`] when it isn't `sending`.
pub fn again(txn: &WriteTransaction, id: OutboxId, now_ms: u64) -> Result<(), StoreError> {
    let mut entry = expect(txn, id, "sent again", |s| matches!(s, State::Sending))?;
    entry.state = State::Prepared;
    entry.updated_ms = now_ms;
    put_json(txn, OUTBOX, &id.key(), &entry)
}

/// The entry's end. Forgets the oldest finished entries once there are too many.
///
/// # Errors
/// [`StoreError::Refused`] when it has ended before.
pub fn finish(
    txn: &WriteTransaction,
    id: OutboxId,
    end: State,
    now_ms: u64,
) -> Result<(), StoreError> {
    debug_assert!(!end.is_open());
    let mut entry = expect(txn, id, "finished", State::is_open)?;
    if matches!(end, State::Delivered { .. }) {
        entry.text.clear();
    }
    entry.state = end;
    entry.updated_ms = now_ms;
    put_json(txn, OUTBOX, &id.key(), &entry)?;
    forget_oldest(txn, OUTBOX_FINISHED_MAX, OUTBOX_PRUNE_SLACK)
}

/// For the start of the gateway: what was being sent when it died becomes `unknown`. Returns
/// those, oldest first.
///
/// # Errors
/// The store's own.
pub fn close_interrupted(
    txn: &WriteTransaction,
    now_ms: u64,
) -> Result<Vec<(OutboxId, Entry)>, StoreError> {
    let mut interrupted = scan(&txn.open_table(OUTBOX)?, |s| matches!(s, State::Sending))?;
    for (id, entry) in &mut interrupted {
        let message = "the gateway stopped while the message was being sent".to_owned();
        entry.state = State::Unknown { message };
        entry.updated_ms = now_ms;
        put_json(txn, OUTBOX, &id.key(), entry)?;
    }
    Ok(interrupted)
}

/// One entry.
///
/// # Errors
/// The store's own.
pub fn get(txn: &ReadTransaction, id: OutboxId) -> Result<Option<Entry>, StoreError> {
    get_json(&txn.open_table(OUTBOX)?, "outbox", &id.key())
}

/// The entries that are not finished, oldest first.
///
/// # Errors
/// The store's own.
pub fn open(txn: &ReadTransaction) -> Result<Vec<(OutboxId, Entry)>, StoreError> {
    scan(&txn.open_table(OUTBOX)?, State::is_open)
}

fn load(txn: &WriteTransaction, id: OutboxId) -> Result<Option<Entry>, StoreError> {
    get_json(&txn.open_table(OUTBOX)?, "outbox", &id.key())
}

fn expect(
    txn: &WriteTransaction,
    id: OutboxId,
    step: &str,
    allowed: impl Fn(&State) -> bool,
) -> Result<Entry, StoreError> {
    match load(txn, id)? {
        Some(entry) if allowed(&entry.state) => Ok(entry),
        Some(entry) => Err(StoreError::Refused(format!(
            "outbox entry {id} can't be {step}: it is {:?}",
            entry.state
        ))),
        None => Err(StoreError::Refused(format!(
            "outbox entry {id} can't be {step}: it is gone"
        ))),
    }
}

fn scan(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    wanted: impl Fn(&State) -> bool,
) -> Result<Vec<(OutboxId, Entry)>, StoreError> {
    let mut found = Vec::new();
    for row in table.iter()? {
        let (key, value) = row?;
        let Ok(id) = key.value().parse() else {
            tracing::error!(
                key = key.value(),
                "outbox key is not a number: entry left out"
            );
            continue;
        };
        match decode::<Entry>("outbox", key.value(), value.value()) {
            Ok(entry) if wanted(&entry.state) => found.push((OutboxId(id), entry)),
            Ok(_) => {}
            Err(e) => tracing::error!(error = %e, "outbox entry left out"),
        }
    }
    Ok(found)
}

/// Finished entries and their keys are bounded: the oldest go in one sweep.
fn forget_oldest(txn: &WriteTransaction, max: usize, slack: usize) -> Result<(), StoreError> {
    let count = usize::try_from(txn.open_table(OUTBOX)?.len()?).unwrap_or(usize::MAX);
    if count <= max + slack {
        return Ok(());
    }
    let mut finished = scan(&txn.open_table(OUTBOX)?, |s| !s.is_open())?;
    finished.sort_unstable_by_key(|(id, entry)| (entry.updated_ms, *id));
    let surplus = finished.len().saturating_sub(max);
    for (id, entry) in finished.drain(..surplus) {
        super::delete(txn, OUTBOX, &id.key())?;
        super::delete(txn, OUTBOX_KEYS, &entry.key)?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Store;

    pub(crate) fn entry(key: &str) -> Entry {
        Entry {
            key: key.into(),
            channel: "telegram".into(),
            account: "default".into(),
            to: "42".into(),
            thread_id: None,
            reply_to: None,
            text: "hello".into(),
            state: State::Prepared,
            attempts: 0,
            created_ms: 1,
            expires_ms: 100,
            updated_ms: 1,
        }
    }

    fn delivered() -> State {
        State::Delivered {
            receipt: Receipt {
                message_id: "m1".into(),
                at_ms: 5,
                ..Receipt::default()
            },
        }
    }

    async fn prepare_new(store: &Store, key: &str) -> OutboxId {
        let entry = entry(key);
        match store.write(move |txn| prepare(txn, &entry)).await.unwrap() {
            Prepared::New(id) => id,
            Prepared::Known(..) => panic!("key known"),
        }
    }

    async fn reopen(store: Store, path: &std::path::Path) -> Store {
        store.close().await;
        drop(store);
        Store::open(path).unwrap()
    }

    #[tokio::test]
    async fn every_crash_point_has_its_recovery() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.redb");
        let store = Store::open(&path).unwrap();
        let prepared = prepare_new(&store, "send:prepared").await;
        let sending = prepare_new(&store, "send:sending").await;
        let done = prepare_new(&store, "send:done").await;
        let store = reopen(store, &path).await;
        store
            .write(move |txn| begin(txn, sending, 2))
            .await
            .unwrap();
        store.write(move |txn| begin(txn, done, 2)).await.unwrap();
        store
            .write(move |txn| finish(txn, done, delivered(), 3))
            .await
            .unwrap();
        let store = reopen(store, &path).await;

        let lost = store.write(|txn| close_interrupted(txn, 9)).await.unwrap();
        assert_eq!(
            lost.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
            [sending]
        );
        let open = store.read(open).unwrap();
        assert_eq!(
            open.iter().map(|(id, _)| *id).collect::<Vec<_>>(),
            [prepared]
        );
        let unknown = store.read(|txn| get(txn, sending)).unwrap().unwrap();
        assert!(matches!(unknown.state, State::Unknown { .. }));
        assert_eq!((unknown.attempts, unknown.text.as_str()), (1, "hello"));
        // A second start finds nothing more to close.
        assert!(
            store
                .write(|txn| close_interrupted(txn, 10))
                .await
                .unwrap()
                .is_empty()
        );
    }

    #[tokio::test]
    async fn a_key_is_used_once_and_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.redb");
        let store = Store::open(&path).unwrap();
        let id = prepare_new(&store, "send:k").await;
        store.write(move |txn| begin(txn, id, 2)).await.unwrap();
        store
            .write(move |txn| finish(txn, id, delivered(), 3))
            .await
            .unwrap();
        let store = reopen(store, &path).await;
        let again = store
            .write(|txn| prepare(txn, &entry("send:k")))
            .await
            .unwrap();
        let Prepared::Known(known, found) = again else {
            panic!("sent twice")
        };
        assert_eq!((known, &found.state), (id, &delivered()));
        assert_eq!(found.text, "", "delivered words are not kept");
    }

    #[tokio::test]
    async fn steps_out_of_order_are_refused_and_change_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
        let id = prepare_new(&store, "send:k").await;
        store.write(move |txn| again(txn, id, 2)).await.unwrap_err();
        store.write(move |txn| begin(txn, id, 2)).await.unwrap();
        store.write(move |txn| begin(txn, id, 2)).await.unwrap_err();
        store.write(move |txn| again(txn, id, 3)).await.unwrap();
        assert_eq!(
            store
                .write(move |txn| begin(txn, id, 4))
                .await
                .unwrap()
                .attempts,
            2
        );
        store
            .write(move |txn| finish(txn, id, delivered(), 5))
            .await
            .unwrap();
        let failed = State::Failed {
            message: "late".into(),
            invalid: false,
        };
        let refused = store
            .write(move |txn| finish(txn, id, failed, 6))
            .await
            .unwrap_err();
        assert!(
            refused.to_string().contains("can't be finished"),
            "{refused}"
        );
        assert_eq!(
            store.read(|txn| get(txn, id)).unwrap().unwrap().state,
            delivered()
        );
    }

    #[tokio::test]
    async fn finished_entries_are_bounded_and_open_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
        let waiting = prepare_new(&store, "send:waiting").await;
        let fill = |txn: &WriteTransaction| {
            for n in 0..30 {
                let Prepared::New(id) = prepare(txn, &entry(&format!("send:{n}")))? else {
                    panic!("key known")
                };
                let message = "no".to_owned();
                let end = State::Failed {
                    message,
                    invalid: false,
                };
                finish(txn, id, end, 10 + n)?;
            }
            forget_oldest(txn, 20, 5)?;
            Ok((
                txn.open_table(OUTBOX)?.len()?,
                txn.open_table(OUTBOX_KEYS)?.len()?,
            ))
        };
        assert_eq!(store.write(fill).await.unwrap(), (21, 21));
        assert!(store.read(|txn| get(txn, waiting)).unwrap().is_some());
        let oldest = store
            .write(|txn| prepare(txn, &entry("send:0")))
            .await
            .unwrap();
        assert!(matches!(oldest, Prepared::New(_)));
    }
}
