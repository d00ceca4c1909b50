//! Small facts about the gateway: its identity, the last heartbeat.

use super::{Call, Outcome, Reply};

/// `gateway.identity.get`
pub async fn identity(call: Call) -> Outcome {
    Reply::of(&call.parts.identity)
}

/// `last-heartbeat`: the payload of the last `heartbeat` event, or null.
pub async fn last_heartbeat(call: Call) -> Outcome {
    Reply::of(&call.parts.heartbeats.last())
}
