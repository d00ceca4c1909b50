//! The messaging gateway as a library: the map of the daemon.
//!
//! The order of the `mod` lines below is the order of the floors: a module uses only modules
//! above its own line (`tests/tidy.rs` checks it). Read top-down to learn the code.

/// Version of the gateway, told to clients and shown by `--version`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

// ── ground: words and numbers
pub mod limits;
pub mod error;
pub mod spell;
pub mod clock;
pub mod files;
pub mod memory;
pub mod shutdown;
pub mod telemetry;
pub mod config;
pub mod workspace;
pub mod skills;
// ── services: no life of their own
pub mod auth;
pub mod identity;
pub mod store;
pub mod hub;
pub mod plugins;
// ── owners: each owns one kind of state
pub mod dedupe;
pub mod presence;
pub mod devices;
pub mod approvals;
pub mod nodes;
pub mod channels;
pub mod sessions;
pub mod agent;
// ── use cases: owners put together
pub mod router;
pub mod reload;
pub mod timers;
pub mod cron;
pub mod tools;
pub mod import;
pub mod methods;
// ── edges: sockets
pub mod connection;
pub mod http;
// ── roof
pub mod gateway;
pub mod cli;
