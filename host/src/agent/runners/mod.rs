//! The runners: one file for each way to get an answer, and what they share.

pub mod anthropic;
pub mod anthropic_event;
pub mod dialect;
pub mod echo;
pub mod openai_chunk;
pub mod openai_compat;
pub mod sse;
pub mod stream;
