//! The SDK for surface plugins: one crate, used by authors (feature `sdk`) and, for its message
//! types and the conformance checks alone, by the host. `README.md` beside this crate is the guide.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`message`] | events, operations, receipts, errors: what travels as JSON |
//! | [`manifest`] | `plugin.json` and its rules |
//! | `surface` | the trait an author implements |
//! | `backoff` | how long to wait before trying again |
//! | `cx` | what the host lends: emit, kv, spawn |
//! | `export` | `export_plugin!` |
//! | `testkit` | a mock host and checks for a plugin's own tests |
//! | `conformance` | what every surface must do, as a list of checks; `conformance!` |
//! | `dispatch`, `runtime`, `barrier`, `log` | the machinery between frames and the trait |

pub mod manifest;
pub mod message;

#[cfg(feature = "sdk")]
pub mod backoff;
#[cfg(feature = "sdk")]
pub mod surface;
#[cfg(feature = "sdk")]
mod barrier;
#[cfg(feature = "sdk")]
mod log;
#[cfg(feature = "sdk")]
pub mod cx;
#[cfg(feature = "sdk")]
pub mod dispatch;
#[cfg(feature = "sdk")]
pub mod runtime;
#[cfg(feature = "sdk")]
pub mod export;
#[cfg(feature = "sdk")]
pub mod testkit;
#[cfg(feature = "conformance")]
pub mod conformance;

pub use gateway_plugin_abi as abi;
#[cfg(feature = "sdk")]
pub use {tokio, tracing};

/// Everything a plugin's source usually names.
#[cfg(feature = "sdk")]
pub mod prelude {
    pub use crate::cx::Cx;
    pub use crate::export_plugin;
    pub use crate::message::*;
    pub use crate::surface::{Res, Secret, Surface};
    pub use serde::Deserialize;
    pub use serde_json::Value;
}

/// The guide, so that its snippets are compiled.
#[cfg(all(doctest, feature = "sdk"))]
#[doc = include_str!("../README.md")]
struct Guide;
