//! Channels: accounts, their settings and what they send.

pub mod access;
pub mod backoff;
pub mod catalogue;
pub mod lanes;
pub mod settings;
