//! `agent` and `agent.wait`: runs with an answer of their own.

use std::sync::Arc;
use std::time::Duration;

use gateway_schemas::agent::{
    AcceptedStatus, AgentAccepted, AgentFinal, AgentMeta, AgentParams, AgentPayload, AgentResult,
    AgentRunMeta, AgentWaitParams, AgentWaited, FinalStatus, RunUsage, WaitStatus,
};
use gateway_schemas::error::{ErrorCode, ErrorShape};
use tokio::sync::oneshot;

use super::delivery::{self, Route};
use super::sessions::{failed, resolve};
use super::{Call, Outcome, Parts, Reply};
use crate::agent::attachments::pictures;
use crate::agent::runner::Usage;
use crate::agent::thinking;
use crate::agent::{Ending, Origin, RunOutcome, Turn};
use crate::config::Config;
use crate::dedupe::{Answer, Begin, Ticket};
use crate::error::GatewayError;
use crate::limits;
use crate::sessions::SessionKey;
use crate::sessions::key::is_session_id;

/// How long `agent.wait` waits when it is not told, ms.
const WAIT_MS: u64 = 30_000;
/// What is answered when nothing says where to run.
const NOWHERE: &str = "Pass --to <E.164>, --session-id, or --agent to choose a session";

/// `agent`: accepted at once, answered under the same id when the run is over.
pub async fn agent(call: Call) -> Outcome {
    let params: AgentParams = call.params()?;
    let config = call.parts.config.current();
    check_names(&call, &params, &config)?;
    let chosen = chosen_session(&call, &params, &config)?;
    let thinking = thinking::requested(params.thinking.as_deref());
    let thinking = thinking.map_err(|e| call.invalid(&e.to_string()))?;
    let attachments = params.attachments.as_deref().unwrap_or_default();
    let images =
        pictures(attachments).map_err(|why| GatewayError::invalid(format!("Error: {why}")))?;
    let run_id = params.idempotency_key.clone();
    let ticket = match call.parts.dedupe.begin(&format!("agent:{run_id}")) {
        Begin::Fresh(ticket) => ticket,
        Begin::Done(answer) => return delivery::again(&answer),
        Begin::InFlight(pending) => {
            return match pending.interim() {
                Some(accepted) => Reply::of(&accepted),
                None => match pending.wait().await {
                    Some(answer) => delivery::again(&answer),
                    None => Err(stopping()),
                },
            };
        }
    };
    let row = match &chosen {
        Ok(chosen) => {
            let row = call.parts.sessions.get(&chosen.key).map_err(failed)?;
            delivery::check_send_policy(&config, &chosen.key, row.as_ref())?;
            row
        }
        Err(_) => None,
    };
    let route = match params.deliver {
        Some(true) => Some(Route::chosen(
            &call.parts,
            &params,
            row.and_then(|row| row.route),
        )?),
        _ => None,
    };
    let accepted = AgentAccepted {
        run_id: run_id.clone(),
        status: AcceptedStatus::Accepted,
        accepted_at: call.parts.clock.now_ms(),
    };
    ticket.note(serde_json::to_value(&accepted).unwrap_or_default());
    call.accepted(&accepted);
    let best_effort = params.best_effort_deliver == Some(true);
    let begun = match chosen {
        Ok(chosen) => chosen.begin(&call.parts).await,
        Err(why) => Err(why),
    };
    let watcher = Some(call.caller.conn);
    let turn = begun.map(|key| Turn {
        images,
        timeout: params.timeout.map(Duration::from_secs),
        extra_system: params.extra_system_prompt,
        thinking,
        watcher,
        ..Turn::new(&run_id, key, &params.message, Origin::Agent)
    });
    let delivery = (route, best_effort);
    answered(&call.parts, turn, &run_id, ticket, delivery).await
}

/// Takes the turn and waits for the last answer. The run and its delivery go on when the client
/// leaves; the answer then waits under its key.
async fn answered(
    parts: &Arc<Parts>,
    turn: Result<Turn, String>,
    run_id: &str,
    ticket: Ticket,
    (route, best_effort): (Option<Route>, bool),
) -> Outcome {
    let (sender, answer) = oneshot::channel();
    let (same_parts, run_id) = (parts.clone(), run_id.to_owned());
    parts.tasks.spawn("agent answer", async move {
        let run = match turn {
            Ok(turn) => same_parts
                .agent
                .accept(turn)
                .await
                .map_err(|e| e.to_string()),
            Err(why) => Err(why),
        };
        let answer = match run {
            Ok(run) => {
                let outcome = run.done().await;
                answer_of(&same_parts, &outcome, route, best_effort).await
            }
            Err(why) => failure(&run_id, &why),
        };
        let _client_left = sender.send(ticket.finish(answer));
    });
    match answer.await {
        Ok(answer) => delivery::again(&answer),
        Err(_) => Err(stopping()),
    }
}

/// The answer will never come.
fn stopping() -> GatewayError {
    GatewayError::unavailable("Error: the gateway is stopping")
}

/// Channels and agents that are named must exist.
fn check_names(call: &Call, params: &AgentParams, config: &Config) -> Result<(), GatewayError> {
    for channel in [&params.channel, &params.reply_channel]
        .into_iter()
        .flatten()
    {
        if !delivery::is_known(&call.parts, channel) {
            return Err(call.invalid(&format!("unknown channel: {channel}")));
        }
    }
    match params
        .agent_id
        .as_deref()
        .map(|id| id.trim().to_lowercase())
    {
        Some(id) if !config.agents.exists(&id) => {
            Err(call.invalid(&format!("unknown agent id \"{id}\"")))
        }
        _ => Ok(()),
    }
}

/// The session to run in.
struct Chosen {
    key: SessionKey,
    /// The id that its transcript gets when the session is not there yet.
    begins_as: Option<String>,
}

impl Chosen {
    fn known(key: SessionKey) -> Chosen {
        Chosen {
            key,
            begins_as: None,
        }
    }

    /// The session, made if it has to be. The error is for the client.
    async fn begin(self, parts: &Parts) -> Result<SessionKey, String> {
        if let Some(id) = &self.begins_as {
            let begun = parts.sessions.begin_as(&self.key, id).await;
            begun.map_err(|error| {
                tracing::error!(key = %self.key, %error, "session not begun");
                "the session store failed".to_owned()
            })?;
        }
        Ok(self.key)
    }
}

/// The session to run in: by key, by agent, by session id (a new one begins a session), or the
/// one direct chats share. The inner error is told after the run was accepted, as clients are
/// used to.
fn chosen_session(
    call: &Call,
    params: &AgentParams,
    config: &Config,
) -> Result<Result<Chosen, String>, GatewayError> {
    let agent_id = params
        .agent_id
        .as_deref()
        .map(|id| id.trim().to_lowercase());
    let key = params
        .session_key
        .as_deref()
        .filter(|key| !key.trim().is_empty());
    if let Some(key) = key {
        let key = resolve(call, key, config)?;
        let of_key = key.agent_id().unwrap_or(config.agents.default_id());
        return match agent_id {
            Some(id) if id != of_key => Err(call.invalid(&format!(
                "agent \"{id}\" does not match session key agent \"{of_key}\""
            ))),
            _ => Ok(Ok(Chosen::known(key))),
        };
    }
    if let Some(id) = agent_id {
        return Ok(Ok(Chosen::known(SessionKey::main_of(&id, config))));
    }
    let given = |text: &Option<String>| {
        text.as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let default = config.agents.default_id();
    if let Some(session_id) = given(&params.session_id) {
        if !is_session_id(&session_id) {
            let shown = session_id.escape_debug();
            return Ok(Err(format!("Invalid session ID: {shown}")));
        }
        let found = call.parts.sessions.by_id(&session_id).map_err(failed)?;
        return Ok(Ok(match found {
            Some(key) => Chosen::known(key),
            None => Chosen {
                key: SessionKey::of_id(default, &session_id),
                begins_as: Some(session_id),
            },
        }));
    }
    if given(&params.to).is_some() {
        return Ok(Ok(Chosen::known(SessionKey::main_of(default, config))));
    }
    Ok(Err(NOWHERE.to_owned()))
}

/// The last answer of a run, after its delivery.
async fn answer_of(
    parts: &Arc<Parts>,
    outcome: &RunOutcome,
    route: Option<Route>,
    best_effort: bool,
) -> Answer {
    if outcome.ending == Ending::Interrupted {
        return failure(
            &outcome.run_id,
            outcome.error.as_deref().unwrap_or("the run was lost"),
        );
    }
    if let (Some(route), Some(text)) = (route, outcome.reply()) {
        match delivery::deliver(parts, &route, &outcome.run_id, text).await {
            Err(why) if !best_effort => return failure(&outcome.run_id, &why),
            Err(why) => tracing::warn!(run = outcome.run_id, why, "agent answer not delivered"),
            Ok(()) => {}
        }
    }
    let last = AgentFinal {
        run_id: outcome.run_id.clone(),
        status: FinalStatus::Ok,
        summary: "completed".to_owned(),
        result: Some(result_of(outcome)),
    };
    Answer {
        payload: serde_json::to_value(&last).ok(),
        error: None,
    }
}

fn failure(run_id: &str, why: &str) -> Answer {
    let summary = format!("Error: {why}");
    let last = AgentFinal {
        run_id: run_id.to_owned(),
        status: FinalStatus::Error,
        summary: summary.clone(),
        result: None,
    };
    Answer {
        payload: serde_json::to_value(&last).ok(),
        error: Some(ErrorShape::new(ErrorCode::Unavailable, summary)),
    }
}

fn result_of(outcome: &RunOutcome) -> AgentResult {
    let payloads = outcome.payloads().into_iter().map(|text| AgentPayload {
        text: Some(text.to_owned()),
        media_url: None,
        media_urls: None,
        is_error: None,
    });
    let last_call = outcome
        .last_usage
        .or((outcome.ending == Ending::Failed).then(Usage::default));
    let prompt = outcome
        .last_usage
        .map(|usage| usage.input + usage.cache_read + usage.cache_write);
    AgentResult {
        payloads: payloads.collect(),
        meta: AgentMeta {
            duration_ms: outcome.ended_at.saturating_sub(outcome.started_at),
            agent_meta: Some(AgentRunMeta {
                session_id: outcome.session_id.clone(),
                provider: outcome.provider.clone(),
                model: outcome.model.clone(),
                usage: outcome.usage.map(|usage| tokens(usage, false)),
                last_call_usage: last_call.map(|usage| tokens(usage, true)),
                prompt_tokens: prompt,
            }),
            aborted: outcome.is_cut(),
            system_prompt_report: None,
            stop_reason: outcome.stop_reason.map(str::to_owned),
        },
    }
}

/// Tokens on the wire; those of the whole run leave out what was not used.
fn tokens(usage: Usage, all: bool) -> RunUsage {
    let some = |n: u64| (all || n > 0).then_some(n);
    RunUsage {
        input: Some(usage.input),
        output: Some(usage.output),
        cache_read: some(usage.cache_read),
        cache_write: some(usage.cache_write),
        total: Some(usage.total),
    }
}

/// `agent.wait`
pub async fn wait(call: Call) -> Outcome {
    let params: AgentWaitParams = call.params()?;
    let time = Duration::from_millis(params.timeout_ms.unwrap_or(WAIT_MS));
    let time = time.min(limits::RUN_TIME_MAX);
    let agent = &call.parts.agent;
    let before = agent.run(&params.run_id).and_then(|run| run.ended());
    let live = before.is_none();
    let outcome = match before {
        Some(outcome) => Some(outcome),
        None => agent.wait(&params.run_id, time).await,
    };
    let Some(outcome) = outcome else {
        let status = WaitStatus::Timeout;
        let run_id = params.run_id;
        return Reply::of(&AgentWaited {
            run_id,
            status,
            started_at: None,
            ended_at: None,
            error: None,
        });
    };
    let status = match outcome.ending {
        // Who waited for it sees the cut; asked later the run counts as done.
        Ending::TimedOut if live => WaitStatus::Timeout,
        Ending::Interrupted => WaitStatus::Error,
        _ => WaitStatus::Ok,
    };
    Reply::of(&AgentWaited {
        run_id: params.run_id,
        status,
        started_at: Some(outcome.started_at),
        ended_at: Some(outcome.ended_at),
        error: outcome
            .error
            .clone()
            .filter(|_| status == WaitStatus::Error),
    })
}
