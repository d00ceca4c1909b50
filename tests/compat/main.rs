//! What clients nobody here wrote send and expect: signature vectors, recorded conversations
//! replayed against the gateway, and the real programs.
#![allow(clippy::unwrap_used)]

mod likeness;
mod replay;
mod vectors;
