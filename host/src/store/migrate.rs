//! Brings a database file to the layout of this program, or refuses it.

use redb::{Database, ReadableTable};

use super::{StoreError, decode, put_json, tables};

/// The layout that this program writes. Raise it together with a step in [`prepare`].
const LAYOUT: u32 = 1;

/// Creates missing tables and checks the layout's version.
///
/// # Errors
/// [`StoreError::Newer`] for a file of a later gateway; [`StoreError::Io`] otherwise.
pub(super) fn prepare(db: &Database) -> Result<(), StoreError> {
    let txn = db.begin_write()?;
    for table in tables::ALL {
        txn.open_table(*table)?;
    }
    let found: Option<u32> = txn
        .open_table(tables::META)?
        .get("layout")?
        .map(|v| decode("meta", "layout", v.value()))
        .transpose()?;
    match found {
        Some(LAYOUT) => {}
        None => put_json(&txn, tables::META, "layout", &LAYOUT)?,
        Some(found) => {
            return Err(StoreError::Newer {
                found,
                known: LAYOUT,
            });
        }
    }
    txn.commit()?;
    Ok(())
}
