//! Transcripts on disk: what was said in each session, in order.
//!
//! Called by `crate::sessions` alone. A table and an index: each message by
//! `<session id>/<number>`, and messages that carry a key of their own by `<session id>/<key>`, so
//! that a repeated append finds what is there. Promises that appending a message and updating its
//! session's row are one transaction.

use redb::{ReadableTable, WriteTransaction};

use super::accepted::AcceptedRow;
use super::sessions::{MessageRow, SessionRow, put_row, row_in};
use super::tables::{ACCEPTED, TRANSCRIPT_KEYS, TRANSCRIPTS};
use super::{Store, StoreError, decode, delete, get_json, put_json};

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

/// Which messages a transcript holds: their numbers, the first and the one behind the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Its session id.
    pub session_id: String,
    /// Number of the first message.
    pub first: u64,
    /// Number that the next message gets.
    pub end: u64,
}

impl Extent {
    /// How many messages there are.
    pub fn count(&self) -> u64 {
        self.end.saturating_sub(self.first)
    }
}

/// What is written with a message, in the same transaction.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The message is an accepted one: kept under this place.
    pub keep: Option<(String, AcceptedRow)>,
    /// Places of the accepted messages it answers.
    pub settle: Vec<String>,
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
    append_beside(store, key, message, Beside::default(), touch).await
}

/// [`append`], and what belongs to it.
///
/// # Errors
/// As [`append`]; nothing of both is on disk then.
pub async fn append_beside<T>(
    store: &Store,
    key: &str,
    message: MessageRow,
    beside: Beside,
    touch: T,
) -> Result<Appended, StoreError>
where
    T: FnOnce(Option<SessionRow>) -> Result<SessionRow, StoreError> + Send + 'static,
{
    let key = key.to_owned();
    let job = move |txn: &WriteTransaction| {
        let appended = append_in(txn, &key, message, touch)?;
        if let Some((place, row)) = &beside.keep {
            put_json(txn, ACCEPTED, place, row)?;
        }
        for place in &beside.settle {
            delete(txn, ACCEPTED, place)?;
        }
        Ok(appended)
    };
    store.write(job).await
}

fn append_in(
    txn: &WriteTransaction,
    key: &str,
    message: MessageRow,
    touch: impl FnOnce(Option<SessionRow>) -> Result<SessionRow, StoreError>,
) -> Result<Appended, StoreError> {
    let old = row_in(txn, key)?;
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
    let place = place(&row.session_id, extent_in(txn, &row.session_id)?.end);
    put_json(txn, TRANSCRIPTS, &place, &message)?;
    if let Some(index) = index {
        put_json(txn, TRANSCRIPT_KEYS, &index, &place)?;
    }
    put_row(txn, key, &row)?;
    Ok(Appended {
        row,
        message,
        fresh: true,
    })
}

/// A conversation that comes from elsewhere.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its session key.
    pub key: String,
    /// Its row, for a session that is not there yet.
    pub row: SessionRow,
    /// What is appended; each with a key that is not there yet.
    pub messages: Vec<MessageRow>,
}

/// Puts conversations in, all in one transaction.
///
/// # Errors
/// [`StoreError`] when the database fails or a session's row is damaged.
pub async fn import(store: &Store, conversations: Vec<Imported>) -> Result<(), StoreError> {
    let job = move |txn: &WriteTransaction| {
        for Imported { key, row, messages } in &conversations {
            let numbers = extent_in(txn, &row.session_id)?.end..;
            let mut table = txn.open_table(TRANSCRIPTS)?;
            let mut keys = txn.open_table(TRANSCRIPT_KEYS)?;
            let json = |e| StoreError::Io(Box::new(e));
            for (number, message) in numbers.zip(messages) {
                let place = place(&row.session_id, number);
                let bytes = serde_json::to_vec(message).map_err(json)?;
                table.insert(place.as_str(), bytes.as_slice())?;
                if let Some(own) = &message.key {
                    let index = format!("{}/{own}", row.session_id);
                    let bytes = serde_json::to_vec(&place).map_err(json)?;
                    keys.insert(index.as_str(), bytes.as_slice())?;
                }
            }
            drop((table, keys));
            let mut now = row_in(txn, key)?.unwrap_or_else(|| row.clone());
            now.updated_at = now.updated_at.max(row.updated_at);
            put_row(txn, key, &now)?;
        }
        Ok(())
    };
    store.write(job).await
}

/// Which of these keys messages of a transcript carry.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub fn known(store: &Store, session_id: &str, keys: &[&str]) -> Result<Vec<bool>, StoreError> {
    store.read(|txn| {
        let table = txn.open_table(TRANSCRIPT_KEYS)?;
        let is_known =
            |key: &&str| Ok(table.get(format!("{session_id}/{key}").as_str())?.is_some());
        keys.iter().map(is_known).collect()
    })
}

fn place(session_id: &str, number: u64) -> String {
    format!("{session_id}/{number:016x}")
}

fn number_of(place: &str) -> u64 {
    let number = place.rsplit_once('/');
    number.map_or(0, |(_, hex)| u64::from_str_radix(hex, 16).unwrap_or(0))
}

/// The messages of a session id sort between these two; `0` follows `/`.
fn bounds(session_id: &str) -> (String, String) {
    (format!("{session_id}/"), format!("{session_id}0"))
}

fn extent_of(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    session_id: &str,
) -> Result<Extent, StoreError> {
    let (from, to) = bounds(session_id);
    let mut range = table.range(from.as_str()..to.as_str())?;
    let first = range.next().transpose()?.map(|(p, _)| number_of(p.value()));
    let last = range.next_back().transpose()?;
    let last = last.map(|(p, _)| number_of(p.value())).or(first);
    Ok(Extent {
        session_id: session_id.to_owned(),
        first: first.unwrap_or(0),
        end: last.map_or(0, |number| number + 1),
    })
}

/// Which messages there are, inside a write.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn extent_in(txn: &WriteTransaction, session_id: &str) -> Result<Extent, StoreError> {
    extent_of(&txn.open_table(TRANSCRIPTS)?, session_id)
}

/// Which messages a transcript holds.
///
/// # Errors
/// [`StoreError::Io`] when the database fails.
pub fn extent(store: &Store, session_id: &str) -> Result<Extent, StoreError> {
    store.read(|txn| extent_of(&txn.open_table(TRANSCRIPTS)?, session_id))
}

/// Takes a whole transcript out.
///
/// # Errors
/// [`StoreError::Io`].
pub(super) fn remove_in(txn: &WriteTransaction, session_id: &str) -> Result<(), StoreError> {
    let (from, to) = bounds(session_id);
    let range = from.as_str()..to.as_str();
    let mut messages = txn.open_table(TRANSCRIPTS)?;
    messages.retain_in::<&str, _>(range.clone(), |_, _| false)?;
    let mut keys = txn.open_table(TRANSCRIPT_KEYS)?;
    keys.retain_in::<&str, _>(range, |_, _| false)?;
    Ok(())
}

/// Takes the oldest messages out of the transcript of `key`, so that those from number `from`
/// stay: provided that it still is `seen`. False when it isn't, and nothing was done. `touch`
/// changes the session's row with it.
///
/// # Errors
/// [`StoreError`] when the database fails or a row is damaged.
pub async fn cut_before<T>(
    store: &Store,
    key: &str,
    seen: Extent,
    from: u64,
    touch: T,
) -> Result<bool, StoreError>
where
    T: FnOnce(&mut SessionRow) + Send + 'static,
{
    let key = key.to_owned();
    let job = move |txn: &WriteTransaction| {
        let session_id = seen.session_id.as_str();
        let Some(mut row) = row_in(txn, &key)?.filter(|row| row.session_id == session_id) else {
            return Ok(false);
        };
        if extent_in(txn, session_id)? != seen {
            return Ok(false);
        }
        let (first, end) = (place(session_id, 0), place(session_id, from));
        let range = first.as_str()..end.as_str();
        let mut own_keys = Vec::new();
        {
            let mut table = txn.open_table(TRANSCRIPTS)?;
            for item in table.range(range.clone())? {
                let (place, value) = item?;
                let message: MessageRow = decode("transcripts", place.value(), value.value())?;
                own_keys.extend(message.key);
            }
            table.retain_in::<&str, _>(range, |_, _| false)?;
        }
        for own in own_keys {
            delete(txn, TRANSCRIPT_KEYS, &format!("{session_id}/{own}"))?;
        }
        touch(&mut row);
        put_row(txn, &key, &row)?;
        Ok(true)
    };
    store.write(job).await
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

/// Visits the messages of a transcript from the newest back to the first older than `since_ms`,
/// which is not visited.
///
/// # Errors
/// [`StoreError`] when the database fails or a message is damaged.
pub fn back_to(
    store: &Store,
    session_id: &str,
    since_ms: u64,
    mut visit: impl FnMut(MessageRow),
) -> Result<(), StoreError> {
    let (from, to) = bounds(session_id);
    store.read(|txn| {
        let table = txn.open_table(TRANSCRIPTS)?;
        for item in table.range(from.as_str()..to.as_str())?.rev() {
            let (place, value) = item?;
            let message: MessageRow = decode("transcripts", place.value(), value.value())?;
            if message.timestamp < since_ms {
                break;
            }
            visit(message);
        }
        Ok(())
    })
}

/// The oldest messages of a transcript, oldest first.
///
/// # Errors
/// [`StoreError`] when the database fails or a message is damaged.
pub fn head(store: &Store, session_id: &str, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
    let page = page(store, session_id, 0, limit)?;
    Ok(page.into_iter().map(|(_, message)| message).collect())
}

/// The oldest messages from number `from` on, with their numbers.
///
/// # Errors
/// [`StoreError`] when the database fails or a message is damaged.
pub fn page(
    store: &Store,
    session_id: &str,
    from: u64,
    limit: usize,
) -> Result<Vec<(u64, MessageRow)>, StoreError> {
    let (from, (_, to)) = (place(session_id, from), bounds(session_id));
    store.read(|txn| {
        let table = txn.open_table(TRANSCRIPTS)?;
        let items = table.range(from.as_str()..to.as_str())?.take(limit);
        items
            .map(|item| {
                let (place, value) = item?;
                let message = decode("transcripts", place.value(), value.value())?;
                Ok((number_of(place.value()), message))
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
