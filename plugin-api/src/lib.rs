//! The SDK for surface plugins: one crate, used by authors (feature `sdk`) and, for its message
//! types alone, by the host. `README.md` next to this crate shows a whole plugin in 30 lines.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`message`] | events, operations, receipts, errors: what travels as JSON |
//! | [`manifest`] | `plugin.json` and its rules |
//! | [`surface`] | the trait an author implements |
//! | [`cx`] | what the host lends: emit, kv, spawn |

pub mod manifest;
pub mod message;

#[cfg(feature = "sdk")]
mod barrier;
#[cfg(feature = "sdk")]
pub mod cx;
#[cfg(feature = "sdk")]
pub mod surface;

pub use gateway_plugin_abi as abi;

/// Everything a plugin's source usually names.
#[cfg(feature = "sdk")]
pub mod prelude {
    pub use crate::cx::Cx;
    pub use crate::message::*;
    pub use crate::surface::{Res, Secret, Surface};
    pub use serde::Deserialize;
    pub use serde_json::Value;
}
