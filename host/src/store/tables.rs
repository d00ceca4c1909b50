//! Every table of the database in one list: name, key, value, who owns it and why it is there.
//!
//! Values are JSON of a private type in the owner's file of this folder, unless said otherwise.
//! All writes are durable (fsync) when [`super::Store::write`] resolves.

use super::JsonTable;

/// `layout` → version of the whole file (owner: `store::migrate`).
pub const META: JsonTable = JsonTable::new("meta");
/// Device id → paired device (owner: `devices`). Holds no token, only generations.
pub const DEVICES: JsonTable = JsonTable::new("devices");
/// Request id → pending pairing request (owner: `devices`).
pub const PENDING: JsonTable = JsonTable::new("pairing_pending");

/// All tables, so that each exists before the first reader asks for it.
pub const ALL: &[JsonTable] = &[META, DEVICES, PENDING];
