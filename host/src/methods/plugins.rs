//! `plugins.list`, `plugins.reload`, `plugins.restart`.

use gateway_schemas::plugins::{
    PluginsReloadParams, PluginsReloaded, PluginsRestartParams, PluginsRestarted,
};
use serde_json::{Value, json};

use super::{Call, Outcome, Reply};
use crate::channels::ChangeError;
use crate::error::GatewayError;

/// `plugins.list`: every plugin with its state, generation and accounts.
pub async fn list(call: Call) -> Outcome {
    Reply::of(&call.parts.channels.plugins())
}

/// `plugins.reload`: applies what `plugins.toml` says now. Goes on when the client leaves.
pub async fn reload(call: Call) -> Outcome {
    let params: PluginsReloadParams = call.params()?;
    let changes = call.parts.channels.reload_plugins(params.name).await;
    Reply::of(&PluginsReloaded {
        changes: changes.map_err(refusal)?,
    })
}

/// `plugins.restart`: starts accounts anew, given up or not. Goes on when the client leaves.
pub async fn restart(call: Call) -> Outcome {
    let params: PluginsRestartParams = call.params()?;
    let channels = &call.parts.channels;
    let restarted = channels
        .restart_plugin(params.name, params.account_id)
        .await;
    Reply::of(&PluginsRestarted {
        restarted: restarted.map_err(refusal)?,
    })
}

fn refusal(error: ChangeError) -> GatewayError {
    let text = error.to_string();
    match error {
        ChangeError::Unknown { .. } | ChangeError::Account { .. } | ChangeError::Idle(_) => {
            GatewayError::invalid(text)
        }
        ChangeError::NotStarted { restarted, failed } => {
            let each = failed
                .into_iter()
                .map(|(account, why)| (account, Value::String(why)));
            let failed: serde_json::Map<String, Value> = each.collect();
            let details = json!({ "restarted": restarted, "failed": failed });
            GatewayError::unavailable(text).with_details(details)
        }
        ChangeError::File(_) | ChangeError::NotServing { .. } | ChangeError::Ended => {
            GatewayError::unavailable(text)
        }
    }
}
