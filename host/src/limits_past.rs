//! The bounds of what was said before: what waits to be answered together, what a session still
//! knows of itself, what is taken over from elsewhere. Part of `limits.rs`.

/// Messages that are answered together, when the configuration names no number.
pub const QUEUE_CAP: usize = 20;
/// Transcripts before a reset that a session still knows.
pub const SESSION_EARLIER_MAX: usize = 200;
/// Largest file of a state folder that is imported, bytes: it is in memory while it is read.
pub const IMPORT_FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Messages of an import that are written at once, about.
pub const IMPORT_BATCH_MESSAGES: usize = 20_000;
/// Things left out of an import that are named one by one.
pub const IMPORT_SKIPPED_SHOWN_MAX: usize = 1_000;
