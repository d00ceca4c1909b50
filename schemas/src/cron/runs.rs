//! Runs of jobs: `cron.runs` and the event `cron`.

use super::{CronDeliveryStatus, CronRunStatus, CronSortDir};
use crate::wire;
use serde::{Deserialize, Serialize};

/// Params of `cron.runs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CronRunsParams {
    /// Of one job or of all; by whether a job is named when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<CronRunsScope>,
    /// The job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The same under its other name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
    /// Size of a page.
    #[serde(
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub limit: Option<u64>,
    /// Runs before the page.
    #[serde(
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub offset: Option<u64>,
    /// Only with one of these ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statuses: Option<Vec<CronRunStatus>>,
    /// Only with this end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<CronStatusFilter>,
    /// Only with one of these deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_statuses: Option<Vec<CronDeliveryStatus>>,
    /// Only with this delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_status: Option<CronDeliveryStatus>,
    /// Only runs that contain this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// By time; newest first when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort_dir: Option<CronSortDir>,
}

/// Of one job or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronRunsScope {
    /// Of one.
    Job,
    /// Of all.
    All,
}

/// Which ends are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronStatusFilter {
    /// All.
    All,
    /// The good ones.
    Ok,
    /// The bad ones.
    Error,
    /// Those that did not begin.
    Skipped,
}

/// Tokens of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CronUsage {
    /// Prompt.
    pub input_tokens: u64,
    /// Answer.
    pub output_tokens: u64,
    /// All.
    pub total_tokens: u64,
    /// Read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read_tokens: Option<u64>,
    /// Written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
}

/// What happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CronAction {
    /// It was made.
    Added,
    /// It was changed.
    Updated,
    /// It is gone.
    Removed,
    /// It runs.
    Started,
    /// It ran.
    Finished,
}

/// Payload of event `cron`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronEvent {
    /// The job.
    pub job_id: String,
    /// What happened.
    pub action: CronAction,
    /// How the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CronRunStatus>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The answer arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<bool>,
    /// What became of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_status: Option<CronDeliveryStatus>,
    /// Why it did not arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_error: Option<String>,
    /// Transcript of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// Session of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_at_ms: Option<u64>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// When the job runs next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_at_ms: Option<u64>,
    /// Model that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<CronUsage>,
}

/// A finished run in the run log: the event, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronRunEntry {
    /// When it was over.
    pub ts: u64,
    /// The event that told of it.
    #[serde(flatten)]
    pub event: CronEvent,
    /// Name of the job, in the list of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
}

/// Result of `cron.runs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronRuns {
    /// The page.
    pub entries: Vec<CronRunEntry>,
    /// All that fit.
    pub total: u64,
    /// Runs before the page.
    pub offset: u64,
    /// Size of a page.
    pub limit: u64,
    /// There is another page.
    pub has_more: bool,
    /// Where it begins.
    pub next_offset: Option<u64>,
}
