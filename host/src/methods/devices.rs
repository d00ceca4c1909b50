//! `device.pair.*` and `device.token.*`.

use gateway_schemas::devices::{
    DevicePairApproved, DevicePairRejected, DevicePairRemoveParams, DevicePairRemoved,
    DeviceTokenRevokeParams, DeviceTokenRevoked, DeviceTokenRotateParams, DeviceTokenRotated,
    PairRequestParams,
};

use super::{Call, Outcome, Reply};
use crate::devices::{DevicesError, Giver};
use crate::error::GatewayError;

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
