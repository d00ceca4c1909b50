//! What happens by the clock: ticks, the health snapshot, heartbeats, sweeping.

pub mod health;
pub mod heartbeat;
pub mod tick;
