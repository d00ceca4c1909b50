//! The bounds of what is run on this machine for an agent: approvals, commands, coding agents. Part
//! of `limits.rs`.

use std::time::Duration;

/// Longest single argument of a program, bytes: below what the system takes (128 KiB).
pub const CLI_ARGUMENT_BYTES_MAX: usize = 120_000;
/// How much of a program's last complaint goes into the log, characters.
pub const CLI_LAST_WORDS_MAX: usize = 400;
/// Questions to approvers that wait for a decision, or ended a moment ago; more are refused.
pub const APPROVALS_OPEN_MAX: usize = 256;
/// Largest question to approvers, bytes of JSON: each of them sees all of it.
pub const APPROVAL_BYTES_MAX: usize = 64 * 1024;
/// How long approvers have when the asker names no time.
pub const APPROVAL_TIME: Duration = Duration::from_secs(120);
/// Longest time that an asker may give them.
pub const APPROVAL_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// How long the end of a question can still be asked for.
pub const APPROVAL_KEPT: Duration = Duration::from_secs(15);
/// Largest approvals file, bytes.
pub const APPROVALS_FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Between two notes in the file that the same pattern was used, milliseconds: each writes it.
pub const APPROVAL_USE_NOTED_MS: u64 = 60_000;
/// Longest command of which such a note keeps all, characters.
pub const APPROVAL_USE_CHARS_MAX: usize = 400;
/// Longest run of a command that names no time, and of any command.
pub const EXEC_TIME: Duration = Duration::from_secs(120);
/// See [`EXEC_TIME`].
pub const EXEC_TIME_MAX: Duration = Duration::from_secs(1_800);
/// What is kept of a command's output: so many bytes of its beginning and of its end. A tool's
/// answer holds both.
pub const EXEC_OUTPUT_KEPT: (usize, usize) = (10_000, 18_000);
/// How long the output of a command that ended is still read: what it started may hold it open.
pub const EXEC_OUTPUT_GRACE: Duration = Duration::from_secs(2);
/// Longest line of a coding agent, bytes: a whole file may be in one.
pub const ACP_LINE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest wait for a coding agent to be ready for a message.
pub const ACP_READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a coding agent has to end by itself when its answer is not wanted any more.
pub const ACP_CANCEL_GRACE: Duration = Duration::from_secs(2);
/// Tools of one answer of a coding agent whose names are kept, for what is said of them later.
pub const ACP_TOOLS_KEPT_MAX: usize = 1_000;
/// Longest detail of what a coding agent wants to do that approvers are shown, characters.
pub const ACP_DETAIL_CHARS_MAX: usize = 4_000;
