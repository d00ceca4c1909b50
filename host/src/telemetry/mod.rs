//! The log: lines for people on standard output, and the same lines in the state folder's file.
//!
//! Set up once by `gateway`. Writing never blocks a task: lines go through a bounded queue to one
//! thread; what doesn't fit is dropped, counted, and the count is logged.

mod log;

pub use log::{LogGuard, LogOptions, start};
