//! `config.*` and `secrets.reload`: the file as clients see and change it.

use gateway_schemas::config::{
    ConfigApplied, ConfigApplyParams, ConfigRestart, ConfigSchemaAnswer, ConfigSchemaLookupParams,
    ConfigSentinel, ConfigSentinelPayload, ConfigSentinelStats, ConfigSetParams, ConfigSnapshot,
    ConfigWritten, SecretsReloaded,
};
use serde_json::json;

use super::{Call, Outcome, Reply};
use crate::error::GatewayError;
use crate::reload::{self, Applied, Base, ReloadError, Write};
use crate::spell;

/// `config.get`
pub async fn get(call: Call) -> Outcome {
    Reply::of(&snapshot(&call).await?)
}

/// `config.schema`
pub async fn schema(call: Call) -> Outcome {
    let schema = reload::schema(&call.parts.channels);
    Reply::of(&ConfigSchemaAnswer {
        schema: schema.shown(),
        ui_hints: schema.hints().clone(),
        version: crate::VERSION.to_owned(),
        generated_at: spell::moment(call.parts.clock.now_ms()),
    })
}

/// `config.schema.lookup`
pub async fn lookup(call: Call) -> Outcome {
    let params: ConfigSchemaLookupParams = call.params()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./[]-*".contains(c);
    if !params.path.chars().all(plain) {
        let pattern = "^[A-Za-z0-9_./\\[\\]\\-*]+$";
        return Err(call.invalid(&format!("at /path: must match pattern \"{pattern}\"")));
    }
    let found = reload::schema(&call.parts.channels).lookup(&params.path);
    let found = found.ok_or_else(|| GatewayError::invalid("config schema path not found"))?;
    Reply::of(&found)
}

/// `config.set`
pub async fn set(call: Call) -> Outcome {
    let params: ConfigSetParams = call.params()?;
    write(&call, params.base_hash, Write::Text(params.raw)).await?;
    let now = snapshot(&call).await?;
    Reply::of(&ConfigWritten {
        ok: true,
        path: now.path,
        config: now.config,
    })
}

/// `config.apply`
pub async fn apply(call: Call) -> Outcome {
    let params: ConfigApplyParams = call.params()?;
    let write = Write::Text(params.raw.clone());
    applied(&call, params, write, "config.apply").await
}

/// `config.patch`
pub async fn patch(call: Call) -> Outcome {
    let params: ConfigApplyParams = call.params()?;
    let write = Write::Patch(params.raw.clone());
    applied(&call, params, write, "config.patch").await
}

/// `secrets.reload`: everything is read again, also what lies in other files.
pub async fn reload_secrets(call: Call) -> Outcome {
    let applied = call.parts.reload.again().await.map_err(refusal)?;
    Reply::of(&SecretsReloaded {
        ok: true,
        warning_count: applied.unresolved as u64,
    })
}

async fn applied(
    call: &Call,
    params: ConfigApplyParams,
    wish: Write,
    method: &'static str,
) -> Outcome {
    let done = write(call, params.base_hash, wish).await?;
    let now = snapshot(call).await?;
    Reply::of(&ConfigApplied {
        ok: true,
        restart: restart(&done),
        sentinel: ConfigSentinel {
            path: None,
            payload: ConfigSentinelPayload {
                kind: method.replace('.', "-"),
                status: "ok".into(),
                ts: call.parts.clock.now_ms(),
                session_key: params.session_key,
                message: params.note,
                doctor_hint: None,
                stats: ConfigSentinelStats {
                    mode: method.into(),
                    root: now.path.clone(),
                },
            },
        },
        path: now.path,
        config: now.config,
    })
}

/// Nothing where everything counts already. The gateway never restarts by itself: whoever runs it
/// does, and is told what for.
fn restart(done: &Applied) -> Option<ConfigRestart> {
    if done.after_restart.is_empty() {
        return None;
    }
    let keys = done.after_restart.join(", ");
    Some(ConfigRestart {
        ok: false,
        pid: std::process::id().into(),
        signal: "SIGUSR1".into(),
        delay_ms: 0,
        reason: format!("not restarted: {keys} will count after the next start"),
        mode: "emit".into(),
        coalesced: false,
        cooldown_ms_applied: 0,
    })
}

async fn snapshot(call: &Call) -> Result<ConfigSnapshot, GatewayError> {
    let options = call.parts.reload.options();
    let schema = reload::schema(&call.parts.channels);
    let read = tokio::task::spawn_blocking(move || reload::snapshot(&options, &schema)).await;
    let failed = || GatewayError::unavailable("Error: the configuration can't be read");
    read.map_err(|e| failed().caused_by(e))?
        .map_err(|e| failed().caused_by(e))
}

async fn write(call: &Call, base: Option<String>, wish: Write) -> Result<Applied, GatewayError> {
    let written = call.parts.reload.write(Base::Text(base), wish).await;
    written.map_err(refusal)
}

/// In the words that clients know.
pub(super) fn refusal(error: ReloadError) -> GatewayError {
    match error {
        ReloadError::NoBase => {
            GatewayError::invalid("config base hash required; re-run config.get and retry")
        }
        ReloadError::Stale => {
            GatewayError::invalid("config changed since last load; re-run config.get and retry")
        }
        ReloadError::Invalid(issues) => {
            let text = ReloadError::Invalid(issues.clone()).to_string();
            GatewayError::invalid(format!("invalid config: {text}"))
                .with_details(json!({ "issues": issues }))
        }
        ReloadError::Syntax(why) | ReloadError::Refused(why) => GatewayError::invalid(why),
        ReloadError::Unusable(why) => GatewayError::unavailable(format!("Error: {why}")),
        ReloadError::Ended => GatewayError::unavailable("Error: the gateway is stopping"),
    }
}
