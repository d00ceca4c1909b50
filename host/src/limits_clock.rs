//! The bounds of what happens by the clock, and of small things that clients share: heartbeats,
//! cron jobs, the end of the log, wake words. Part of `limits.rs`.

use std::time::Duration;

/// Requests waiting for the cron task; askers wait beyond it.
pub const CRON_QUEUE_MAX: usize = 256;
/// Lines of the log that `logs.tail` gives when it is not told how many.
pub const LOG_TAIL_LINES: usize = 500;
/// How much of the log it reads when it is not told, bytes.
pub const LOG_TAIL_BYTES: u64 = 250_000;
/// Words that wake a phone.
pub const VOICE_TRIGGERS_MAX: usize = 32;
/// Longest of them, characters.
pub const VOICE_TRIGGER_CHARS_MAX: usize = 64;
/// Cron jobs.
pub const CRON_JOBS_MAX: usize = 5_000;
/// Finished runs of one job that are kept; the oldest go first.
pub const CRON_RUNS_EACH_MAX: usize = 2_000;
/// The same of all jobs: a list of all reads each of them.
pub const CRON_RUNS_MAX: usize = 20_000;
/// Reminders that wait for the main session; beyond it a job is skipped, and its log says so.
pub const CRON_REMINDERS_MAX: usize = 200;
/// Longest cron expression, bytes.
pub const CRON_EXPR_BYTES_MAX: usize = 256;
/// Runs whose sessions are forgotten at a time.
pub const CRON_FORGET_MAX: usize = 1_000;
/// How long the sessions of runs are kept when nothing is said about it.
pub const CRON_SESSION_RETENTION: Duration = Duration::from_secs(24 * 3_600);
/// Between two looks for sessions of runs to be forgotten, milliseconds.
pub const CRON_FORGET_INTERVAL_MS: u64 = 600_000;
/// How much of an answer the run log keeps, characters.
pub const CRON_SUMMARY_CHARS_MAX: usize = 2_000;
/// Entries of one page of `cron.list` and `cron.runs` when nobody says how many, and at most
/// when somebody does.
pub const CRON_PAGE_DEFAULT: u64 = 50;
/// See [`CRON_PAGE_DEFAULT`].
pub const CRON_PAGE_MAX: u64 = 5_000;
/// Jobs that were missed while the gateway was away and run at once; the others follow.
pub const CRON_MISSED_AT_ONCE: usize = 5;
/// Failures in a row of which somebody is told who did not say after how many.
pub const CRON_ALERT_AFTER: u64 = 2;
/// Between the first wish to wake an agent and its look-around: wishes that come together are one.
pub const HEARTBEAT_WAKE_DELAY: Duration = Duration::from_millis(250);
/// Longest time between two looks at what the configuration says about heartbeats.
pub const HEARTBEAT_LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// How long the same words of a heartbeat are not sent again, milliseconds.
pub const HEARTBEAT_REPEAT_MS: u64 = 24 * 3_600_000;
/// How much of a heartbeat's words its event shows, characters.
pub const HEARTBEAT_PREVIEW_CHARS_MAX: usize = 200;
/// Longest sleep of the cron task: bounds what a changed clock does.
pub const CRON_TIMER_MAX: Duration = Duration::from_secs(60);
/// Longest turn of an agent for a job that names no time.
pub const CRON_TURN_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Between two runs of one job at least, milliseconds.
pub const CRON_REFIRE_MS: u64 = 1_000;
/// Spread of jobs that run at the full hour and name no other, milliseconds.
pub const CRON_STAGGER_MS: u64 = 300_000;
/// How far ahead a job may be planned, milliseconds (10 years of 365.25 days).
pub const CRON_AHEAD_MS_MAX: u64 = 315_576_000_000;
/// Between two missed jobs that follow the first ones, milliseconds.
pub const CRON_MISSED_SPACING_MS: u64 = 5_000;
/// After so long a run that never ended counts as lost, milliseconds.
pub const CRON_STUCK_MS: u64 = 2 * 3_600_000;
/// Not sooner is somebody told again that a job keeps failing, milliseconds.
pub const CRON_ALERT_COOLDOWN_MS: u64 = 3_600_000;
/// Longest wait for a connection to a web server that a job's answer goes to.
pub const CRON_WEBHOOK_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest request to it.
pub const CRON_WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
