//! The database of the daemon: one redb file, one writer thread, reads where they are asked.
//!
//! Owners (devices, sessions, channels …) write through [`Store::write`], which resolves once the
//! commit is durable; jobs of several callers share one commit. Each owner has a file here with
//! its own disk types: only those derive serialisation for disk. Tables are listed in
//! [`tables`].

pub mod accepted;
pub mod cron;
pub mod devices;
pub mod journal;
mod migrate;
pub mod outbox;
pub mod senders;
pub mod plugin_kv;
pub mod session_order;
pub mod sessions;
pub mod tables;
pub mod voice;
pub mod transcripts;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Boxed;
use writer::Writer;

/// What can go wrong between an owner and the disk.
#[derive(Debug)]
pub enum StoreError {
    /// The database file or its folder can't be used. Names the file.
    Open {
        /// The database file.
        path: PathBuf,
        /// What the system or the database says of it.
        source: Boxed,
    },
    /// Reading or writing failed; nothing of the job is on disk.
    Io(Boxed),
    /// A stored value isn't what its owner once wrote.
    Damaged {
        /// The table it is in.
        table: String,
        /// Its key.
        key: String,
        /// Why it can't be read.
        source: serde_json::Error,
    },
    /// The file was written by a newer gateway.
    Newer {
        /// Version found in the file.
        found: u32,
        /// Version this program writes.
        known: u32,
    },
    /// The store was closed while the job waited.
    Closed,
    /// The owner's own refusal, decided inside a job before it wrote anything.
    Refused(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open { path, source } => {
                write!(f, "can't open the database {}: {source}", path.display())
            }
            Self::Io(source) => write!(f, "the database failed: {source}"),
            Self::Damaged { table, key, source } => {
                write!(
                    f,
                    "stored value {key} in table {table} is damaged: {source}"
                )
            }
            Self::Newer { found, known } => write!(
                f,
                "the database has layout {found}, this gateway knows up to {known}: \
                 start the newer gateway again or restore a backup"
            ),
            Self::Closed => f.write_str("the database is closed"),
            Self::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Io(source) => Some(source.as_ref()),
            Self::Damaged { source, .. } => Some(source),
            _ => None,
        }
    }
}

macro_rules! io_errors {
    ($($kind:ty),*) => {$(
        impl From<$kind> for StoreError {
            fn from(e: $kind) -> Self { StoreError::Io(Box::new(e)) }
        }
    )*};
}
io_errors!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError
);

/// The open database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: Arc<Database>,
    writer: Arc<Writer>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Store {
    /// Opens or creates the file, creates every table, migrates an older layout.
    ///
    /// # Errors
    /// [`StoreError::Open`] when the file is unreadable, damaged or held by another process.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        let failed = |source: Boxed| StoreError::Open {
            path: path.to_path_buf(),
            source,
        };
        let db = Database::builder()
            .set_cache_size(crate::limits::STORE_CACHE_BYTES)
            .create(path)
            .map_err(|e| failed(Box::new(e)))?;
        crate::files::private_file(path).map_err(|e| failed(Box::new(e)))?;
        migrate::prepare(&db)?;
        let db = Arc::new(db);
        let writer = Arc::new(Writer::start(db.clone()).map_err(|e| failed(Box::new(e)))?);
        Ok(Store { db, writer })
    }

    /// Runs `job` in the writer's next transaction and resolves once that is durable.
    ///
    /// A job that returns an error must not have written: it shares its transaction with others,
    /// which are committed all the same. Cancelling the future doesn't cancel the job.
    ///
    /// # Errors
    /// The job's own error, [`StoreError::Io`] when the commit failed, [`StoreError::Closed`]
    /// after [`Store::close`].
    pub async fn write<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<T, StoreError> + Send + 'static,
    {
        self.writer.run(job).await
    }

    /// Runs `job` on a snapshot of what is committed, in the caller's thread. Keep it short.
    ///
    /// # Errors
    /// The job's own error, or [`StoreError::Io`].
    pub fn read<T, F>(&self, job: F) -> Result<T, StoreError>
    where
        F: FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    {
        job(&self.db.begin_read()?)
    }

    /// Commits what waits and ends the writer thread. Later writes answer [`StoreError::Closed`].
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

/// A table whose keys are text and whose values are JSON of one disk type.
pub type JsonTable = TableDefinition<'static, &'static str, &'static [u8]>;

/// Reads one value of a [`JsonTable`].
///
/// # Errors
/// [`StoreError::Damaged`] when it isn't a `T`.
pub fn get_json<T: DeserializeOwned>(
    table: &impl redb::ReadableTable<&'static str, &'static [u8]>,
    name: &str,
    key: &str,
) -> Result<Option<T>, StoreError> {
    table
        .get(key)?
        .map(|value| decode(name, key, value.value()))
        .transpose()
}

/// Writes one value of a [`JsonTable`], replacing what was there.
///
/// # Errors
/// [`StoreError::Io`].
pub fn put_json<T: Serialize>(
    txn: &WriteTransaction,
    table: JsonTable,
    key: &str,
    value: &T,
) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(value).map_err(|e| StoreError::Io(Box::new(e)))?;
    txn.open_table(table)?.insert(key, bytes.as_slice())?;
    Ok(())
}

/// Removes one value of a [`JsonTable`]; true when there was one.
///
/// # Errors
/// [`StoreError::Io`].
pub fn delete(txn: &WriteTransaction, table: JsonTable, key: &str) -> Result<bool, StoreError> {
    Ok(txn.open_table(table)?.remove(key)?.is_some())
}

/// Decodes a stored JSON value, naming where it stands when it is damaged.
///
/// # Errors
/// [`StoreError::Damaged`].
pub fn decode<T: DeserializeOwned>(table: &str, key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|source| StoreError::Damaged {
        table: table.to_owned(),
        key: key.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn temp_store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
        (dir, store)
    }

    #[tokio::test]
    async fn what_was_written_is_there_after_reopening() {
        let (dir, store) = temp_store();
        store
            .write(|txn| put_json(txn, tables::META, "a", &1u32))
            .await
            .unwrap();
        store.close().await;
        drop(store);
        let store = Store::open(&dir.path().join("gateway.redb")).unwrap();
        let read = store
            .read(|txn| get_json::<u32>(&txn.open_table(tables::META)?, "meta", "a"))
            .unwrap();
        assert_eq!(read, Some(1));
    }

    #[tokio::test]
    async fn a_refusal_leaves_the_neighbours_alone() {
        let (_dir, store) = temp_store();
        let (bad, good) = tokio::join!(
            store.write(|_| Err::<(), _>(StoreError::Refused("no".into()))),
            store.write(|txn| put_json(txn, tables::META, "b", &2u32)),
        );
        assert!(matches!(bad, Err(StoreError::Refused(_))));
        good.unwrap();
    }

    #[tokio::test]
    async fn a_panicking_job_does_not_stop_the_writer() {
        let (_dir, store) = temp_store();
        let bad = store
            .write(|_| -> Result<(), StoreError> { panic!("boom") })
            .await;
        assert!(matches!(bad, Err(StoreError::Io(_))), "{bad:?}");
        store
            .write(|txn| put_json(txn, tables::META, "c", &3u32))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_closed_store_says_so() {
        let (_dir, store) = temp_store();
        store.close().await;
        let late = store.write(|_| Ok(())).await;
        assert!(matches!(late, Err(StoreError::Closed)));
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.redb");
        std::fs::write(&path, b"not a database at all").unwrap();
        let refused = Store::open(&path).unwrap_err().to_string();
        assert!(refused.contains("gateway.redb"), "{refused}");
    }

    #[tokio::test]
    async fn a_newer_layout_is_refused() {
        let (dir, store) = temp_store();
        store
            .write(|txn| put_json(txn, tables::META, "layout", &99u32))
            .await
            .unwrap();
        store.close().await;
        drop(store);
        let refused = Store::open(&dir.path().join("gateway.redb")).unwrap_err();
        assert!(matches!(refused, StoreError::Newer { found: 99, .. }));
    }
}
