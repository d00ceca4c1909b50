//! `cron.*`: jobs that run by the clock.

use gateway_schemas::cron as wire;

use super::{Call, Outcome, Reply};
use crate::cron::CronError;
use crate::error::GatewayError;

/// `cron.list`
pub async fn list(call: Call) -> Outcome {
    let params = call.params()?;
    Reply::of(&call.parts.cron.list(params).await.map_err(refused)?)
}

/// `cron.status`
pub async fn status(call: Call) -> Outcome {
    Reply::of(&call.parts.cron.status().await.map_err(refused)?)
}

/// `cron.add`
pub async fn add(call: Call) -> Outcome {
    let params = call.params()?;
    Reply::of(&call.parts.cron.add(params).await.map_err(refused)?)
}

/// `cron.update`
pub async fn update(call: Call) -> Outcome {
    let params: wire::CronUpdateParams = call.params()?;
    let changed = call.parts.cron.update(params.job.id(), params.patch).await;
    Reply::of(&changed.map_err(refused)?)
}

/// `cron.remove`
pub async fn remove(call: Call) -> Outcome {
    let params: wire::CronRemoveParams = call.params()?;
    let removed = call.parts.cron.remove(params.job.id()).await;
    Reply::of(&wire::CronRemoved {
        ok: true,
        removed: removed.map_err(refused)?,
    })
}

/// `cron.run`
pub async fn run(call: Call) -> Outcome {
    let params: wire::CronRunParams = call.params()?;
    let force = params.mode != Some(wire::CronRunMode::Due);
    let ran = call.parts.cron.run(params.job.id(), force).await;
    Reply::of(&ran.map_err(refused)?)
}

/// `cron.runs`
pub async fn runs(call: Call) -> Outcome {
    let params = call.params()?;
    Reply::of(&call.parts.cron.runs(params).await.map_err(refused)?)
}

fn refused(error: CronError) -> GatewayError {
    match error {
        CronError::Invalid(text) => GatewayError::invalid(text),
        CronError::Store(cause) => {
            GatewayError::unavailable("Error: the cron store failed").caused_by(cause)
        }
        error => GatewayError::unavailable(format!("Error: {error}")),
    }
}
