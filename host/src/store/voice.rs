//! The words that wake a phone, on disk. Called by `methods/voice.rs` alone.

use redb::{ReadTransaction, WriteTransaction};

use super::tables::PREFERENCES;
use super::{StoreError, get_json, put_json};

const TRIGGERS: &str = "voicewake.triggers";

/// The chosen words, if somebody chose.
///
/// # Errors
/// [`StoreError`] when the database fails or the list is damaged.
pub fn triggers(txn: &ReadTransaction) -> Result<Option<Vec<String>>, StoreError> {
    get_json(&txn.open_table(PREFERENCES)?, "preferences", TRIGGERS)
}

/// Keeps the chosen words.
///
/// # Errors
/// [`StoreError`] when the database fails.
pub fn set_triggers(txn: &WriteTransaction, triggers: &[String]) -> Result<(), StoreError> {
    put_json(txn, PREFERENCES, TRIGGERS, &triggers)
}
