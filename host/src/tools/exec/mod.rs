//! The tool `exec`: a command on this machine.
//!
//! `plan.rs` says what would be run, to the letter; the approvals say whether; `run.rs` runs it.
//! Promises: what was approved is what is run, in the same folder with the same variables, or
//! nothing is; dropping the call ends the command and all it started, and takes the question back;
//! a command sees none of the gateway's own variables but a few harmless ones.

mod plan;
mod run;

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_schemas::approvals::{ExecApprovalQuestion, ThreadId};
use serde::Deserialize;
use serde_json::{Value, json};

use self::plan::Plan;
use super::{Parts, arguments};
use crate::agent::runner::ToolCall;
use crate::agent::toolbox::{ToolOutput, ToolPlace};
use crate::approvals::{self, Approvals, Command, Decision, Rules, Security, Verdict, visible};
use crate::config::{Config, ToolsConfig};
use crate::limits;
use crate::store::sessions::RouteRow;

/// The one place where commands are run.
const HERE: &str = "gateway";

/// What models are told of the arguments.
pub(super) fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "command": { "type": "string",
                "description": "The command line. Without pipes, variables and the like it is \
                    started as it is; otherwise a shell runs it." },
            "workdir": { "type": "string",
                "description": "Folder to run it in; your own folder if absent." },
            "env": { "type": "object", "additionalProperties": { "type": "string" },
                "description": "Variables to set for it." },
            "timeout": { "type": "number",
                "description": "Seconds after which it is ended." },
        },
        "required": ["command"],
    })
}

/// What a model asks for.
#[derive(Deserialize)]
struct Arguments {
    command: String,
    #[serde(alias = "cwd")]
    workdir: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    timeout: Option<f64>,
    host: Option<String>,
}

/// True when an agent's models may ask for commands at all.
pub(super) fn is_offered(owner: &Approvals, config: &Config, agent: &str) -> bool {
    let configured = settings(config, agent);
    let here = configured
        .iter()
        .all(|tools| is_here(tools.exec.host.as_deref()));
    let words = BTreeMap::new();
    let limits = approvals::limits(config, agent, &words);
    here && owner.rules(agent, &limits).security != Security::Deny
}

/// The longest that a call may take: its question and its command.
pub(super) fn time_max(call: &ToolCall) -> Duration {
    let own = call.arguments.get("timeout").and_then(Value::as_f64);
    let named = own.map_or(limits::EXEC_TIME_MAX, bounded);
    limits::APPROVAL_TIME + named + 2 * limits::EXEC_OUTPUT_GRACE
}

fn bounded(seconds: f64) -> Duration {
    let most = limits::EXEC_TIME_MAX;
    let named = Duration::try_from_secs_f64(seconds.max(1.0));
    named.unwrap_or(most).min(most)
}

/// `tools` of the file, and those of the agent.
fn settings<'a>(config: &'a Config, agent: &str) -> Vec<&'a ToolsConfig> {
    let own = config.agents.get(agent).and_then(|a| a.tools.as_ref());
    std::iter::once(&config.tools).chain(own).collect()
}

fn is_here(host: Option<&str>) -> bool {
    host.is_none_or(|host| host.trim().is_empty() || host.trim() == HERE)
}

pub(super) async fn call(
    parts: &Parts,
    place: &ToolPlace,
    given: Value,
) -> Result<ToolOutput, String> {
    let given: Arguments = arguments(given)?;
    let configured = settings(&place.config, &place.agent);
    let row = parts.sessions.get(&place.key);
    let row = row.map_err(|_| "the session could not be read".to_owned())?;
    let (words, route) = row.map_or_else(
        || (BTreeMap::new(), None),
        |row| (row.settings.words, row.route),
    );
    let word = |name: &str| words.get(name).map(String::as_str);
    let hosts = configured.iter().map(|tools| tools.exec.host.as_deref());
    let mut hosts = hosts.chain([word("execHost"), given.host.as_deref()]);
    if !hosts.all(is_here) {
        return Err("commands run on the gateway's own machine only: host must be gateway".into());
    }
    let limits = approvals::limits(&place.config, &place.agent, &words);
    let rules = parts.approvals.rules(&place.agent, &limits);
    let folder = place.config.workspace(&place.agent);
    crate::files::folder(&folder).map_err(|e| format!("your folder can't be made: {e}"))?;
    let plan = Plan::of(&given, &folder)?;
    let command = plan.command();
    let verdict = match rules.verdict(&command) {
        Verdict::Ask => ask(parts, place, &rules, &plan, route).await?,
        known => known,
    };
    match verdict {
        Verdict::Run(Some(pattern)) => parts.approvals.note(&place.agent, &pattern, &command),
        Verdict::Run(None) => {}
        Verdict::Ask => return Err("the command needs an approval".to_owned()),
        Verdict::Deny(why) => return Err(why.to_owned()),
    }
    plan.check_unchanged()?;
    let configured = configured
        .iter()
        .rev()
        .find_map(|tools| tools.exec.timeout_sec);
    let time = given
        .timeout
        .or(configured)
        .map_or(limits::EXEC_TIME, bounded);
    tracing::info!(run = place.run_id, program = %plan.program.display(), "command runs");
    let done = run::run(&plan, time).await?;
    Ok(ToolOutput {
        text: done.text,
        is_error: !done.success,
        meta: Some(visible(&plan.text)),
    })
}

/// Asks approvers and gives what becomes of the command.
async fn ask(
    parts: &Parts,
    place: &ToolPlace,
    rules: &Rules,
    plan: &Plan,
    route: Option<RouteRow>,
) -> Result<Verdict, String> {
    let question = question(place, rules, plan, route);
    let held = parts.approvals.ask_held(question, limits::APPROVAL_TIME);
    let mut held = held.map_err(|error| error.to_string())?;
    let unasked = held.wait.has_ended();
    let decision = held.wait.decision().await;
    let command = plan.command();
    if decision == Some(Decision::AllowAlways) {
        parts.approvals.allow_always(&place.agent, &command);
    }
    let verdict = rules.after(decision, &command);
    match verdict {
        Verdict::Deny(_) if unasked => Err(
            "the command needs an approval, and nobody who may approve it is connected".to_owned(),
        ),
        verdict => Ok(verdict),
    }
}

fn question(
    place: &ToolPlace,
    rules: &Rules,
    plan: &Plan,
    route: Option<RouteRow>,
) -> ExecApprovalQuestion {
    let command: Command<'_> = plan.command();
    let names: Vec<String> = plan.variables.keys().cloned().collect();
    let (channel, to, account, thread) = match route {
        Some(r) => (Some(r.channel), r.to, r.account_id, r.thread_id),
        None => (None, None, None, None),
    };
    ExecApprovalQuestion {
        command: visible(command.text),
        command_argv: Some(plan.argv.clone()),
        env_keys: (!names.is_empty()).then_some(names),
        cwd: Some(plan.folder.display().to_string()),
        host: Some(HERE.to_owned()),
        security: Some(rules.security.as_str().to_owned()),
        ask: Some(rules.ask.as_str().to_owned()),
        agent_id: Some(place.agent.clone()),
        resolved_path: Some(plan.program.display().to_string()),
        session_key: Some(place.key.to_string()),
        turn_source_channel: channel,
        turn_source_to: to,
        turn_source_account_id: account,
        turn_source_thread_id: thread.map(ThreadId::Text),
        ..ExecApprovalQuestion::default()
    }
}
