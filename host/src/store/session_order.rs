//! Sessions by their last change, and how many there are: what lists and overviews ask for without
//! reading every session.
//!
//! Kept by `store::sessions` in the transaction that changes a session's row, read by
//! `crate::sessions`.
//! Each session stands under all sessions and, if its key names an agent, under that agent.

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::Deserialize;

use super::sessions::SessionRow;
use super::tables::{SESSION_COUNTS, SESSION_ORDER, SESSIONS};
use super::{Store, StoreError, get_json, put_json};

/// The group of an agent's sessions, or of all.
fn group(agent: Option<&str>) -> String {
    agent.map_or_else(|| "all".to_owned(), |agent| format!("agent:{agent}"))
}

/// The groups a session counts in.
fn groups(key: &str) -> impl Iterator<Item = String> {
    let agent = key.strip_prefix("agent:").and_then(|a| a.split(':').next());
    std::iter::once(group(None)).chain(agent.map(|agent| group(Some(agent))))
}

/// Newest first, and by key among those of the same moment.
fn place(group: &str, updated_at: u64, key: &str) -> String {
    format!("{group}/{:016x}/{key}", u64::MAX - updated_at)
}

/// When the session of a place changed, and its key.
fn read_place<'a>(group: &str, place: &'a str) -> Option<(u64, &'a str)> {
    let rest = place.strip_prefix(group)?.strip_prefix('/')?;
    let (moment, key) = rest.split_once('/')?;
    let before_end = u64::from_str_radix(moment, 16).ok()?;
    Some((u64::MAX - before_end, key))
}

/// When a stored session changed, without reading the rest of it; none for what is no session.
pub(super) fn changed_at(row: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Changed {
        #[serde(default)]
        updated_at: u64,
    }
    let read = serde_json::from_slice::<Changed>(row);
    read.ok().map(|changed| changed.updated_at)
}

/// Notes that the session of `key` changed at `is` instead of `was`; `None`: there is no session.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub(super) fn moved(
    txn: &WriteTransaction,
    key: &str,
    was: Option<u64>,
    is: Option<u64>,
) -> Result<(), StoreError> {
    if was == is {
        return Ok(());
    }
    let mut order = txn.open_table(SESSION_ORDER)?;
    for group in groups(key) {
        if let Some(was) = was {
            order.remove(place(&group, was, key).as_str())?;
        }
        if let Some(is) = is {
            order.insert(place(&group, is, key).as_str(), &[][..])?;
        }
    }
    drop(order);
    if was.is_none() != is.is_none() {
        for group in groups(key) {
            let before = count_of(&txn.open_table(SESSION_COUNTS)?, &group)?;
            let now = match is {
                Some(_) => before.saturating_add(1),
                None => before.saturating_sub(1),
            };
            put_json(txn, SESSION_COUNTS, &group, &now)?;
        }
    }
    Ok(())
}

/// Puts every stored session in its place: for files of a time before there was an order.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub(super) fn build(txn: &WriteTransaction) -> Result<(), StoreError> {
    for table in [SESSION_ORDER, SESSION_COUNTS] {
        txn.open_table(table)?.retain(|_, _| false)?;
    }
    for item in txn.open_table(SESSIONS)?.iter()? {
        let (key, row) = item?;
        moved(txn, key.value(), None, changed_at(row.value()))?;
    }
    Ok(())
}

fn count_of(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    group: &str,
) -> Result<u64, StoreError> {
    Ok(get_json(table, "session_counts", group)?.unwrap_or(0))
}

/// Which end of the order is looked at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Newest,
    Oldest,
}

/// Visits keys and the moments of their last change until `visit` says false.
///
/// # Errors
/// What `visit` fails with, or [`StoreError`] when the database fails.
fn visit(
    txn: &ReadTransaction,
    agent: Option<&str>,
    from: From,
    mut visit: impl FnMut(&str, u64) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let group = group(agent);
    let order = txn.open_table(SESSION_ORDER)?;
    // `0` follows `/`.
    let (first, end) = (format!("{group}/"), format!("{group}0"));
    let mut range = order.range(first.as_str()..end.as_str())?;
    loop {
        let item = match from {
            From::Newest => range.next(),
            From::Oldest => range.next_back(),
        };
        let Some((place, _)) = item.transpose()? else {
            return Ok(());
        };
        let goes_on = match read_place(&group, place.value()) {
            Some((moment, key)) => visit(key, moment)?,
            None => true,
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// What is looked for among the sessions.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// Of this agent alone.
    pub agent: Option<&'a str>,
    /// Changed at this moment or later, ms.
    pub since_ms: u64,
    /// At most so many.
    pub limit: usize,
}

/// The newest sessions first, as far as `search` reaches. Only rows whose key `by_key` wants are
/// read, and those that `by_row` wants are given. A damaged row is left out
/// and named in the log.
///
/// # Errors
/// [`StoreError::Io`] when the database fails.
pub fn newest(
    store: &Store,
    search: Search<'_>,
    by_key: impl Fn(&str) -> bool,
    by_row: impl Fn(&str, &SessionRow) -> bool,
) -> Result<Vec<(String, SessionRow)>, StoreError> {
    let mut found = Vec::new();
    if search.limit == 0 {
        return Ok(found);
    }
    store.read(|txn| {
        let table = txn.open_table(SESSIONS)?;
        visit(txn, search.agent, From::Newest, |key, moment| {
            if moment < search.since_ms {
                return Ok(false);
            }
            if by_key(key) {
                match get_json::<SessionRow>(&table, "sessions", key) {
                    Ok(Some(row)) if by_row(key, &row) => found.push((key.to_owned(), row)),
                    Ok(_) => {}
                    Err(error @ StoreError::Damaged { .. }) => {
                        tracing::warn!(%error, "session left out");
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(found.len() < search.limit)
        })
    })?;
    Ok(found)
}

/// The keys of sessions that have not changed since `before_ms`, the oldest first, as far as
/// `wanted` wants them. No row is read.
///
/// # Errors
/// [`StoreError::Io`] when the database fails.
pub fn oldest(
    store: &Store,
    before_ms: u64,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    store.read(|txn| {
        visit(txn, None, From::Oldest, |key, moment| {
            let is_old = moment < before_ms;
            if is_old && wanted(key) {
                found.push(key.to_owned());
            }
            Ok(is_old)
        })
    })?;
    Ok(found)
}

/// How many sessions there are; those of one agent if `agent` names one.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub fn count(store: &Store, agent: Option<&str>) -> Result<u64, StoreError> {
    store.read(|txn| count_of(&txn.open_table(SESSION_COUNTS)?, &group(agent)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::sessions as rows;
    use super::super::tables;
    use super::*;

    async fn touch(store: &Store, key: &str, at: u64) {
        let change = move |old: Option<SessionRow>, _: &rows::Others<'_>| {
            let mut row = old.unwrap_or_default();
            row.updated_at = at;
            row.session_id = "s".into();
            Ok(row)
        };
        rows::update(store, key, change).await.unwrap();
    }

    fn seen(store: &Store, agent: Option<&str>, from: From) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        let read = store.read(|txn| {
            visit(txn, agent, from, |key, at| {
                found.push((key.to_owned(), at));
                Ok(true)
            })
        });
        read.unwrap();
        found
    }

    fn keys(store: &Store, agent: Option<&str>) -> Vec<String> {
        let found = seen(store, agent, From::Newest).into_iter();
        found.map(|(key, _)| key).collect()
    }

    fn counted(store: &Store, agent: Option<&str>) -> u64 {
        count(store, agent).unwrap()
    }

    #[tokio::test]
    async fn the_order_follows_every_change() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).unwrap();
        for (key, at) in [
            ("agent:a:x", 5),
            ("agent:a-b:y", 9),
            ("global", 7),
            ("agent:a:z", 5),
            ("agent:a:x", 8),
        ] {
            touch(&store, key, at).await;
        }
        assert_eq!(
            keys(&store, None),
            ["agent:a-b:y", "agent:a:x", "global", "agent:a:z"]
        );
        assert_eq!(keys(&store, Some("a")), ["agent:a:x", "agent:a:z"]);
        assert_eq!(
            seen(&store, Some("a"), From::Oldest)[0],
            ("agent:a:z".to_owned(), 5)
        );
        let counts = [None, Some("a"), Some("a-b"), Some("nobody")];
        assert_eq!(counts.map(|agent| counted(&store, agent)), [4, 2, 1, 0]);

        let nothing = super::super::transcripts::extent(&store, "s").unwrap();
        let gone = rows::delete(&store, "agent:a:x", nothing, true).await;
        assert_eq!(gone.unwrap(), rows::Deleted::Gone);
        assert_eq!(keys(&store, Some("a")), ["agent:a:z"]);
        assert_eq!(counted(&store, Some("a")), 1);
        assert_eq!(counted(&store, None), 3);
    }

    #[tokio::test]
    async fn a_file_of_the_first_layout_gets_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let store = Store::open(&path).unwrap();
        for (key, at) in [("agent:a:x", 5), ("agent:b:y", 9)] {
            touch(&store, key, at).await;
        }
        // As such a file was: the rows alone, one of them damaged.
        let older = |txn: &WriteTransaction| {
            put_json(txn, SESSIONS, "damaged", &7)?;
            for table in [SESSION_ORDER, SESSION_COUNTS] {
                txn.open_table(table)?.retain(|_, _| false)?;
            }
            put_json(txn, tables::META, "layout", &1u32)
        };
        store.write(older).await.unwrap();
        assert!(keys(&store, None).is_empty());
        store.close().await;
        drop(store);

        let store = Store::open(&path).unwrap();
        assert_eq!(keys(&store, None), ["agent:b:y", "agent:a:x"]);
        assert_eq!(counted(&store, None), 2);
        touch(&store, "agent:a:x", 10).await;
        assert_eq!(keys(&store, None), ["agent:a:x", "agent:b:y"]);
        store.close().await;
    }
}
