//! What clients send to `cron.*`.

use super::{
    CronDelivery, CronDeliveryMode, CronFailureAlert, CronFailureDestination, CronPayload,
    CronSchedule, CronState, CronTarget, CronTurnOptions,
};
use crate::system::WakeMode;
use crate::wire::{self, Nullable};
use serde::{Deserialize, Serialize};

/// Params of `cron.add`, once lenient input has been put in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronAddParams {
    /// Name to show.
    pub name: String,
    /// Whose.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub agent_id: Nullable<String>,
    /// Session whose last route answers take.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_key: Nullable<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// It runs by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// It is gone after its first good run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
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
}

/// What changes of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CronPatch {
    /// Name to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whose; null for the default agent's.
    #[serde(
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub agent_id: Nullable<String>,
    /// Session whose last route answers take; null for none.
    #[serde(
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_key: Nullable<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// It runs by the clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// It is gone after its first good run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_after_run: Option<bool>,
    /// When it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CronSchedule>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_target: Option<CronTarget>,
    /// When the main session hears of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wake_mode: Option<WakeMode>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<CronPayloadPatch>,
    /// Where its answer goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<CronDeliveryPatch>,
    /// When somebody is told that it keeps failing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_alert: Option<CronFailureAlert>,
    /// What became of it so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<CronState>,
}

/// What changes of what a job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum CronPayloadPatch {
    /// Tells the main session something.
    SystemEvent {
        /// What.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
    },
    /// Asks the agent something.
    AgentTurn {
        /// The words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// How it is run.
        #[serde(flatten)]
        options: Box<CronTurnOptions>,
    },
}

/// What changes of where the answer goes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CronDeliveryPatch {
    /// How.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<CronDeliveryMode>,
    /// `last` or a channel id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The provider's target, or the URL of the web server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Account of the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// An answer that does not arrive is no failure of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_effort: Option<bool>,
    /// Where failures are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_destination: Option<CronFailureDestination>,
}

/// The job that is meant: `id` or `jobId`, whichever a client knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum JobRef {
    /// `id`
    Id {
        /// The job.
        id: String,
    },
    /// `jobId`
    JobId {
        /// The job.
        #[serde(rename = "jobId")]
        job_id: String,
    },
}

impl JobRef {
    /// The job's id.
    pub fn id(&self) -> &str {
        match self {
            JobRef::Id { id } | JobRef::JobId { job_id: id } => id,
        }
    }
}

/// Params of `cron.update`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CronUpdateParams {
    /// Which.
    #[serde(flatten)]
    pub job: JobRef,
    /// What changes.
    pub patch: CronPatch,
}

/// Params of `cron.remove`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CronRemoveParams {
    /// Which.
    #[serde(flatten)]
    pub job: JobRef,
}

/// Params of `cron.run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CronRunParams {
    /// Which.
    #[serde(flatten)]
    pub job: JobRef,
    /// Whether its time must have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<CronRunMode>,
}

/// Whether a job's time must have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronRunMode {
    /// It must.
    Due,
    /// It runs in any case.
    Force,
}

/// Params of `cron.list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CronListParams {
    /// With those that are off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_disabled: Option<bool>,
    /// Size of a page.
    #[serde(
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub limit: Option<u64>,
    /// Jobs before the page.
    #[serde(
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub offset: Option<u64>,
    /// Only jobs that contain this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Only those on or off; wins over `includeDisabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<CronEnabledFilter>,
    /// Order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_by: Option<CronSortBy>,
    /// Its direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_dir: Option<CronSortDir>,
}

/// Which jobs are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronEnabledFilter {
    /// All.
    All,
    /// Those that run by the clock.
    Enabled,
    /// The others.
    Disabled,
}

/// By what a list is put in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CronSortBy {
    /// The next run.
    NextRunAtMs,
    /// The last change.
    UpdatedAtMs,
    /// The name.
    Name,
}

/// In which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronSortDir {
    /// Smallest first.
    Asc,
    /// Largest first.
    Desc,
}
