//! The gateway about itself, and what wakes its agent: its identity, `wake`, heartbeats, memory.

use gateway_schemas::system::{
    HeartbeatsSet, MemorySearch, MemoryStatus, SetHeartbeatsParams, WakeMode, WakeParams, Woken,
};
use serde_json::Value;

use super::{Call, Outcome, Reply};
use crate::limits::SYSTEM_EVENT_TEXT_CHARS_MAX;

/// `gateway.identity.get`
pub async fn identity(call: Call) -> Outcome {
    Reply::of(&call.parts.identity)
}

/// `last-heartbeat`: the payload of the last `heartbeat` event, or null.
pub async fn last_heartbeat(call: Call) -> Outcome {
    Reply::of(&call.parts.heartbeats.last())
}

/// `set-heartbeats`: on or off until the gateway ends.
pub async fn set_heartbeats(call: Call) -> Outcome {
    let needed = || call.invalid("enabled (boolean) required");
    let params: SetHeartbeatsParams = call.params().map_err(|_| needed())?;
    let enabled = params.enabled.as_ref().and_then(Value::as_bool);
    let enabled = enabled.ok_or_else(needed)?;
    call.parts.heartbeats.set_enabled(enabled);
    Reply::of(&HeartbeatsSet { ok: true, enabled })
}

/// `wake`: a text for the main session, told to the agent now or when it looks around next.
pub async fn wake(call: Call) -> Outcome {
    let params: WakeParams = call.params()?;
    let text = params.text.trim();
    if text.is_empty() {
        return Reply::of(&Woken { ok: false });
    }
    let text: String = text.chars().take(SYSTEM_EVENT_TEXT_CHARS_MAX).collect();
    let (parts, now_ms) = (&call.parts, call.parts.clock.now_ms());
    parts.sessions.system_events().push(now_ms, text);
    if params.mode == WakeMode::Now {
        let config = parts.config.current();
        parts.heartbeats.wake(config.agents.default_id(), "wake");
    }
    Reply::of(&Woken { ok: true })
}

/// `doctor.memory.status`: this gateway's agents have no memory that could be searched.
pub async fn memory(call: Call) -> Outcome {
    let config = call.parts.config.current();
    Reply::of(&MemoryStatus {
        agent_id: config.agents.default_id().to_owned(),
        provider: None,
        embedding: MemorySearch {
            ok: false,
            error: Some("memory search unavailable".to_owned()),
        },
    })
}
