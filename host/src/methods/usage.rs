//! `sessions.usage`, `sessions.usage.timeseries`, `sessions.usage.logs`, `usage.cost`,
//! `usage.status`: what conversations used, read from their transcripts.

use std::collections::{BTreeMap, HashSet};

use gateway_schemas::usage as wire;
use serde_json::Value;

use super::sessions::{failed, resolve, store_path};
use super::{Call, Outcome, Reply};
use crate::config::Config;
use crate::error::GatewayError;
use crate::limits;
use crate::sessions::usage::{By, Days, Entry, Tally};
use crate::sessions::{SessionKey, SessionRow, Sessions, shown};
use crate::store::StoreError;
use crate::store::sessions::BodyRow;

/// `usage.status`: no provider tells what is left.
pub async fn status(call: Call) -> Outcome {
    Reply::of(&wire::UsageStatus {
        updated_at: call.parts.clock.now_ms(),
        providers: Vec::new(),
    })
}

/// Runs what reads many transcripts where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, GatewayError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| {
        GatewayError::unavailable("Error: usage could not be counted").caused_by(error)
    })?;
    done.map_err(failed)
}

/// `sessions.usage`
pub async fn sessions(call: Call) -> Outcome {
    let params: wire::SessionsUsageParams = call.params()?;
    let config = call.parts.config.current();
    let now = call.parts.clock.now_ms();
    let refused = |why: String| call.invalid(&why);
    let days = Days::read(params.mode, params.utc_offset.as_deref()).map_err(refused)?;
    let (start, end) = (params.start_date.as_deref(), params.end_date.as_deref());
    let range = days.range(start, end, limits::USAGE_DAYS, now);
    let (from, to) = range.map_err(refused)?;
    let only = params.key.as_deref();
    let only = only.map(|key| resolve(&call, key, &config)).transpose()?;
    let limit = params.limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(limits::USAGE_SESSIONS);
    let limit = limit.min(limits::USAGE_SESSIONS_MAX);
    let all = call.parts.sessions.clone();
    let answer = blocking(move || {
        let mut rows = match only {
            Some(key) => all
                .get(&key)?
                .into_iter()
                .map(|row| (key.clone(), row))
                .collect(),
            None => all.all()?,
        };
        rows.retain(|(_, row)| row.updated_at >= from);
        rows.truncate(limit);
        let (mut sum, mut counted) = (Sum::default(), HashSet::new());
        let mut shown = Vec::with_capacity(rows.len());
        for (key, row) in &rows {
            let own = all.entries(row, (from, to), &mut HashSet::new())?;
            let new = all.entries(row, (from, to), &mut counted)?;
            shown.push(sum.add(&config, key, row, (&own, &new), &days));
        }
        Ok(wire::SessionsUsage {
            updated_at: now,
            start_date: days.of(from),
            end_date: days.of(to),
            sessions: shown,
            totals: sum.all.totals,
            aggregates: sum.all.aggregates(sum.by_agent, sum.by_channel),
        })
    });
    Reply::of(&answer.await?)
}

/// The usage of several sessions.
#[derive(Default)]
struct Sum {
    all: Tally,
    by_agent: BTreeMap<String, wire::UsageTotals>,
    by_channel: BTreeMap<String, wire::UsageTotals>,
}

impl Sum {
    fn add(
        &mut self,
        config: &Config,
        key: &SessionKey,
        row: &SessionRow,
        (entries, new): (&[Entry], &[Entry]),
        days: &Days,
    ) -> wire::SessionUsageRow {
        let mut own = Tally::default();
        own.add(entries, days);
        self.all.add(new, days);
        let mut fresh = Tally::default();
        fresh.add(new, days);
        let shown = shown::row(key, row);
        let agent = key.agent_id().map(str::to_owned);
        let places = [
            (&mut self.by_agent, &agent),
            (&mut self.by_channel, &shown.channel),
        ];
        for (sums, name) in places {
            if let Some(name) = name.as_ref().filter(|_| !new.is_empty()) {
                fresh.add_to(sums.entry(name.clone()).or_default());
            }
        }
        wire::SessionUsageRow {
            usage: own.session(&row.session_id, transcript_path(config, key, row)),
            key: shown.key,
            label: shown.label,
            session_id: row.session_id.clone(),
            updated_at: row.updated_at,
            agent_id: agent,
            channel: shown.channel,
            chat_type: shown.chat_type,
            origin: shown.origin,
            model_override: row.settings.model_override.clone(),
            provider_override: row.settings.provider_override.clone(),
            model_provider: shown.model_provider,
            model: shown.model,
        }
    }
}

/// Where clients look for a transcript; the messages themselves are in the database.
fn transcript_path(config: &Config, key: &SessionKey, row: &SessionRow) -> String {
    let store = store_path(config, key);
    let folder = store.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{}.jsonl", row.session_id)
}

/// `usage.cost`
pub async fn cost(call: Call) -> Outcome {
    let params: Value = call.params()?;
    let now = call.parts.clock.now_ms();
    let text = |name: &str| params.get(name).and_then(Value::as_str);
    let mode = match text("mode") {
        Some("gateway") => Some(wire::UsageDays::Gateway),
        Some("specific") => Some(wire::UsageDays::Specific),
        _ => None,
    };
    let refused = |why: String| call.invalid(&why);
    let zone = Days::read(mode, text("utcOffset")).map_err(refused)?;
    let days = params.get("days").and_then(Value::as_f64);
    let days = days.map_or(limits::USAGE_DAYS, |days| {
        days.clamp(1.0, f64::from(limits::USAGE_DAYS_MAX)) as u32
    });
    let range = zone.range(text("startDate"), text("endDate"), days, now);
    let (from, to) = range.map_err(refused)?;
    let sessions = call.parts.sessions.clone();
    let answer = blocking(move || {
        let (mut tally, mut counted) = (Tally::default(), HashSet::new());
        for (_, row) in sessions.all()? {
            if row.updated_at >= from {
                tally.add(&sessions.entries(&row, (from, to), &mut counted)?, &zone);
            }
        }
        Ok(wire::UsageCost {
            updated_at: now,
            days: to.saturating_sub(from).div_ceil(86_400_000) + 1,
            daily: tally.cost_by_day(),
            totals: tally.totals,
        })
    });
    Reply::of(&answer.await?)
}

/// The session that an open method names, if there is one.
fn named(
    call: &Call,
    params: &Value,
    of_what: &str,
) -> Result<(SessionKey, Option<SessionRow>), GatewayError> {
    let key = params.get("key").and_then(Value::as_str).map(str::trim);
    let Some(key) = key.filter(|key| !key.is_empty()) else {
        return Err(GatewayError::invalid(format!(
            "key is required for {of_what}"
        )));
    };
    let key = resolve(call, key, &call.parts.config.current())?;
    let row = call.parts.sessions.get(&key).map_err(failed)?;
    Ok((key, row))
}

/// `sessions.usage.timeseries`
pub async fn timeseries(call: Call) -> Outcome {
    let params: Value = call.params()?;
    let (key, row) = named(&call, &params, "timeseries")?;
    let none = || GatewayError::invalid(format!("No transcript found for session: {key}"));
    let row = row.ok_or_else(none)?;
    let (sessions, same_row) = (call.parts.sessions.clone(), row.clone());
    let entries =
        blocking(move || sessions.entries(&same_row, (0, u64::MAX), &mut HashSet::new())).await?;
    if entries.is_empty() {
        return Err(none());
    }
    Reply::of(&wire::UsageTimeseries {
        session_id: row.session_id,
        points: points(&entries),
    })
}

/// A point for each answer, or for several neighbours when there are too many.
fn points(entries: &[Entry]) -> Vec<wire::UsagePoint> {
    let answers: Vec<_> = entries
        .iter()
        .filter_map(|entry| match &entry.by {
            By::Assistant(answer) => Some((entry.at, answer)),
            _ => None,
        })
        .collect();
    let together = answers.len().div_ceil(limits::USAGE_POINTS_MAX).max(1);
    let (mut tokens_so_far, mut cost_so_far) = (0, 0.0);
    let groups = answers.chunks(together);
    groups
        .map(|group| {
            let mut point = wire::UsagePoint::default();
            for (at, answer) in group {
                point.timestamp = *at;
                point.input += answer.tokens.input;
                point.output += answer.tokens.output;
                point.cache_read += answer.tokens.cache_read;
                point.cache_write += answer.tokens.cache_write;
                point.total_tokens += answer.tokens.total;
                point.cost += answer.price.map_or(0.0, |price| price.total());
            }
            tokens_so_far += point.total_tokens;
            cost_so_far += point.cost;
            point.cumulative_tokens = tokens_so_far;
            point.cumulative_cost = cost_so_far;
            point
        })
        .collect()
}

/// `sessions.usage.logs`
pub async fn logs(call: Call) -> Outcome {
    let params: Value = call.params()?;
    let (_, row) = named(&call, &params, "logs")?;
    let limit = params.get("limit").and_then(Value::as_f64);
    let limit = limit.map_or(limits::USAGE_LOGS, |limit| limit.max(1.0) as usize);
    let limit = limit.min(limits::USAGE_LOGS_MAX);
    let sessions = &call.parts.sessions;
    let logs = match row {
        Some(row) => log_lines(&call.parts.config.current(), sessions, &row, limit)?,
        None => Vec::new(),
    };
    Reply::of(&wire::UsageLogs { logs })
}

fn log_lines(
    config: &Config,
    sessions: &Sessions,
    row: &SessionRow,
    limit: usize,
) -> Result<Vec<wire::UsageLog>, GatewayError> {
    let rows = sessions.ending(row, limit).map_err(failed)?;
    let line = |message: &crate::sessions::MessageRow| {
        let (role, text) = match &message.body {
            BodyRow::User(user) => ("user", &user.text),
            BodyRow::Assistant(said) => ("assistant", &said.text),
            BodyRow::Tool(result) => ("toolResult", &result.text),
        };
        let (tokens, cost) = match Entry::of(config, message).by {
            By::Assistant(answer) => (
                Some(answer.tokens.total),
                answer.price.map(|price| price.total()),
            ),
            _ => (None, None),
        };
        let content = match text.char_indices().nth(limits::USAGE_LOG_CHARS_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.clone(),
        };
        (!content.is_empty()).then(|| wire::UsageLog {
            timestamp: message.timestamp,
            role: role.to_owned(),
            content,
            tokens,
            cost,
        })
    };
    Ok(rows.iter().filter_map(line).collect())
}
