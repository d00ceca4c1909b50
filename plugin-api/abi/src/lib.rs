//! The frozen binary boundary between the gateway and its plugins: four functions, two tables, one
//! frame, one file section. Used by the SDK (plugin side) and by the host's loader; authors never
//! see it. Everything that may evolve travels as JSON inside a frame; nothing here ever changes
//! within ABI major 1, and this crate stays at version 1.x because the layout check compares it.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`table`] | `Frame`, `Blob`, `HostApi`, `PluginApi`, their sizes and offsets |
//! | [`section`] | what a plugin's file carries about itself |
//! | [`module`] | the same table as an abi_stable root module, for the layout check |
//! | [`blob`] | owned bytes across the boundary, safe to use from both sides |
//!
//! Rules of the boundary
//! 1. A frame's `body` is borrowed for the call. Its `blob` moves to the receiver, who releases it
//!    exactly once, whatever the answer: no side frees the other's memory.
//! 2. `deliver` never blocks and never unwinds, in either direction.
//! 3. `size` is the writer's size; a reader touches only what it covers.
//! 4. A host's `ctx` is a number, not a pointer: an invented one is answered `CLOSED`.
//! 5. After `close` returned the plugin does not call the host for that instance any more. The
//!    host never calls `close` from within a call of the plugin, nor before its own calls into the
//!    instance have returned.
#![allow(unsafe_code)]

pub mod blob;
pub mod module;
pub mod section;
pub mod table;

pub use blob::{Foreign, Owned};
pub use section::{FINGERPRINT, MAGIC, SECTION, SPEC, SectionHeader};
pub use table::{Blob, EntryFn, Frame, HostApi, PluginApi, Slice};

/// The major of this contract.
pub const ABI_MAJOR: u16 = 1;

/// The symbol of a plugin's entry function, an [`EntryFn`].
pub const ENTRY_SYMBOL: &str = "gw_plugin_entry_v1";

/// The symbol of the data in [`SECTION`].
pub const MANIFEST_SYMBOL: &str = "GW_PLUGIN_MANIFEST_V1";

/// What a frame is. The same in both directions.
pub mod kind {
    /// Asks for something; answered by a RESPONSE of the same id.
    pub const REQUEST: u32 = 1;
    /// The asker of `id` no longer waits.
    pub const CANCEL: u32 = 2;
    /// Answers a REQUEST, or an EVENT whose id is not 0. Status 0 is success, 1 an error body.
    pub const RESPONSE: u32 = 3;
    /// Grants `id` more events.
    pub const CREDIT: u32 = 4;
    /// Something happened; spends one credit.
    pub const EVENT: u32 = 5;
    /// A line of the plugin's log; may be dropped.
    pub const LOG: u32 = 6;
    /// The plugin asks to be started anew.
    pub const FATAL: u32 = 7;
}

/// What `deliver`, `open` and `close` answer.
pub mod rc {
    /// Taken.
    pub const OK: i32 = 0;
    /// No room now; nothing was taken, no credit spent.
    pub const BUSY: i32 = -1;
    /// There is no such instance any more.
    pub const CLOSED: i32 = -2;
    /// The frame makes no sense.
    pub const BAD_FRAME: i32 = -3;
    /// Something panicked on the called side.
    pub const PANIC: i32 = -4;
    /// The called side does not know this.
    pub const UNSUPPORTED: i32 = -5;
}

#[cfg(test)]
mod header_test;
