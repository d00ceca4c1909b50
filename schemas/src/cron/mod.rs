//! Jobs that run by the clock: `cron.*` and the event `cron` (`cron.json`).

mod params;
mod runs;

pub use params::{
    CronAddParams, CronDeliveryPatch, CronEnabledFilter, CronListParams, CronPatch,
    CronPayloadPatch, CronRemoveParams, CronRunMode, CronRunParams, CronSortBy, CronSortDir,
    CronUpdateParams, JobRef,
};
pub use runs::{
    CronAction, CronEvent, CronRunEntry, CronRuns, CronRunsParams, CronRunsScope, CronStatusFilter,
    CronUsage,
};

use crate::system::WakeMode;
use crate::wire;
use serde::{Deserialize, Serialize};

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub enum CronSchedule {
    /// Once.
    At {
        /// ISO-8601.
        at: String,
    },
    /// Again and again.
    Every {
        /// The interval.
        #[serde(deserialize_with = "wire::int")]
        every_ms: u64,
        /// A moment of the row; the job's making when absent.
        #[serde(
            default,
            deserialize_with = "wire::int_opt",
            skip_serializing_if = "Option::is_none"
        )]
        anchor_ms: Option<u64>,
    },
    /// By the calendar.
    Cron {
        /// Five or six fields.
        expr: String,
        /// IANA name; the host's zone when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tz: Option<String>,
        /// Jobs are spread over so much time after the moment.
        #[serde(
            default,
            deserialize_with = "wire::int_opt",
            skip_serializing_if = "Option::is_none"
        )]
        stagger_ms: Option<u64>,
    },
}

/// In which session a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronTarget {
    /// The main one.
    Main,
    /// One of its own.
    Isolated,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum CronPayload {
    /// Tells the main session something.
    SystemEvent {
        /// What.
        text: String,
    },
    /// Asks the agent something.
    AgentTurn(Box<CronTurn>),
}

/// What the agent is asked, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronTurn {
    /// The words.
    pub message: String,
    /// How it is run.
    #[serde(flatten)]
    pub options: CronTurnOptions,
}

/// How the agent is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronTurnOptions {
    /// Model instead of the agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Models to try after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallbacks: Option<Vec<String>>,
    /// Thinking level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thinking: Option<String>,
    /// Longest run; 0 for no limit.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout_seconds: Option<u64>,
    /// Kept for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_unsafe_external_content: Option<bool>,
    /// Kept for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub light_context: Option<bool>,
    /// Older spelling of `delivery`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver: Option<bool>,
    /// Older spelling of `delivery.channel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Older spelling of `delivery.to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Older spelling of `delivery.bestEffort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_effort_deliver: Option<bool>,
}

/// How an answer leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronDeliveryMode {
    /// Not at all.
    None,
    /// To a chat.
    Announce,
    /// To a web server.
    Webhook,
}

/// How a failure is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronAlertMode {
    /// To a chat.
    Announce,
    /// To a web server.
    Webhook,
}

/// Where the answer goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronDelivery {
    /// How.
    pub mode: CronDeliveryMode,
    /// `last` or a channel id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The provider's target, or the URL of the web server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Account of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// An answer that does not arrive is no failure of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_effort: Option<bool>,
    /// Where failures are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_destination: Option<CronFailureDestination>,
}

/// Where failures are told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronFailureDestination {
    /// `last` or a channel id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The provider's target, or the URL of the web server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Account of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CronAlertMode>,
}

/// When somebody is told that a job keeps failing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronAlertRule {
    /// After so many failures in a row.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub after: Option<u64>,
    /// `last` or a channel id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The provider's target, or the URL of the web server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Not again before.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub cooldown_ms: Option<u64>,
    /// How.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CronAlertMode>,
    /// Account of the channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// The same, or false for never.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CronFailureAlert {
    /// Always false: never.
    Off(bool),
    /// By this rule.
    Rule(CronAlertRule),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronRunStatus {
    /// Well.
    Ok,
    /// Badly.
    Error,
    /// It did not begin.
    Skipped,
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CronDeliveryStatus {
    /// It arrived.
    Delivered,
    /// It did not.
    NotDelivered,
    /// Nobody knows.
    Unknown,
    /// Nobody wanted it.
    NotRequested,
}

/// What became of a job so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CronState {
    /// When it runs next.
    #[serde(
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub next_run_at_ms: Option<u64>,
    /// It runs, since then.
    #[serde(
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub running_at_ms: Option<u64>,
    /// When it ran last.
    #[serde(
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_run_at_ms: Option<u64>,
    /// How that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run_status: Option<CronRunStatus>,
    /// The same under its older name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_status: Option<CronRunStatus>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// What kind of failure that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error_reason: Option<String>,
    /// How long it took.
    #[serde(
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_duration_ms: Option<u64>,
    /// Failures in a row.
    #[serde(
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub consecutive_errors: Option<u64>,
    /// Its answer arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivered: Option<bool>,
    /// What became of its answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivery_status: Option<CronDeliveryStatus>,
    /// Why it did not arrive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_delivery_error: Option<String>,
    /// When somebody was told of its failures.
    #[serde(
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_failure_alert_at_ms: Option<u64>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronJob {
    /// A uuid.
    pub id: String,
    /// Name to show.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whose; the default agent's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Session whose last route answers take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// It runs by the clock.
    pub enabled: bool,
    /// It is gone after its first good run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    /// When it was made.
    pub created_at_ms: u64,
    /// When it was changed last.
    pub updated_at_ms: u64,
    /// When it runs.
    pub schedule: CronSchedule,
    /// Where it runs.
    pub session_target: CronTarget,
    /// When the main session hears of it.
    pub wake_mode: WakeMode,
    /// What it does.
    pub payload: CronPayload,
    /// Where its answer goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<CronDelivery>,
    /// When somebody is told that it keeps failing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_alert: Option<CronFailureAlert>,
    /// What became of it so far.
    pub state: CronState,
}

/// Result of `cron.list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronList {
    /// The page.
    pub jobs: Vec<CronJob>,
    /// All that fit.
    pub total: u64,
    /// Jobs before the page.
    pub offset: u64,
    /// Size of a page.
    pub limit: u64,
    /// There is another page.
    pub has_more: bool,
    /// Where it begins.
    pub next_offset: Option<u64>,
}

/// Result of `cron.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronStatus {
    /// Jobs run by the clock.
    pub enabled: bool,
    /// Where clients expect them.
    pub store_path: String,
    /// How many there are.
    pub jobs: u64,
    /// When the next one is due.
    pub next_wake_at_ms: Option<u64>,
}

/// Result of `cron.remove`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronRemoved {
    /// Always true.
    pub ok: bool,
    /// False when there was no such job.
    pub removed: bool,
}

/// Result of `cron.run`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronRan {
    /// Always true.
    pub ok: bool,
    /// It will run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enqueued: Option<bool>,
    /// Its name in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// False when it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran: Option<bool>,
    /// Why it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<CronNotRun>,
}

/// Why a job does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CronNotRun {
    /// Its time has not come.
    NotDue,
    /// It runs.
    AlreadyRunning,
}
