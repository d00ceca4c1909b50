//! The Rust type of each definition, and what tests do with it.

use super::shape::{Fields, fields_of};
use crate::frame::{self, EventText, StateVersion};
use crate::{
    agent, agents, approvals, channels, chat, config, connect, cron, devices, error, nodes,
    plugins, presence, send, sessions, skills, system, usage, voice,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// A definition's Rust type.
pub(super) struct Kind {
    /// Name of the definition.
    pub name: &'static str,
    /// Reads a text into the type and writes it back.
    pub rewrite: fn(&str) -> Result<Value, String>,
    /// The names of the type's fields.
    pub fields: fn() -> Fields,
}

fn rewrite<T: for<'de> Deserialize<'de> + Serialize>(text: &str) -> Result<Value, String> {
    let read: T = serde_json::from_str(text).map_err(|e| e.to_string())?;
    serde_json::to_value(read).map_err(|e| e.to_string())
}

macro_rules! kinds {
    ($($module:ident :: { $($name:ident),* $(,)? })*) => {
        &[
            $($(Kind {
                name: stringify!($name),
                rewrite: rewrite::<$module::$name>,
                fields: fields_of::<$module::$name>,
            },)*)*
            Kind { name: "PresenceList", rewrite: rewrite::<Vec<presence::PresenceEntry>>, fields: || Fields::Other },
            Kind { name: "LastHeartbeat", rewrite: rewrite::<Option<system::Heartbeat>>, fields: || Fields::Other },
            Kind { name: "ClientId", rewrite: rewrite::<String>, fields: || Fields::Other },
            Kind { name: "ClientMode", rewrite: rewrite::<String>, fields: || Fields::Other },
            Kind { name: "ChannelAccountSummary", rewrite: rewrite::<channels::ChannelSummary>, fields: || Fields::Open },
            Kind { name: "RequestFrame", rewrite: rewrite_request, fields: || Fields::Other },
            Kind { name: "ResponseFrame", rewrite: rewrite_response, fields: || Fields::Other },
            Kind { name: "EventFrame", rewrite: rewrite_event, fields: || Fields::Other },
            Kind { name: "DevicePairListParams", rewrite: rewrite::<Nothing>, fields: fields_of::<Nothing> },
            Kind { name: "ConfigGetParams", rewrite: rewrite::<Nothing>, fields: fields_of::<Nothing> },
            Kind { name: "ConfigSchemaParams", rewrite: rewrite::<Nothing>, fields: fields_of::<Nothing> },
            Kind { name: "CronStatusParams", rewrite: rewrite::<Nothing>, fields: fields_of::<Nothing> },
            Kind { name: "AgentsListParams", rewrite: rewrite::<Nothing>, fields: fields_of::<Nothing> },
            Kind { name: "PluginsListParams", rewrite: rewrite::<Nothing>, fields: fields_of::<Nothing> },
            Kind { name: "ExecApprovalsGetParams", rewrite: rewrite::<Nothing>, fields: fields_of::<Nothing> },
            Kind { name: "ExecApprovalListParams", rewrite: rewrite::<Nothing>, fields: fields_of::<Nothing> },
            Kind { name: "SkillsBinsParams", rewrite: rewrite::<Nothing>, fields: fields_of::<Nothing> },
            Kind { name: "ModelsListParams", rewrite: rewrite::<Nothing>, fields: fields_of::<Nothing> },
        ]
    };
}

/// Params of methods that take none.
#[derive(Serialize, Deserialize)]
struct Nothing {}

pub(super) const TYPES: &[Kind] = kinds! {
    error::{ErrorShape, ErrorCode}
    frame::{StateVersion}
    config::{
        ConfigSnapshot, ConfigIssue, ConfigSetParams, ConfigWritten, ConfigApplyParams,
        ConfigApplied, ConfigRestart, ConfigSentinel, ConfigSentinelPayload, ConfigSentinelStats,
        ConfigSchemaAnswer, ConfigHint, ConfigSchemaLookupParams, ConfigSchemaLookup,
        ConfigSchemaChild, SecretsReloaded,
    }
    connect::{
        Challenge, ConnectParams, ConnectClient, ConnectDevice, ConnectAuth, HelloOk, HelloKind,
        ServerInfo, Features, Snapshot, SnapshotHealth, SessionDefaults, AuthMode,
        UpdateAvailable, AuthInfo, HandedToken, Policy, ProtocolMismatch,
    }
    presence::{PresenceEntry, PresenceEvent}
    devices::{
        PairingRequest, PairedDevice, DeviceTokenInfo, DevicePairList, PairRequestParams,
        DevicePairApproved, DevicePairRejected, DevicePairRemoveParams, DevicePairRemoved,
        DeviceTokenRotateParams, DeviceTokenRotated, DeviceTokenRevokeParams, DeviceTokenRevoked,
        PairDecision, DevicePairResolved, DevicePairSetupCodeParams, DevicePairSetupCode,
    }
    channels::{
        ChannelsLogoutParams, ChannelsLogout, ChannelsStatusParams, ChannelsStatus, ChannelMeta, ChannelSummary, ChannelProbe,
        ChannelAccount,
    }
    plugins::{
        PluginsList, PluginInfo, PluginState, PluginAccount, PluginAccountState,
        PluginsReloadParams, PluginsReloaded, PluginChange, PluginChanged, PluginsRestartParams,
        PluginsRestarted,
    }
    send::{SendParams, SendResult}
    chat::{
        ChatHistoryParams, ChatHistory, Message, UserMessage, AssistantMessage, AbortMark,
        ToolResultMessage, SystemMessage, ContentPart, Usage, Cost, ChatSendParams,
        ChatSendResult, ChatSendRun, ChatSendStatus, ChatAbortParams, ChatAborted,
        ChatInjectParams, ChatInjected, ChatEvent, ChatState,
    }
    agent::{
        AgentParams, AgentAccepted, AcceptedStatus, AgentFinal, FinalStatus, AgentAnswer,
        AgentResult, AgentPayload, AgentMeta, AgentRunMeta, RunUsage, AgentWaitParams,
        AgentWaited, WaitStatus, AgentEvent, Lifecycle, LifecycleStart, LifecycleEnd,
        LifecycleError, AssistantText, ThinkingText, ToolPhase, ToolStart, ToolUpdate, ToolDone,
        ToolOutput, Compaction,
    }
    agents::{
        AgentsCreateParams, AgentsCreated, AgentsUpdateParams, AgentsUpdated, AgentsDeleteParams,
        AgentsDeleted, AgentsFilesListParams, AgentsFilesList, AgentFile, AgentsFileParams,
        AgentsFileGot, AgentsFileSetParams, AgentsFileSet, ToolsCatalogParams, ToolsCatalog,
        ToolProfile, ToolGroup, ToolEntry,
        AgentsList, SessionScope, AgentSummary, AgentIdentity, AgentIdentityParams,
        AgentIdentityResult, ModelsList, Model,
    }
    sessions::{
        SessionsListParams, SessionsList, SessionsListDefaults, SessionKind, SessionRow,
        SessionOrigin, DeliveryContext, SessionsPatchParams, SessionsPatched, ResolvedModel,
        ResetReason, SessionsResetParams, SessionsReset, SessionEntry, SessionsDeleteParams,
        SessionsDeleted, SessionsCompactParams, SessionsCompacted, SessionsPreviewParams,
        SessionsPreview, SessionPreview, PreviewStatus, PreviewItem, PreviewRole,
        SessionsResolveParams, SessionsResolved, SessionsMessages, SessionsExportParams,
        SessionsExported,
    }
    usage::{
        SessionsUsageParams, SessionsUsage, SessionUsageRow, SessionUsage, UsageTotals,
        UsageOfDay, MessageCounts, MessagesOfDay, Latency, LatencyOfDay, ModelOfDay, ToolUsage,
        ToolCount, ModelUsage, UsageAggregates, AgentUsage, ChannelUsage, DayUsage,
        UsageTimeseries, UsagePoint, UsageLogs, UsageLog, UsageCost, CostOfDay, UsageStatus,
        UsageProvider, UsageWindow, UsageDays,
    }
    nodes::{
        NodeListParams, NodeList, NodeRow, NodeDescribeParams, NodeDescribed, NodeInvokeParams,
        NodeInvoked, NodeInvokeRequest, NodeInvokeResultParams, NodeError, NodeResultTaken,
    }
    voice::{
        VoiceWake, TalkConfigParams, TalkConfig, TalkSettings, TalkSession, TalkUi, TalkModeParams,
        TalkMode,
    }
    approvals::{
        SystemRunFile, SystemRunPlan, SystemRunBinding, ExecApprovalRequestParams,
        ExecApprovalQuestion, ExecApprovalRequested, ExecApprovalList, ExecApprovalDecision,
        ExecApprovalResolved, ExecApprovalAcceptedStatus, ExecApprovalAccepted,
        ExecApprovalDecided, ExecApprovalAnswer, ExecApprovalResolveParams, ExecAllowed,
        ExecDefaults, ExecAgent, ExecSocket, ExecApprovalsFile, ExecApprovalsSetParams,
        ExecApprovals,
    }
    skills::{
        SkillsStatusParams, SkillsStatus, SkillStatus, SkillNeeds, SkillConfigCheck,
        SkillInstallOption, SkillsBins, SkillsUpdateParams, SkillsUpdated,
    }
    cron::{
        CronSchedule, CronTarget, CronDeliveryMode, CronAlertMode, CronPayload, CronPayloadPatch,
        CronFailureDestination, CronDelivery, CronDeliveryPatch, CronAlertRule, CronFailureAlert,
        CronRunStatus, CronDeliveryStatus, CronState, CronJob, CronAddParams, CronPatch,
        CronUpdateParams, CronRemoveParams, CronRunParams, CronListParams, CronEnabledFilter,
        CronSortBy, CronSortDir, CronList, CronStatus, CronRemoved, CronRan, CronNotRun,
        CronRunsParams, CronRunsScope, CronStatusFilter, CronUsage, CronRunEntry, CronRuns,
        CronAction, CronEvent,
    }
    system::{
        Health, AgentHealth, AgentHeartbeat, SessionsHealth, RecentSession, Status, LinkChannel,
        StatusHeartbeat, StatusAgentHeartbeat, StatusSessions, StatusSessionDefaults,
        StatusAgentSessions, StatusSession, GatewayIdentity, Tick, Shutdown, HeartbeatStatus,
        HeartbeatIndicator, Heartbeat, WakeParams, WakeMode, Woken, HeartbeatsSet, LogsTailParams, LogsTail, MemoryStatus, MemorySearch, Done,
    }
};

/// A request is only read; what was read is put together again.
fn rewrite_request(text: &str) -> Result<Value, String> {
    let request = frame::read_request(text).map_err(|e| e.to_string())?;
    let mut frame: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    frame["id"] = request.id.into();
    frame["method"] = request.method.into();
    if let Some(params) = request.params {
        frame["params"] = serde_json::from_str(params.get()).map_err(|e| e.to_string())?;
    }
    Ok(frame)
}

/// A response is only written.
fn rewrite_response(text: &str) -> Result<Value, String> {
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
        #[serde(borrow)]
        payload: Option<&'a RawValue>,
        error: Option<error::ErrorShape>,
    }
    let r: Response<'_> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let payload = r.payload.map(RawValue::get);
    let written = match r.error {
        Some(error) => frame::response_err(r.id.get(), &error, payload),
        None => {
            let id: String = serde_json::from_str(r.id.get()).map_err(|e| e.to_string())?;
            frame::response_ok(&id, payload.unwrap_or("null"))
        }
    };
    serde_json::from_str(&written).map_err(|e| e.to_string())
}

/// An event is only written.
fn rewrite_event(text: &str) -> Result<Value, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Event<'a> {
        event: String,
        #[serde(borrow)]
        payload: Option<&'a RawValue>,
        seq: Option<u64>,
        state_version: Option<StateVersion>,
    }
    let e: Event<'_> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let event = EventText::new(&e.event, e.payload.map(RawValue::get), e.state_version);
    let written = e
        .seq
        .map_or_else(|| event.without_seq(), |seq| event.with_seq(seq));
    serde_json::from_str(&written).map_err(|e| e.to_string())
}
