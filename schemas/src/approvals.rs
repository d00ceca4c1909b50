//! Approvals: `exec.approval.*`, `exec.approvals.*` and their events (`approvals.json`).

use crate::wire;
use crate::wire::Nullable;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use std::collections::BTreeMap;

/// A file that a command names and whose text was looked at when it was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemRunFile {
    /// Which argument names it.
    #[serde(deserialize_with = "wire::int")]
    pub argv_index: u64,
    /// Where it lies.
    pub path: String,
    /// Fingerprint of its text.
    pub sha256: String,
}

/// What a node would run, to the letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemRunPlan {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub cwd: Option<String>,
    /// The same as one text.
    pub command_text: String,
    /// A shorter text for people.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub command_preview: Nullable<String>,
    /// The agent it is run for.
    pub agent_id: Option<String>,
    /// The session it is run for.
    pub session_key: Option<String>,
    /// The file that must not change before it is run.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub mutable_file_operand: Nullable<SystemRunFile>,
}

/// What an approval for a node is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemRunBinding {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Where it runs.
    pub cwd: Option<String>,
    /// The agent it is run for.
    pub agent_id: Option<String>,
    /// The session it is run for.
    pub session_key: Option<String>,
    /// Fingerprint of the variables it is given; none without any.
    pub env_hash: Option<String>,
}

/// The thread a request came from: some channels count theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ThreadId {
    /// A name.
    Text(String),
    /// A number.
    Number(Number),
}

/// Params of `exec.approval.request`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalRequestParams {
    /// Id of the approval; the gateway's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The command as one text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Program and arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_argv: Option<Vec<String>>,
    /// The plan of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system_run_plan: Option<SystemRunPlan>,
    /// Variables it is given besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
    /// Where it runs.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub cwd: Nullable<String>,
    /// The node it would run on.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub node_id: Nullable<String>,
    /// `gateway`, `node`, …
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub host: Nullable<String>,
    /// The rule that made somebody ask.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub security: Nullable<String>,
    /// When somebody is asked.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub ask: Nullable<String>,
    /// The agent it is run for.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub agent_id: Nullable<String>,
    /// Where the program lies.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub resolved_path: Nullable<String>,
    /// The session it is run for.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub session_key: Nullable<String>,
    /// The channel whose message led to it.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub turn_source_channel: Nullable<String>,
    /// Who or where on it.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub turn_source_to: Nullable<String>,
    /// The account on it.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub turn_source_account_id: Nullable<String>,
    /// The thread there.
    #[serde(
        default,
        deserialize_with = "wire::nullable",
        skip_serializing_if = "Option::is_none"
    )]
    pub turn_source_thread_id: Nullable<ThreadId>,
    /// How long approvers have, milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub timeout_ms: Option<u64>,
    /// Answer once when approvers were asked, and again when they decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub two_phase: Option<bool>,
}

/// What somebody wants to run, as approvers see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalQuestion {
    /// The command as one text; what is invisible in it is spelled out.
    pub command: String,
    /// A shorter text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_preview: Option<String>,
    /// Program and arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_argv: Option<Vec<String>>,
    /// Names of the variables it is given besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_keys: Option<Vec<String>>,
    /// What an approval for a node is bound to.
    pub system_run_binding: Option<SystemRunBinding>,
    /// The plan of a node.
    pub system_run_plan: Option<SystemRunPlan>,
    /// Where it runs.
    pub cwd: Option<String>,
    /// The node it would run on.
    pub node_id: Option<String>,
    /// `gateway`, `node`, …
    pub host: Option<String>,
    /// The rule that made somebody ask.
    pub security: Option<String>,
    /// When somebody is asked.
    pub ask: Option<String>,
    /// The agent it is run for.
    pub agent_id: Option<String>,
    /// Where the program lies.
    pub resolved_path: Option<String>,
    /// The session it is run for.
    pub session_key: Option<String>,
    /// The channel whose message led to it.
    pub turn_source_channel: Option<String>,
    /// Who or where on it.
    pub turn_source_to: Option<String>,
    /// The account on it.
    pub turn_source_account_id: Option<String>,
    /// The thread there.
    pub turn_source_thread_id: Option<ThreadId>,
}

/// Payload of event `exec.approval.requested`, and one entry of `exec.approval.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalRequested {
    /// The approval.
    pub id: String,
    /// What is asked.
    pub request: ExecApprovalQuestion,
    /// When, milliseconds.
    pub created_at_ms: u64,
    /// Until when it can be decided, milliseconds.
    pub expires_at_ms: u64,
}

/// Result of `exec.approval.list`, oldest first.
pub type ExecApprovalList = Vec<ExecApprovalRequested>;

/// What an approver decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExecApprovalDecision {
    /// This time.
    AllowOnce,
    /// This time and from now on.
    AllowAlways,
    /// No.
    Deny,
}

impl std::str::FromStr for ExecApprovalDecision {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "allow-once" => Ok(Self::AllowOnce),
            "allow-always" => Ok(Self::AllowAlways),
            "deny" => Ok(Self::Deny),
            _ => Err(()),
        }
    }
}

/// Payload of event `exec.approval.resolved`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalResolved {
    /// The approval.
    pub id: String,
    /// What was decided.
    pub decision: ExecApprovalDecision,
    /// Shown name or program of who decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_by: Option<String>,
    /// When, milliseconds.
    pub ts: u64,
    /// What was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<ExecApprovalQuestion>,
}

/// Approvers were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecApprovalAcceptedStatus {
    /// The one there is.
    #[serde(rename = "accepted")]
    Accepted,
}

/// First answer to `exec.approval.request` with `twoPhase`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalAccepted {
    /// Always `accepted`.
    pub status: ExecApprovalAcceptedStatus,
    /// The approval.
    pub id: String,
    /// When it was asked, milliseconds.
    pub created_at_ms: u64,
    /// Until when it can be decided, milliseconds.
    pub expires_at_ms: u64,
}

/// Last answer to `exec.approval.request`, result of `exec.approval.waitDecision`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalDecided {
    /// The approval.
    pub id: String,
    /// Null: nobody decided in time, or nobody could be asked.
    pub decision: Option<ExecApprovalDecision>,
    /// When it was asked, milliseconds.
    pub created_at_ms: u64,
    /// Until when it could be decided, milliseconds.
    pub expires_at_ms: u64,
}

/// Result of `exec.approval.request`: the first or the last answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ExecApprovalAnswer {
    /// Approvers were asked; another answer follows.
    Accepted(ExecApprovalAccepted),
    /// It is over.
    Decided(ExecApprovalDecided),
}

/// What `exec.approval.waitDecision` reads of its open params.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecApprovalWaitParams {
    /// Needed, a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Value>,
}

/// Params of `exec.approval.resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecApprovalResolveParams {
    /// The approval, or a beginning that only one has.
    pub id: String,
    /// `allow-once`, `allow-always` or `deny`.
    pub decision: String,
}

/// One pattern of an allowlist.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecAllowed {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Path of a program, with `*`, `**` and `?`.
    pub pattern: String,
    /// When a command last fitted, milliseconds.
    #[serde(
        default,
        deserialize_with = "wire::int_opt",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_used_at: Option<u64>,
    /// That command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_command: Option<String>,
    /// Its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_resolved_path: Option<String>,
}

/// What holds for every agent that says nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecDefaults {
    /// `deny`, `allowlist` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
    /// `off`, `on-miss` or `always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// What holds instead when nobody answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_fallback: Option<String>,
    /// Programs of skills need no approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_allow_skills: Option<bool>,
}

/// What holds for one agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecAgent {
    /// `deny`, `allowlist` or `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<String>,
    /// `off`, `on-miss` or `always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
    /// What holds instead when nobody answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask_fallback: Option<String>,
    /// Programs of skills need no approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_allow_skills: Option<bool>,
    /// What it may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowlist: Option<Vec<ExecAllowed>>,
}

/// Where a companion on the same machine asks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSocket {
    /// The socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its secret; never told to clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The approvals file: who may run what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecApprovalsFile {
    /// Always 1.
    #[serde(deserialize_with = "wire::int")]
    pub version: u64,
    /// Where a companion asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<ExecSocket>,
    /// What holds for every agent that says nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<ExecDefaults>,
    /// Agent id, or `*` for all, → what holds for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<BTreeMap<String, ExecAgent>>,
}

/// Params of `exec.approvals.set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecApprovalsSetParams {
    /// The file as it is to be.
    pub file: ExecApprovalsFile,
    /// The hash of the file that was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_hash: Option<String>,
}

/// Result of `exec.approvals.get` and `exec.approvals.set`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecApprovals {
    /// Where the file lies.
    pub path: String,
    /// It is there.
    pub exists: bool,
    /// Fingerprint of its text.
    pub hash: String,
    /// What it says, without the socket's secret.
    pub file: ExecApprovalsFile,
}
