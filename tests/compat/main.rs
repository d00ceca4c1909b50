//! What clients nobody here wrote send and expect: signature vectors, recorded conversations
//! replayed against the gateway, and the real programs.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod aimock;
mod browser;
mod control_ui;
mod frozen;
mod likeness;
mod openai;
mod real_cli;
mod real_coding_agent;
mod reference;
mod replay;
mod strict;
mod vectors;
