//! `channels.status`.

use std::time::Duration;

use gateway_schemas::channels::ChannelsStatusParams;

use super::{Call, Outcome, Reply};
use crate::limits::PROBE_DEADLINE;

/// Shortest deadline a client may give a probe.
const PROBE_SHORTEST: Duration = Duration::from_secs(1);

/// `channels.status`: every channel and account; with `probe` the providers are asked first.
pub async fn status(call: Call) -> Outcome {
    let params: ChannelsStatusParams = call.params()?;
    let deadline = params.timeout_ms.map_or(PROBE_DEADLINE, |ms| {
        Duration::from_millis(ms).clamp(PROBE_SHORTEST, PROBE_DEADLINE)
    });
    let probe = (params.probe == Some(true)).then_some(deadline);
    Reply::of(&call.parts.channels.status(probe).await)
}
