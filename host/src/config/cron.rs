//! `cron` of `openclaw.json`: jobs that run by the clock.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Secret;

/// `cron`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CronConfig {
    /// Jobs run by the clock; true when absent. `OPENCLAW_SKIP_CRON=1` says no as well.
    pub enabled: Option<bool>,
    /// Turns of the agent at a time; 1 when absent.
    pub max_concurrent_runs: Option<usize>,
    /// When a job that failed and runs once is tried again.
    pub retry: CronRetryConfig,
    /// Bearer token for web servers that answers go to.
    pub webhook_token: Option<Secret>,
    /// Names or addresses of this host and its network that answers may go to all the same.
    pub webhook_allowed_hosts: Vec<String>,
    /// When somebody is told that a job keeps failing.
    pub failure_alert: CronAlertConfig,
    /// Where every failure is told.
    pub failure_destination: Option<CronPlaceConfig>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `cron.retry`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CronRetryConfig {
    /// How often; 3 when absent, 10 at most.
    pub max_attempts: Option<u64>,
    /// The waits before each, ms; 30 s, 1 and 5 minutes when absent.
    pub backoff_ms: Option<Vec<u64>>,
    /// For which failures: `rate_limit`, `overloaded`, `network`, `timeout`, `server_error`; all
    /// of them when absent.
    pub retry_on: Option<Vec<String>>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `cron.failureAlert`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CronAlertConfig {
    /// Jobs without a rule of their own are watched too.
    pub enabled: bool,
    /// After so many failures in a row; 2 when absent.
    pub after: Option<u64>,
    /// Not again before, ms; an hour when absent.
    pub cooldown_ms: Option<u64>,
    /// `announce` or `webhook`.
    pub mode: Option<String>,
    /// Account of the channel.
    pub account_id: Option<String>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `cron.failureDestination`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct CronPlaceConfig {
    /// `last` or a channel id.
    pub channel: Option<String>,
    /// The provider's target, or the URL of the web server.
    pub to: Option<String>,
    /// Account of the channel.
    pub account_id: Option<String>,
    /// `announce` or `webhook`.
    pub mode: Option<String>,
}
