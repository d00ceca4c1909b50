//! `cron` of `openclaw.json`: jobs that run by the clock.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Secret;
use crate::limits::CRON_SESSION_RETENTION;
use crate::spell::parse_interval;

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
    /// How long the sessions of single runs are kept (`24h`, `7d`), or false: for ever. A day when
    /// absent.
    pub session_retention: Option<CronRetention>,
    /// Keys not used here.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// `cron.sessionRetention`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum CronRetention {
    /// `false`: for ever.
    Limited(bool),
    /// A time such as `24h`.
    For(String),
}

impl CronConfig {
    /// How long the sessions of single runs are kept; none: for ever. What can't be read counts
    /// as absent.
    pub fn retention(&self) -> Option<Duration> {
        match &self.session_retention {
            Some(CronRetention::Limited(false)) => None,
            Some(CronRetention::For(text)) => {
                Some(parse_interval(text).unwrap_or(CRON_SESSION_RETENTION))
            }
            Some(CronRetention::Limited(true)) | None => Some(CRON_SESSION_RETENTION),
        }
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn runs_are_kept_a_day_unless_somebody_says_otherwise() {
        let check = |config: Value, expected: Option<u64>| {
            let read: CronConfig = serde_json::from_value(config.clone()).unwrap();
            assert_eq!(read.retention().map(|d| d.as_secs()), expected, "{config}");
        };
        check(json!({}), Some(86_400));
        check(json!({ "sessionRetention": "7d" }), Some(7 * 86_400));
        check(json!({ "sessionRetention": false }), None);
        check(json!({ "sessionRetention": true }), Some(86_400));
        check(json!({ "sessionRetention": "soon" }), Some(86_400));
    }
}
