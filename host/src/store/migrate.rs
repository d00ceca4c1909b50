//! Brings a database file to the layout of this program, or refuses it.

use redb::{Database, ReadableTable, WriteTransaction};

use super::{StoreError, decode, put_json, session_order, tables};

/// The layout that this program writes: one more than there are steps.
const LAYOUT: u32 = STEPS.len() as u32 + 1;

type Step = fn(&WriteTransaction) -> Result<(), StoreError>;

/// What leads from each layout to the next, from the first one on.
const STEPS: [Step; 1] = [
    // 2: sessions in order of their last change.
    session_order::build,
];

/// Creates missing tables, and takes the steps that a file of an earlier gateway needs: all in one
/// transaction.
///
/// # Errors
/// [`StoreError::Newer`] for a file of a later gateway; [`StoreError`] otherwise.
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
    let found = found.unwrap_or(LAYOUT);
    if found > LAYOUT || found == 0 {
        let known = LAYOUT;
        return Err(StoreError::Newer { found, known });
    }
    for step in STEPS.iter().skip(found as usize - 1) {
        step(&txn)?;
    }
    put_json(&txn, tables::META, "layout", &LAYOUT)?;
    txn.commit()?;
    Ok(())
}
