//! The log: lines for people on standard output, the same as JSON lines in the state folder's file.
//!
//! Set up once by `gateway`. Writing never blocks a task: lines go through a bounded queue to one
//! thread; what doesn't fit is dropped, counted, and the count is logged.

mod json;
mod log;
pub mod tail;

pub use log::{LogGuard, LogOptions, start};
