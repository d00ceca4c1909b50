//! The bounds of what programs ask over HTTP. Part of `limits.rs`.

use std::time::Duration;

/// Largest request to `/v1/chat/completions` and `/v1/responses` when the configuration names no
/// size, bytes: it may hold pictures.
pub const API_BODY_BYTES: usize = 20_000_000;
/// The most that the configuration may name.
pub const API_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest request to `/tools/invoke` and `/mcp`, bytes.
pub const TOOL_BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Largest request to a hook when the configuration names no size, bytes.
pub const HOOK_BODY_BYTES: usize = 256 * 1024;
/// Requests over [`HOOK_BODY_BYTES`] that are read at the same time; others wait.
pub const LARGE_BODIES_AT_ONCE_MAX: usize = 8;
/// Longest wait for the whole of a request's body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(120);
/// Pictures of one request when the configuration names no number.
pub const API_IMAGES: usize = 8;
/// Bytes of all of them.
pub const API_IMAGES_BYTES: usize = 20_000_000;
/// Files of one request.
pub const API_FILES_MAX: usize = 8;
/// Largest of them when the configuration names no size, bytes.
pub const API_FILE_BYTES: usize = 5_000_000;
/// Characters of one of them that a model reads.
pub const API_FILE_CHARS: usize = 200_000;
/// How long the head of a streamed answer waits for the first word: until then a failure can be
/// told by its status.
pub const STREAM_HEAD_WAIT: Duration = Duration::from_secs(5);
/// Between two signs of life in a stream without words.
pub const STREAM_KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest name of a place below `hooks.path`, bytes.
pub const HOOK_NAME_BYTES_MAX: usize = 256;
/// Longest idempotency key of a hook, characters.
pub const HOOK_KEY_CHARS_MAX: usize = 256;
/// Longest words that a template makes, characters.
pub const HOOK_TEXT_CHARS_MAX: usize = 100_000;
/// How much of a hook's answer the main session is told, characters.
pub const HOOK_SUMMARY_CHARS_MAX: usize = 2_000;
/// Wrong hook tokens of one address in [`HOOK_WINDOW_MS`] after which it has to wait as long.
pub const HOOK_FAILURES_MAX: u32 = 20;
/// See [`HOOK_FAILURES_MAX`], milliseconds.
pub const HOOK_WINDOW_MS: u64 = 60_000;
