//! What a coding agent may do: its requests for permission, decided by the approvals.
//!
//! Without an approval the answer is no. What it does afterwards is its own affair: unlike a
//! command of the tool `exec`, nobody here sees what it really runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use gateway_schemas::approvals::ExecApprovalQuestion;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::approvals::{self, Approvals, Command, Decision, Rules, Verdict, visible};
use crate::config::Config;
use crate::limits;
use crate::sessions::SessionKey;

/// Whom a coding agent may ask, and on whose behalf.
#[derive(Clone, Debug)]
pub struct Permission {
    /// Who is asked; without anybody the answer is no.
    pub approvals: Option<Approvals>,
    /// The configuration of the run.
    pub config: Arc<Config>,
    /// The agent.
    pub agent: String,
    /// The session.
    pub key: SessionKey,
    /// The words of the session.
    pub words: BTreeMap<String, String>,
}

/// `session/request_permission`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Request {
    tool_call: Wanted,
    options: Vec<Choice>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    title: Option<String>,
    kind: Option<String>,
    raw_input: Value,
}

/// One answer that the agent takes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Choice {
    option_id: String,
    kind: String,
}

impl Permission {
    /// Decides a request: the answer for the agent.
    pub(super) async fn decide(&self, request: &Request, folder: &Path) -> Value {
        let decision = self.decision(request, folder).await;
        let offered = |kind: &&str| request.options.iter().find(|choice| choice.kind == *kind);
        let pick = |kinds: &[&str]| kinds.iter().find_map(offered).map(|c| &c.option_id);
        let chosen = match decision {
            Decision::AllowOnce => pick(&["allow_once"]),
            Decision::AllowAlways => pick(&["allow_always", "allow_once"]),
            Decision::Deny => pick(&["reject_once", "reject_always"]),
        };
        match chosen {
            Some(id) => json!({ "outcome": { "outcome": "selected", "optionId": id } }),
            None => json!({ "outcome": { "outcome": "cancelled" } }),
        }
    }

    async fn decision(&self, request: &Request, folder: &Path) -> Decision {
        let Some(approvals) = &self.approvals else {
            return Decision::Deny;
        };
        let limits = approvals::limits(&self.config, &self.agent, &self.words);
        let rules = approvals.rules(&self.agent, &limits);
        // No pattern fits it: a pattern names a program, and none is named here.
        let command = Command {
            program: Path::new(""),
            argv: &[],
            shell: true,
            variables: true,
            text: "",
        };
        let verdict = match rules.verdict(&command) {
            Verdict::Ask => {
                let question = self.question(request, &rules, folder);
                let asked = approvals.ask_held(question, limits::APPROVAL_TIME);
                let mut held = match asked {
                    Ok(held) => held,
                    Err(error) => {
                        tracing::warn!(%error, session = %self.key, "permission not asked for");
                        return Decision::Deny;
                    }
                };
                let decision = held.wait.decision().await;
                match decision {
                    Some(decision) => return decision,
                    None => rules.after(None, &command),
                }
            }
            known => known,
        };
        match verdict {
            Verdict::Run(_) => Decision::AllowOnce,
            Verdict::Ask | Verdict::Deny(_) => Decision::Deny,
        }
    }

    fn question(&self, request: &Request, rules: &Rules, folder: &Path) -> ExecApprovalQuestion {
        let wanted = &request.tool_call;
        let input = &wanted.raw_input;
        let argv: Option<Vec<String>> = serde_json::from_value(input["command"].clone()).ok();
        let line = input["command"].as_str().map(str::to_owned);
        let cwd = input["cwd"].as_str().map(str::to_owned);
        let title = wanted.title.as_deref().or(wanted.kind.as_deref());
        let title = title.unwrap_or("something that it doesn't name");
        let text = match (&argv, line) {
            (Some(argv), _) => approvals::quoted(argv),
            (None, Some(line)) => line,
            (None, None) if input.is_null() => title.to_owned(),
            (None, None) => {
                let detail = input.to_string();
                let detail = detail.chars().take(limits::ACP_DETAIL_CHARS_MAX);
                format!("{title}\n{}", detail.collect::<String>())
            }
        };
        ExecApprovalQuestion {
            command: visible(&text),
            command_argv: argv,
            cwd: cwd.or_else(|| Some(folder.display().to_string())),
            host: Some("gateway".to_owned()),
            security: Some(rules.security.as_str().to_owned()),
            ask: Some(rules.ask.as_str().to_owned()),
            agent_id: Some(self.agent.clone()),
            session_key: Some(self.key.to_string()),
            ..ExecApprovalQuestion::default()
        }
    }
}
