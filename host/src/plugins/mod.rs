//! The host's side of the plugin boundary: from `plugins.toml` to running instances.
//!
//! | file | what it does |
//! | --- | --- |
//! | `file` | reads `plugins.toml` |
//! | `directory` | which plugin serves which channel, and why others don't |
//! | `plugin` | one plugin that may be opened |
//! | `inspect` | reads a library's bytes; no code of it runs |
//! | `access` | who else may write to its file |
//! | `verify`, `signature` | its digest and its signature against `plugins.toml` |
//! | `offer` | a library before `plugins.toml` names it |
//! | `registry` | the index of plugins that can be installed by name |
//! | `store` | the read-only copies that are loaded |
//! | `library` | `dlopen` and the layout check, at the first account |
//! | `instance`, `inbound` | one account: operations in, events out |
//! | `line`, `intake`, `calls`, `logs` | its frames, both ways |
//! | `child` | an instance in a process of its own |
//! | `abilities` | what it may be asked for |
//! | `supervise` | when it must be started anew |
//! | `kv` | its state |
//! | `trial` | one library file on trial: the conformance checks from outside |
//!
//! [`Plugins::load`] is called once at start, `channels` opens instances. Their bounds stand in
//! `limits.rs`.

mod abilities;
mod access;
mod calls;
pub mod child;
mod directory;
pub mod file;
pub mod inspect;
mod inbound;
mod instance;
mod intake;
mod kv;
mod library;
mod line;
mod logs;
mod offer;
mod plugin;
mod refusal;
pub mod registry;
pub mod signature;
pub mod store;
pub mod supervise;
mod trial;
pub mod verify;
#[cfg(test)]
mod tests;

pub use directory::{PluginProblem, PluginRow, Plugins, RowState};
pub use file::PluginsFileError;
pub use gateway_plugin::manifest::Manifest;
pub use inbound::{Ack, Inbound, InboundEvent};
pub use instance::{AccountStart, Instance, InstanceState};
pub use kv::{KvError, KvStore, KvWrite, StoreKv};
pub use offer::{Offer, Publisher};
pub use plugin::{Plugin, PluginError};
pub use refusal::Refusal;
pub use trial::{Trial, TrialAccount, TrialStates};
pub use verify::digest;

/// The message schema this gateway speaks, `1.N`.
pub fn host_api() -> String {
    use gateway_plugin::manifest::{API_MAJOR, API_MINOR};
    format!("{API_MAJOR}.{API_MINOR}")
}
