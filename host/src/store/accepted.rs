//! Messages of clients that were accepted and are not answered yet: what a crash must not lose.
//!
//! Called by `crate::sessions` alone. One row for each, in order of acceptance, until its run is
//! over; what is found at start was cut off by a crash.

use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::tables::ACCEPTED;
use super::{Store, StoreError, decode, delete, put_json};

/// One accepted message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AcceptedRow {
    /// The client's id of the run.
    pub run_id: String,
    /// Session key.
    pub key: String,
    /// The plain text.
    pub text: String,
    /// Name of the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_label: Option<String>,
    /// When it was accepted, ms.
    pub accepted_at: u64,
}

/// Keeps a message under `place`; places sort in order of acceptance.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub async fn keep(store: &Store, place: String, row: AcceptedRow) -> Result<(), StoreError> {
    store
        .write(move |txn| put_json(txn, ACCEPTED, &place, &row))
        .await
}

/// Forgets messages whose runs are over.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub async fn settle(store: &Store, places: Vec<String>) -> Result<(), StoreError> {
    let job = move |txn: &WriteTransaction| {
        for place in &places {
            delete(txn, ACCEPTED, place)?;
        }
        Ok(())
    };
    store.write(job).await
}

/// All that are kept, in order of acceptance. A damaged one is left out and named in the log.
///
/// # Errors
/// [`StoreError::Io`] when the database fails.
pub fn all(store: &Store) -> Result<Vec<(String, AcceptedRow)>, StoreError> {
    store.read(|txn| {
        let mut found = Vec::new();
        for item in txn.open_table(ACCEPTED)?.iter()? {
            let (place, value) = item?;
            match decode("accepted", place.value(), value.value()) {
                Ok(row) => found.push((place.value().to_owned(), row)),
                Err(error) => tracing::warn!(%error, "accepted message left out"),
            }
        }
        Ok(found)
    })
}
