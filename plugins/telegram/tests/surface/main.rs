//! The surface as the gateway drives it, against the fake Bot API.
//!
//! No test depends on time: polls are held as long as Telegram allows, delays after failures are a
//! millisecond, and every wait is for an event or a call.
#![allow(clippy::unwrap_used)]

mod inbound;
mod outbound;
mod world;
