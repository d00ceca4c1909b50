//! One account's key-value state as its plugin sees it. `calls` serves it, `store::plugin_kv`
//! keeps it; tests bring their own.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::limits::PLUGIN_KEY_BYTES_MAX;
use crate::store::plugin_kv::{KvOutcome, KvScope};
use crate::store::{Store, StoreError};

/// A write under way; resolves once it is on disk.
pub type KvWrite<'a> = Pin<Box<dyn Future<Output = Result<(), KvError>> + Send + 'a>>;

/// Key-value state of one account. Reads are fast and in the caller's thread.
pub trait KvStore: Send + Sync + 'static {
    /// One value.
    ///
    /// # Errors
    /// The store's.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError>;

    /// All keys that begin so, sorted.
    ///
    /// # Errors
    /// The store's.
    fn list(&self, prefix: &str) -> Result<Vec<String>, KvError>;

    /// Writes one value; refused when the account's quota would be passed.
    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> KvWrite<'a>;

    /// Forgets one value; it need not exist.
    fn del<'a>(&'a self, key: &'a str) -> KvWrite<'a>;
}

/// Why state could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KvError {
    /// The key is empty or too long.
    Key(usize),
    /// The account would keep more than it may.
    Quota {
        /// What it would keep, in bytes.
        needed: u64,
        /// What it may, in bytes.
        quota: u64,
    },
    /// The database failed; the cause is in the host's log.
    Store(String),
}

impl fmt::Display for KvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(len) => {
                write!(
                    f,
                    "a key of {len} bytes, must be 1 to {PLUGIN_KEY_BYTES_MAX} bytes"
                )
            }
            Self::Quota { needed, quota } => write!(
                f,
                "the account's state would take {needed} bytes, its quota is {quota}: \
                 forget what is no longer needed or raise limits.kv_mb in plugins.toml"
            ),
            Self::Store(why) => write!(f, "state cannot be kept: {why}"),
        }
    }
}

impl std::error::Error for KvError {}

/// An account's state in the host's database.
#[derive(Debug, Clone)]
pub struct StoreKv {
    store: Store,
    scope: KvScope,
    quota: u64,
}

impl StoreKv {
    /// The state of `account` of a plugin; `quota` is [`Plugin::kv_quota`](super::Plugin::kv_quota).
    pub fn new(store: Store, plugin: &str, account: &str, quota: u64) -> StoreKv {
        StoreKv {
            store,
            scope: KvScope::new(plugin, account),
            quota,
        }
    }
}

impl KvStore for StoreKv {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        checked(key)?;
        self.store
            .read(|txn| self.scope.get(txn, key))
            .map_err(failed)
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, KvError> {
        self.store
            .read(|txn| self.scope.list(txn, prefix))
            .map_err(failed)
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> KvWrite<'a> {
        Box::pin(async move {
            checked(key)?;
            let (scope, key, quota) = (self.scope.clone(), key.to_owned(), self.quota);
            let write = self
                .store
                .write(move |txn| scope.put(txn, &key, &value, quota));
            match write.await.map_err(failed)? {
                KvOutcome::Written => Ok(()),
                KvOutcome::OverQuota(needed) => Err(KvError::Quota { needed, quota }),
            }
        })
    }

    fn del<'a>(&'a self, key: &'a str) -> KvWrite<'a> {
        Box::pin(async move {
            checked(key)?;
            let (scope, key) = (self.scope.clone(), key.to_owned());
            self.store
                .write(move |txn| scope.del(txn, &key))
                .await
                .map_err(failed)
        })
    }
}

fn checked(key: &str) -> Result<(), KvError> {
    if key.is_empty() || key.len() > PLUGIN_KEY_BYTES_MAX {
        Err(KvError::Key(key.len()))
    } else {
        Ok(())
    }
}

/// The cause stays in our log; the plugin learns that it failed.
fn failed(error: StoreError) -> KvError {
    tracing::error!(%error, "plugin state");
    KvError::Store("the gateway's database failed".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn state_is_kept_by_account_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.redb");
        let store = Store::open(&path).unwrap();
        let one = StoreKv::new(store.clone(), "echo", "one", 32);
        let two = StoreKv::new(store.clone(), "echo", "two", 32);
        one.put("offset", Bytes::from("1")).await.unwrap();
        one.put("offset", Bytes::from("22")).await.unwrap();
        one.put("other", Bytes::new()).await.unwrap();
        two.put("offset", Bytes::from("3")).await.unwrap();
        assert_eq!(one.get("offset").unwrap().unwrap(), b"22");
        assert_eq!(
            one.get("other").unwrap().unwrap(),
            b"",
            "an empty value is one"
        );
        assert_eq!(one.get("nothing").unwrap(), None);
        assert_eq!(one.list("").unwrap(), ["offset", "other"]);
        assert_eq!(one.list("of").unwrap(), ["offset"]);
        assert_eq!(two.list("").unwrap(), ["offset"]);

        let full = one.put("big", Bytes::from(vec![0; 30])).await.unwrap_err();
        assert_eq!(
            full,
            KvError::Quota {
                needed: 46,
                quota: 32
            }
        );
        assert_eq!(one.get("big").unwrap(), None);
        one.del("other").await.unwrap();
        one.del("other").await.unwrap();
        one.put("big", Bytes::from(vec![0; 21])).await.unwrap();
        assert_eq!(
            one.put("", Bytes::new()).await.unwrap_err(),
            KvError::Key(0)
        );

        store.close().await;
        drop((store, one, two));
        let store = Store::open(&path).unwrap();
        assert_eq!(
            StoreKv::new(store, "echo", "two", 0)
                .get("offset")
                .unwrap()
                .unwrap(),
            b"3"
        );
    }
}
