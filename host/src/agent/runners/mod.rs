//! The runners: one file for each way to get an answer, and what they share.

pub mod acp;
pub mod anthropic;
pub mod anthropic_event;
pub mod cli;
pub mod dialect;
pub mod echo;
pub mod openai_chunk;
pub mod openai_compat;
pub mod process;
pub mod sse;
pub mod stream;
