//! The runners: one file for each way to get an answer.

pub mod echo;
pub mod openai_chunk;
pub mod openai_compat;
pub mod sse;
