//! Senders who asked for access: the pairing requests of each channel.
//!
//! The router asks [`challenge`] when a stranger writes to an account whose `dmPolicy` is
//! `pairing`, in the transaction that closes the journal entry and prepares the one reply. So a
//! stranger gets that reply once, however often they write and whenever the gateway dies.

use redb::{ReadTransaction, ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::tables::SENDERS;
use super::{StoreError, decode, put_json};
use crate::limits::{SENDER_CODE_TRIES, SENDER_REQUEST_TTL_MS, SENDER_REQUESTS_MAX};

/// Letters and digits that can't be mistaken for one another when read aloud.
const CODE_ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// A sender's wish to be let in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Surface they wrote on.
    pub channel: String,
    /// Account they wrote to.
    pub account: String,
    /// The provider's id of the sender.
    pub sender_id: String,
    /// Their display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<String>,
    /// What they tell the owner.
    pub code: String,
    /// First message, milliseconds. The request lives from here.
    pub created_ms: u64,
    /// Last message, milliseconds.
    pub last_seen_ms: u64,
}

/// What a stranger's message led to.
#[derive(Clone, Debug, PartialEq)]
pub enum Challenge {
    /// A new request: tell them this code, once.
    New(String),
    /// They were told before.
    Known,
    /// The channel has as many requests as it may: no answer at all.
    Full,
}

/// Records a stranger's message. `asked` carries who and when; its code is replaced by one of
/// `codes` that no pending request of the channel has.
///
/// # Errors
/// The store's own; [`StoreError::Refused`] when every offered code is taken.
pub fn challenge(
    txn: &WriteTransaction,
    asked: &Request,
    mut codes: impl FnMut() -> String,
) -> Result<Challenge, StoreError> {
    let now_ms = asked.last_seen_ms;
    let (expired, pending) = split_expired(txn, &asked.channel, now_ms)?;
    let own = pending
        .iter()
        .find(|r| r.account == asked.account && r.sender_id == asked.sender_id);
    let answer = match own {
        Some(_) => Challenge::Known,
        None if pending.len() >= SENDER_REQUESTS_MAX => Challenge::Full,
        None => {
            let code = (0..SENDER_CODE_TRIES)
                .map(|_| codes())
                .find(|code| pending.iter().all(|r| r.code != *code))
                .ok_or_else(|| StoreError::Refused("no free pairing code was found".into()))?;
            Challenge::New(code)
        }
    };
    for request in expired {
        super::delete(txn, SENDERS, &key(&request)?)?;
    }
    let row = match (&answer, own) {
        (Challenge::New(code), _) => Request {
            code: code.clone(),
            ..asked.clone()
        },
        (_, Some(own)) => Request {
            last_seen_ms: now_ms,
            ..own.clone()
        },
        _ => return Ok(answer),
    };
    put_json(txn, SENDERS, &key(&row)?, &row)?;
    Ok(answer)
}

/// The requests of all channels that are still alive, oldest first.
///
/// # Errors
/// The store's own.
pub fn pending(txn: &ReadTransaction, now_ms: u64) -> Result<Vec<Request>, StoreError> {
    let mut all = rows(&txn.open_table(SENDERS)?)?;
    all.retain(|r| is_alive(r, now_ms));
    all.sort_by_key(|r| r.created_ms);
    Ok(all)
}

/// A pairing code made of random bytes.
pub fn code(random: [u8; 8]) -> String {
    random
        .iter()
        .map(|b| char::from(CODE_ALPHABET[usize::from(b % 32)]))
        .collect()
}

fn is_alive(request: &Request, now_ms: u64) -> bool {
    now_ms < request.created_ms.saturating_add(SENDER_REQUEST_TTL_MS)
}

fn split_expired(
    txn: &WriteTransaction,
    channel: &str,
    now_ms: u64,
) -> Result<(Vec<Request>, Vec<Request>), StoreError> {
    let (alive, expired): (Vec<_>, Vec<_>) = rows(&txn.open_table(SENDERS)?)?
        .into_iter()
        .partition(|r| is_alive(r, now_ms));
    Ok((
        expired,
        alive.into_iter().filter(|r| r.channel == channel).collect(),
    ))
}

fn rows(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Vec<Request>, StoreError> {
    let mut found = Vec::new();
    for row in table.iter()? {
        let (key, value) = row?;
        match decode(SENDERS_NAME, key.value(), value.value()) {
            Ok(request) => found.push(request),
            Err(e) => tracing::error!(error = %e, "pairing request left out"),
        }
    }
    Ok(found)
}

const SENDERS_NAME: &str = "senders";

/// A JSON list, because the sender's id is the provider's and may hold any separator.
fn key(r: &Request) -> Result<String, StoreError> {
    serde_json::to_string(&[&r.channel, &r.account, &r.sender_id])
        .map_err(|e| StoreError::Io(Box::new(e)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::Store;

    async fn ask(store: &Store, channel: &str, sender: &str, at: u64) -> Challenge {
        let asked = Request {
            channel: channel.into(),
            account: "default".into(),
            sender_id: sender.into(),
            name: None,
            handle: None,
            code: String::new(),
            created_ms: at,
            last_seen_ms: at,
        };
        let mut n = 0;
        store
            .write(move |txn| {
                challenge(txn, &asked, || {
                    n += 1;
                    format!("CODE{n}")
                })
            })
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn one_reply_for_each_of_three_and_none_for_a_fourth() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.redb");
        let store = Store::open(&path).unwrap();
        assert_eq!(
            ask(&store, "telegram", "1", 0).await,
            Challenge::New("CODE1".into())
        );
        assert_eq!(ask(&store, "telegram", "1", 5).await, Challenge::Known);
        store.close().await;
        drop(store);
        let store = Store::open(&path).unwrap();
        assert_eq!(ask(&store, "telegram", "1", 6).await, Challenge::Known);
        assert_eq!(
            ask(&store, "telegram", "2", 7).await,
            Challenge::New("CODE2".into())
        );
        assert_eq!(
            ask(&store, "telegram", "3", 8).await,
            Challenge::New("CODE3".into())
        );
        assert_eq!(ask(&store, "telegram", "4", 9).await, Challenge::Full);
        assert_eq!(
            ask(&store, "echo", "4", 9).await,
            Challenge::New("CODE1".into())
        );
        let seen = store.read(|txn| pending(txn, 10)).unwrap();
        assert_eq!(seen.len(), 4);
        assert_eq!((seen[0].created_ms, seen[0].last_seen_ms), (0, 6));
    }

    #[tokio::test]
    async fn a_request_lives_an_hour_from_its_first_message() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
        for sender in ["1", "2", "3"] {
            ask(&store, "telegram", sender, 0).await;
        }
        assert_eq!(
            ask(&store, "telegram", "1", 3_599_999).await,
            Challenge::Known
        );
        assert_eq!(
            ask(&store, "telegram", "4", 3_600_000).await,
            Challenge::New("CODE1".into())
        );
        assert_eq!(
            ask(&store, "telegram", "1", 3_600_001).await,
            Challenge::New("CODE2".into())
        );
        assert_eq!(store.read(|txn| pending(txn, 3_600_001)).unwrap().len(), 2);
    }

    #[test]
    fn codes_use_the_alphabet_evenly() {
        assert_eq!(code([0, 31, 32, 63, 1, 2, 3, 255]), "A9A9BCD9");
    }
}
