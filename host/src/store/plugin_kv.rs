//! Key-value state of plugins on disk: one table, keys `<plugin>\0<account>\0<key>`, values as the
//! plugin gave them.
//!
//! `plugins::kv` serves it to plugins. Beside an account's values stands how many bytes they take,
//! under the empty key no plugin can use, so that a quota costs no scan.

use redb::{ReadTransaction, ReadableTable, WriteTransaction};

use super::StoreError;
use super::tables::PLUGIN_KV;

/// Whose state: one plugin's account.
#[derive(Debug, Clone)]
pub struct KvScope {
    prefix: String,
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvOutcome {
    /// It is in this transaction.
    Written,
    /// Nothing was written: so many bytes would be too many.
    OverQuota(u64),
}

impl KvScope {
    /// The state of `account` of `plugin`. Neither id contains a zero byte.
    pub fn new(plugin: &str, account: &str) -> KvScope {
        debug_assert!(!plugin.contains('\0') && !account.contains('\0'));
        KvScope {
            prefix: format!("{plugin}\0{account}\0"),
        }
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// One value.
    ///
    /// # Errors
    /// The database's.
    pub fn get(&self, txn: &ReadTransaction, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let table = txn.open_table(PLUGIN_KV)?;
        Ok(table
            .get(self.key(key).as_str())?
            .map(|value| value.value().to_vec()))
    }

    /// The keys that begin so, sorted.
    ///
    /// # Errors
    /// The database's.
    pub fn list(&self, txn: &ReadTransaction, prefix: &str) -> Result<Vec<String>, StoreError> {
        let table = txn.open_table(PLUGIN_KV)?;
        let from = self.key(prefix);
        let mut keys = Vec::new();
        for row in table.range(from.as_str()..)? {
            let (key, _) = row?;
            let Some(key) = key.value().strip_prefix(&self.prefix) else {
                break;
            };
            if !key.starts_with(prefix) {
                break;
            }
            if !key.is_empty() {
                keys.push(key.to_owned());
            }
        }
        Ok(keys)
    }

    /// Writes one value unless the account would then keep more than `quota` bytes.
    ///
    /// # Errors
    /// The database's.
    pub fn put(
        &self,
        txn: &WriteTransaction,
        key: &str,
        value: &[u8],
        quota: u64,
    ) -> Result<KvOutcome, StoreError> {
        let mut table = txn.open_table(PLUGIN_KV)?;
        let full = self.key(key);
        let old = table
            .get(full.as_str())?
            .map_or(0, |old| cost(key, old.value()));
        let used = self.used(&table)?.saturating_sub(old) + cost(key, value);
        if used > quota {
            return Ok(KvOutcome::OverQuota(used));
        }
        table.insert(full.as_str(), value)?;
        table.insert(self.prefix.as_str(), used.to_le_bytes().as_slice())?;
        Ok(KvOutcome::Written)
    }

    /// Forgets one value.
    ///
    /// # Errors
    /// The database's.
    pub fn del(&self, txn: &WriteTransaction, key: &str) -> Result<(), StoreError> {
        let mut table = txn.open_table(PLUGIN_KV)?;
        let freed = table
            .remove(self.key(key).as_str())?
            .map(|old| cost(key, old.value()));
        if let Some(freed) = freed {
            let used = self.used(&table)?.saturating_sub(freed);
            table.insert(self.prefix.as_str(), used.to_le_bytes().as_slice())?;
        }
        Ok(())
    }

    fn used(
        &self,
        table: &impl ReadableTable<&'static str, &'static [u8]>,
    ) -> Result<u64, StoreError> {
        let stored = table.get(self.prefix.as_str())?;
        let bytes = stored.and_then(|value| value.value().try_into().ok());
        Ok(bytes.map_or(0, u64::from_le_bytes))
    }
}

/// Forgets the state of every account of a plugin; how many values that were.
///
/// # Errors
/// The database's.
pub fn forget(txn: &WriteTransaction, plugin: &str) -> Result<u64, StoreError> {
    let mut table = txn.open_table(PLUGIN_KV)?;
    // From `<plugin>\0` up to the next byte after the separator: this plugin's keys and no other's.
    let (from, to) = (format!("{plugin}\0"), format!("{plugin}\u{1}"));
    let mut values = 0;
    for row in table.extract_from_if(from.as_str()..to.as_str(), |_, _| true)? {
        let (key, _) = row?;
        values += u64::from(!key.value().ends_with('\0'));
    }
    Ok(values)
}

fn cost(key: &str, value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}
