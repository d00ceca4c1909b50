//! Authentication: bytes and values in, a verdict out. No clock, no store; only
//! [`rate`] and [`tailscale`] remember, and only the latter asks somebody else.
//!
//! The order in which the handshake asks them is the wire's and lives in `connection::handshake`.

pub mod local;
pub mod origin;
pub mod proxy;
pub mod rate;
pub mod scopes;
pub mod secret;
pub mod signature;
pub mod tailscale;

#[cfg(test)]
mod fuzz;
