//! `logs.tail`: the end of the gateway's own log.

use std::path::PathBuf;

use gateway_schemas::system::{LogsTail, LogsTailParams};

use super::{Call, Outcome, Reply};
use crate::config::Config;
use crate::error::GatewayError;
use crate::limits::{LOG_TAIL_BYTES, LOG_TAIL_LINES};
use crate::telemetry::tail;

/// `logs.tail`
pub async fn tail(call: Call) -> Outcome {
    let params: LogsTailParams = call.params()?;
    let config = call.parts.config.current();
    let own = config.logging.file.as_ref().map(PathBuf::from);
    let file = own.unwrap_or_else(|| config.paths.log_file());
    let limit = params.limit.and_then(|limit| usize::try_from(limit).ok());
    let (lines, bytes) = (
        limit.unwrap_or(LOG_TAIL_LINES),
        params.max_bytes.unwrap_or(LOG_TAIL_BYTES),
    );
    let read = tail::read(&file, params.cursor, lines, bytes);
    let read =
        read.map_err(|error| GatewayError::unavailable("Error: log read failed").caused_by(error))?;
    let secrets = secrets(&config);
    let shaped = read.lines.iter().map(|line| tail::shaped(line, &secrets));
    Reply::of(&LogsTail {
        file: file.display().to_string(),
        cursor: read.cursor,
        size: read.size,
        lines: shaped.collect(),
        truncated: read.truncated,
        reset: read.reset,
    })
}

/// What must not be shown, should it ever have got into the log.
fn secrets(config: &Config) -> Vec<&str> {
    let auth = &config.gateway.auth;
    let providers = config.models.providers.values();
    let keys = providers.filter_map(|provider| provider.api_key.as_ref());
    [&auth.token, &auth.password, &config.cron.webhook_token]
        .into_iter()
        .flatten()
        .chain(keys)
        .map(|secret| secret.expose())
        .collect()
}
