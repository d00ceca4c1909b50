//! What the black-box tests and benches share: a gateway process, raw clients, device keys,
//! fake providers.
//!
//! Nothing here links the daemon: a test speaks to the real `openclaw` binary over sockets, files
//! and exit codes. Every wait has a bound ([`wait::patience`]) that only a broken gateway reaches;
//! no test depends on how long something takes.
// The bans of clippy.toml are for the daemon: this crate is where processes, clocks and loose
// tasks of the tests live.
#![allow(clippy::disallowed_methods)]

pub mod binaries;
pub mod bot_api;
pub mod bot_api_html;
pub mod bot_api_line;
pub mod bot_api_methods;
pub mod bot_api_state;
pub mod canary;
pub mod cli;
pub mod client;
pub mod coding_agent;
pub mod device;
pub mod flood;
pub mod gateway;
pub mod http;
pub mod llm;
pub mod llm_wire;
pub mod log;
pub mod login;
pub mod ngircd;
pub mod program;
pub mod stranger;
pub mod strict;
pub mod tls;
pub mod transcript;
pub mod wait;
pub mod web;

pub use client::{Client, Close};
pub use device::Device;
pub use gateway::{Gateway, Setup};
pub use login::Login;

#[cfg(test)]
mod bot_api_tests;
