//! `device.pair.*` and `device.token.*`.

use gateway_schemas::devices::{
    DevicePairApproved, DevicePairRejected, DevicePairRemoveParams, DevicePairRemoved,
    DevicePairSetupCode, DevicePairSetupCodeParams, DeviceTokenRevokeParams, DeviceTokenRevoked,
    DeviceTokenRotateParams, DeviceTokenRotated, PairRequestParams,
};

use super::{Call, Outcome, Reply, setup_url};
use gateway_schemas::frame::quote;

use crate::auth::signature::encode;
use crate::devices::{DevicesError, Giver};
use crate::error::GatewayError;
use crate::presence::lan_address;

impl From<DevicesError> for GatewayError {
    fn from(e: DevicesError) -> Self {
        match e {
            DevicesError::Store(cause) => {
                GatewayError::unavailable("Error: the device store failed").caused_by(cause)
            }
            refusal => GatewayError::invalid(refusal.to_string()),
        }
    }
}

/// `device.pair.list`
pub async fn list(call: Call) -> Outcome {
    Reply::of(&call.parts.devices.list().await?)
}

/// `device.pair.approve`
pub async fn approve(call: Call) -> Outcome {
    let params: PairRequestParams = call.params()?;
    let device = call
        .parts
        .devices
        .approve(&params.request_id, giver(&call))
        .await?;
    Reply::of(&DevicePairApproved {
        request_id: params.request_id,
        device,
    })
}

/// `device.pair.reject`
pub async fn reject(call: Call) -> Outcome {
    let params: PairRequestParams = call.params()?;
    let device_id = call.parts.devices.reject(&params.request_id).await?;
    Reply::of(&DevicePairRejected {
        request_id: params.request_id,
        device_id,
    })
}

/// `device.pair.remove`
pub async fn remove(call: Call) -> Outcome {
    let params: DevicePairRemoveParams = call.params()?;
    let device_id = call.parts.devices.remove(&params.device_id).await?;
    Reply::of(&DevicePairRemoved { device_id })
}

/// `device.pair.setupCode`
pub async fn setup_code(call: Call) -> Outcome {
    let params: DevicePairSetupCodeParams = call.params()?;
    let config = call.parts.config.current();
    let prefer_remote = params.prefer_remote.unwrap_or(false);
    let own = lan_address().map(|a| a.to_string());
    let chosen = setup_url::choose(&config.gateway, params.url, prefer_remote, own);
    let chosen = chosen.map_err(GatewayError::invalid)?;
    let code = call.parts.devices.make_code(giver(&call)).await?;
    // The keys stand in this order in every code that was ever made.
    let text = format!(
        r#"{{"url":{},"bootstrapToken":{}}}"#,
        quote(&chosen.url),
        quote(&code.token)
    );
    Reply::of(&DevicePairSetupCode {
        setup_code: encode(text.as_bytes()),
        gateway_url: chosen.url,
        url_source: chosen.source,
        auth: chosen.auth.to_owned(),
        expires_at_ms: code.expires_at_ms,
    })
}

/// `device.token.rotate`
pub async fn rotate(call: Call) -> Outcome {
    let params: DeviceTokenRotateParams = call.params()?;
    let devices = &call.parts.devices;
    let grant = devices
        .rotate(&params.device_id, &params.role, params.scopes, giver(&call))
        .await?;
    Reply::of(&DeviceTokenRotated {
        device_id: params.device_id.trim().to_owned(),
        role: params.role.trim().to_owned(),
        token: grant.token,
        scopes: grant.scopes,
        rotated_at_ms: grant.issued_at_ms,
    })
}

/// `device.token.revoke`
pub async fn revoke(call: Call) -> Outcome {
    let params: DeviceTokenRevokeParams = call.params()?;
    let revoked_at_ms = call
        .parts
        .devices
        .revoke(&params.device_id, &params.role)
        .await?;
    Reply::of(&DeviceTokenRevoked {
        device_id: params.device_id.trim().to_owned(),
        role: params.role.trim().to_owned(),
        revoked_at_ms,
    })
}

fn giver(call: &Call) -> Giver {
    Giver {
        scopes: call.caller.scopes.clone(),
    }
}
