//! `exec.approval.*` and `exec.approvals.*`: questions to approvers, and the file of what is allowed.

use std::time::Duration;

use gateway_schemas::approvals::{
    ExecApprovalAccepted, ExecApprovalAcceptedStatus, ExecApprovalQuestion,
    ExecApprovalRequestParams, ExecApprovalResolveParams, ExecApprovalWaitParams, ExecApprovals,
    ExecApprovalsSetParams, SystemRunPlan,
};
use gateway_schemas::system::Done;
use serde_json::Value;

use super::{Call, Outcome, Reply};
use crate::approvals::{Approvals, Asker, FileError, Question, ResolveError, bind, visible};
use crate::error::GatewayError;
use crate::limits;

/// How many ids an ambiguous beginning names.
const IDS_SHOWN: usize = 3;

/// `exec.approval.request`: asks approvers and answers what they decided; with `twoPhase` also
/// that they were asked.
pub async fn request(call: Call) -> Outcome {
    let params: ExecApprovalRequestParams = call.params()?;
    let time = params.timeout_ms.map(Duration::from_millis);
    let two_phase = params.two_phase == Some(true);
    let asked = Question {
        id: some(params.id.clone()),
        question: question(params)?,
        time: time.unwrap_or(limits::APPROVAL_TIME),
        by: Some(Asker::from(call.caller.as_ref())),
    };
    let asked = call.parts.approvals.ask(asked);
    let mut wait = asked.map_err(|error| GatewayError::invalid(error.to_string()))?;
    if two_phase && !wait.has_ended() {
        call.accepted(&ExecApprovalAccepted {
            status: ExecApprovalAcceptedStatus::Accepted,
            id: wait.asked.id.clone(),
            created_at_ms: wait.asked.created_at_ms,
            expires_at_ms: wait.asked.expires_at_ms,
        });
    }
    Reply::of(&wait.told().await)
}

/// What approvers see. For a node the plan decides: what is approved is what it would run.
fn question(params: ExecApprovalRequestParams) -> Result<ExecApprovalQuestion, GatewayError> {
    let host = some(params.host.flatten());
    let is_node = host.as_deref() == Some("node");
    let node_id = some(params.node_id.flatten()).filter(|_| is_node);
    let plan = params.system_run_plan.filter(|_| is_node).and_then(normal);
    let refuse = |text: &str| Err(GatewayError::invalid(text));
    if is_node && node_id.is_none() {
        return refuse("nodeId is required for host=node");
    }
    if is_node && plan.is_none() {
        return refuse("systemRunPlan is required for host=node");
    }
    let own = params.command.map(|text| text.trim().to_owned());
    let command = match &plan {
        Some(plan) => plan.command_text.clone(),
        None => own.clone().unwrap_or_default(),
    };
    if command.is_empty() {
        return refuse("command is required");
    }
    let preview = plan.as_ref().map(|plan| plan.command_preview.clone());
    let preview = preview.and_then(|preview| preview.flatten().or(own));
    let preview = preview.filter(|preview| *preview != command);
    let plan = plan.map(|plan| SystemRunPlan {
        command_preview: Some(preview),
        ..plan
    });
    let bound = plan.as_ref().map(|plan| bind(plan, params.env.as_ref()));
    let (binding, env_keys) = bound.unzip();
    let of_plan = |pick: fn(&SystemRunPlan) -> Option<String>| plan.as_ref().and_then(pick);
    let argv = params.command_argv.filter(|argv| !argv.is_empty());
    Ok(ExecApprovalQuestion {
        command: visible(&command),
        command_preview: None,
        command_argv: argv.filter(|_| !is_node),
        env_keys: env_keys.filter(|keys| !keys.is_empty()),
        system_run_binding: binding,
        cwd: of_plan(|plan| plan.cwd.clone()).or(some(params.cwd.flatten())),
        node_id,
        host,
        security: params.security.flatten(),
        ask: params.ask.flatten(),
        agent_id: of_plan(|plan| plan.agent_id.clone()).or(some(params.agent_id.flatten())),
        resolved_path: params.resolved_path.flatten(),
        session_key: of_plan(|p| p.session_key.clone()).or(some(params.session_key.flatten())),
        turn_source_channel: some(params.turn_source_channel.flatten()),
        turn_source_to: some(params.turn_source_to.flatten()),
        turn_source_account_id: some(params.turn_source_account_id.flatten()),
        turn_source_thread_id: params.turn_source_thread_id.flatten(),
        system_run_plan: plan,
    })
}

/// A plan without blanks; none when it names no command.
fn normal(plan: SystemRunPlan) -> Option<SystemRunPlan> {
    let command_text = some(Some(plan.command_text))?;
    (!plan.argv.is_empty()).then(|| SystemRunPlan {
        argv: plan.argv,
        cwd: some(plan.cwd),
        command_text,
        command_preview: plan.command_preview.map(some),
        agent_id: some(plan.agent_id),
        session_key: some(plan.session_key),
        mutable_file_operand: plan.mutable_file_operand.filter(Option::is_some),
    })
}

fn some(text: Option<String>) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned());
    text.filter(|text| !text.is_empty())
}

/// `exec.approval.waitDecision`: the decision on a question that was asked before.
pub async fn wait(call: Call) -> Outcome {
    let params: ExecApprovalWaitParams = call.params()?;
    let id = params.id.as_ref().and_then(Value::as_str).map(str::trim);
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Err(GatewayError::invalid("id is required"));
    };
    let wait = call.parts.approvals.wait(id);
    let mut wait = wait.ok_or_else(|| GatewayError::invalid("approval expired or not found"))?;
    Reply::of(&wait.told().await)
}

/// `exec.approval.resolve`: the decision of an approver.
pub async fn resolve(call: Call) -> Outcome {
    let params: ExecApprovalResolveParams = call.params()?;
    let decision = params.decision.parse();
    let decision = decision.map_err(|()| GatewayError::invalid("invalid decision"))?;
    let client = &call.caller.client;
    let name = client
        .display_name
        .clone()
        .unwrap_or_else(|| client.id.clone());
    let done = call
        .parts
        .approvals
        .resolve(&params.id, decision, Some(name));
    done.map_err(|error| match error {
        ResolveError::Unknown => GatewayError::invalid("unknown or expired approval id"),
        ResolveError::Ambiguous(ids) => {
            let more = match ids.len().saturating_sub(IDS_SHOWN) {
                0 => String::new(),
                more => format!(" (+{more} more)"),
            };
            let shown = &ids[..ids.len().min(IDS_SHOWN)];
            GatewayError::invalid(format!(
                "ambiguous approval id prefix; matches: {}{more}. Use the full id.",
                shown.join(", ")
            ))
        }
    })?;
    Reply::of(&Done { ok: true })
}

/// `exec.approval.list`: what waits for a decision.
pub async fn list(call: Call) -> Outcome {
    Reply::of(&call.parts.approvals.list())
}

/// `exec.approvals.get`
pub async fn file(call: Call) -> Outcome {
    with_file(&call, |approvals| approvals.file()).await
}

/// `exec.approvals.set`
pub async fn set_file(call: Call) -> Outcome {
    let ExecApprovalsSetParams { file, base_hash } = call.params()?;
    with_file(&call, move |approvals| {
        approvals.set_file(file, base_hash.as_deref())
    })
    .await
}

async fn with_file(
    call: &Call,
    work: impl FnOnce(&Approvals) -> Result<ExecApprovals, FileError> + Send + 'static,
) -> Outcome {
    let approvals = call.parts.approvals.clone();
    let done = tokio::task::spawn_blocking(move || work(&approvals)).await;
    let done = done.map_err(|e| GatewayError::unavailable("Error: internal error").caused_by(e))?;
    let now = done.map_err(|error| match error {
        FileError::BaseNeeded | FileError::Changed => GatewayError::invalid(error.to_string()),
        FileError::Unreadable(_) => {
            GatewayError::unavailable("exec approvals file can't be read").caused_by(error)
        }
        FileError::Unwritable(_) => {
            GatewayError::unavailable("exec approvals file can't be written").caused_by(error)
        }
    })?;
    Reply::of(&now)
}
