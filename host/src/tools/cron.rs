//! The tool `cron`: jobs that run by the clock, by the same way as the methods `cron.*`.
//!
//! Input is lenient as theirs. An agent makes, sees and changes its own jobs alone.

use gateway_schemas::cron as wire;
use gateway_schemas::validate;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::message::check_context;
use super::{Parts, arguments};
use crate::agent::toolbox::{ToolOutput, ToolPlace};
use crate::channels::catalogue;
use crate::cron::{CronError, input};
use crate::limits::TOOL_SESSIONS_MAX;

/// The channel that stands for the session's last route.
const LAST: &str = "last";

/// What models are told of the arguments.
pub(super) fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "action": {
                "type": "string",
                "enum": ["status", "list", "add", "update", "remove", "run", "runs"],
            },
            "jobId": { "type": "string", "description": "For update, remove, run and runs." },
            "includeDisabled": { "type": "boolean", "description": "For list." },
            "limit": { "type": "integer", "minimum": 1, "maximum": 100,
                "description": "For list and runs." },
            "job": { "type": "object", "description": "For add: {name, schedule, payload, \
                delivery?}. schedule: {kind: \"at\", at} or {kind: \"every\", everyMs} or {kind: \
                \"cron\", expr, tz?}. payload: {kind: \"systemEvent\", text} or {kind: \
                \"agentTurn\", message}. delivery: {mode: \"announce\", channel?, to?} or {mode: \
                \"none\"}." },
            "patch": { "type": "object", "description": "For update: the fields to change." },
        },
        "required": ["action"],
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    action: String,
    #[serde(alias = "id")]
    job_id: Option<String>,
    include_disabled: Option<bool>,
    limit: Option<u64>,
    #[serde(default)]
    job: Option<Value>,
    #[serde(default)]
    patch: Option<Value>,
    /// Fields of a job that a model put beside it.
    #[serde(flatten)]
    beside: Map<String, Value>,
}

impl Arguments {
    /// A part that may also stand beside the action.
    fn part(part: Option<Value>, beside: Map<String, Value>) -> Value {
        part.unwrap_or(Value::Object(beside))
    }

    fn limit(&self) -> usize {
        let most = TOOL_SESSIONS_MAX as u64;
        self.limit.unwrap_or(20).clamp(1, most) as usize
    }
}

pub(super) async fn call(
    parts: &Parts,
    place: &ToolPlace,
    given: Value,
) -> Result<ToolOutput, String> {
    let given: Arguments = arguments(given)?;
    match given.action.trim() {
        "status" => answer(&parts.cron.status().await.map_err(told)?),
        "list" => list(parts, place, &given).await,
        "add" => add(parts, place, given).await,
        "update" => {
            let job = own(parts, place, given.job_id.as_deref()).await?;
            let patch = Arguments::part(given.patch.or(given.job), given.beside);
            let params = input::update(json!({ "id": job.id, "patch": patch }));
            let params: wire::CronUpdateParams = checked("cron.update", params)?;
            let patch = &params.patch;
            stays_own(place, patch.agent_id.as_ref(), patch.session_target)?;
            if let Some(delivery) = &patch.delivery {
                may_deliver(
                    parts,
                    place,
                    delivery.channel.as_deref(),
                    delivery.to.as_deref(),
                )?;
            }
            let changed = parts.cron.update(&job.id, params.patch).await;
            let changed = changed.map_err(told)?;
            Ok(answer(&changed)?.about(format!("changed {}", changed.name)))
        }
        "remove" => {
            let job = own(parts, place, given.job_id.as_deref()).await?;
            let removed = parts.cron.remove(&job.id).await.map_err(told)?;
            let removed = wire::CronRemoved { ok: true, removed };
            Ok(answer(&removed)?.about(format!("removed {}", job.name)))
        }
        "run" => {
            let job = own(parts, place, given.job_id.as_deref()).await?;
            let ran = parts.cron.run(&job.id, true).await.map_err(told)?;
            Ok(answer(&ran)?.about(format!("began {}", job.name)))
        }
        "runs" => {
            let job = own(parts, place, given.job_id.as_deref()).await?;
            let params = wire::CronRunsParams {
                limit: Some(given.limit() as u64),
                id: Some(job.id),
                ..wire::CronRunsParams::default()
            };
            answer(&parts.cron.runs(params).await.map_err(told)?)
        }
        other => Err(format!(
            "the action \"{other}\" is not supported: use status, list, add, update, remove, run \
             or runs"
        )),
    }
}

async fn list(parts: &Parts, place: &ToolPlace, given: &Arguments) -> Result<ToolOutput, String> {
    let all = parts.cron.all().await.map_err(told)?;
    let off_too = given.include_disabled == Some(true);
    let mut jobs: Vec<_> = all
        .into_iter()
        .filter(|job| is_own(place, job) && (job.enabled || off_too))
        .collect();
    jobs.sort_by_key(|job| {
        (
            job.state.next_run_at_ms.unwrap_or(u64::MAX),
            job.created_at_ms,
        )
    });
    let total = jobs.len();
    jobs.truncate(given.limit());
    let about = format!("{} of {total} jobs", jobs.len());
    Ok(answer(&json!({ "jobs": jobs, "total": total }))?.about(about))
}

async fn add(parts: &Parts, place: &ToolPlace, given: Arguments) -> Result<ToolOutput, String> {
    let mut params = input::create(Arguments::part(given.job, given.beside));
    if let Value::Object(job) = &mut params {
        // A reminder belongs to the one main session, a turn to whoever made the job.
        let isolated = job.get("sessionTarget").and_then(Value::as_str) != Some("main");
        let unnamed = job.get("agentId").is_none_or(Value::is_null);
        if isolated && unnamed {
            job.insert("agentId".into(), place.agent.as_str().into());
        }
        job.entry("sessionKey")
            .or_insert_with(|| place.key.as_str().into());
    }
    let params: wire::CronAddParams = checked("cron.add", params)?;
    stays_own(place, params.agent_id.as_ref(), Some(params.session_target))?;
    if let Some(delivery) = &params.delivery {
        may_deliver(
            parts,
            place,
            delivery.channel.as_deref(),
            delivery.to.as_deref(),
        )?;
    }
    let job = parts.cron.add(params).await.map_err(told)?;
    Ok(answer(&job)?.about(format!("made {}", job.name)))
}

/// The job that is meant, if it is the agent's.
async fn own(parts: &Parts, place: &ToolPlace, id: Option<&str>) -> Result<wire::CronJob, String> {
    let id = id.map(str::trim).filter(|id| !id.is_empty());
    let id = id.ok_or("name the job: jobId")?;
    let job = parts.cron.get(id).await.map_err(told)?;
    let shown: String = id.chars().take(80).collect();
    job.filter(|job| is_own(place, job))
        .ok_or_else(|| format!("there is no job \"{shown}\" of yours"))
}

fn is_own(place: &ToolPlace, job: &wire::CronJob) -> bool {
    let default = place.config.agents.default_id();
    job.agent_id.as_deref().unwrap_or(default) == place.agent
}

/// An agent gives no work to another one; the main session is the default agent's.
fn stays_own(
    place: &ToolPlace,
    named: Option<&Option<String>>,
    target: Option<wire::CronTarget>,
) -> Result<(), String> {
    let default = place.config.agents.default_id();
    let named = named.map(|id| id.as_deref().unwrap_or(default));
    let main = (target == Some(wire::CronTarget::Main)).then_some(default);
    let mut all = named.into_iter().chain(main);
    if all.any(|id| !id.eq_ignore_ascii_case(&place.agent)) {
        return Err(format!(
            "only jobs of your own are allowed, and you are {}",
            place.agent
        ));
    }
    Ok(())
}

/// What a conversation may not send by the tool `message` it may not send by a job.
fn may_deliver(
    parts: &Parts,
    place: &ToolPlace,
    channel: Option<&str>,
    to: Option<&str>,
) -> Result<(), String> {
    let channel = channel.map(catalogue::canonical);
    let Some(channel) = channel.filter(|id| !id.is_empty() && id != LAST) else {
        return Ok(());
    };
    let row = parts.sessions.get(&place.key);
    let row = row.map_err(|_| "the session could not be read".to_owned())?;
    let own = row.and_then(|row| row.route);
    let elsewhere = own.as_ref().is_none_or(|route| route.to.as_deref() != to);
    let own = own.as_ref().map(|route| route.channel.as_str());
    check_context(place, own, &channel, to.is_some() && elsewhere)
}

/// Params that obey the contract.
fn checked<T: serde::de::DeserializeOwned>(method: &str, params: Value) -> Result<T, String> {
    validate::params(method, &params.to_string())?;
    serde_json::from_value(params).map_err(|error| error.to_string())
}

fn answer(value: &impl serde::Serialize) -> Result<ToolOutput, String> {
    let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
    Ok(ToolOutput::ok(text))
}

fn told(error: CronError) -> String {
    if let CronError::Store(cause) = &error {
        tracing::error!(%cause, "a tool could not reach the cron store");
    }
    error.to_string()
}
