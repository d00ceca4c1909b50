//! The contract with clients: JSON Schemas, Rust types, catalogues and validation.
//!
//! The JSON files beside `src/` are the law; every Rust file has the name of its JSON file.
//! Used by the host (which serialises only these types for clients) and by the command line
//! (which reads them). There is no I/O here and no async runtime. README.md tells how schema,
//! type and example hang together and how to add one.
//!
//! * [`frame`], [`error`]: the envelope every message travels in
//! * [`catalogue`]: which methods and events exist and who may use them
//! * [`validate`]: whether a text obeys the law, and the wire's wording when it does not
//! * one module for each group of methods and events

mod law;
mod tree;
mod walk;
mod wire;

pub mod error;
pub mod frame;

pub mod catalogue;
pub mod validate;
pub mod nodes;
pub mod voice;

pub mod agent;
pub mod agents;
pub mod approvals;
pub mod channels;
pub mod chat;
pub mod config;
pub mod connect;
pub mod cron;
pub mod devices;
pub mod plugins;
pub mod presence;
pub mod send;
pub mod sessions;
pub mod skills;
pub mod system;
pub mod usage;

pub use wire::Nullable;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod fuzz;
