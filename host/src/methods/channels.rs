//! `channels.status` and `channels.logout`.

use std::time::Duration;

use gateway_plugin::message::ErrorKind;
use gateway_schemas::channels::{ChannelsLogout, ChannelsLogoutParams, ChannelsStatusParams};
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::config::refusal;
use super::{Call, Outcome, Reply};
use crate::channels::catalogue::{self, Credential};
use crate::channels::{Account, DEFAULT_ACCOUNT};
use crate::error::GatewayError;
use crate::limits::{LOGOUT_DEADLINE, PROBE_DEADLINE};

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

/// `channels.logout`: the plugin forgets its login, and the credential goes from the person's
/// file; without it the account rests.
pub async fn logout(call: Call) -> Outcome {
    let params: ChannelsLogoutParams = call.params()?;
    let channel = params.channel.trim().to_lowercase();
    let channels = &call.parts.channels;
    if !channels.exists(&channel) {
        return Err(GatewayError::invalid("invalid channels.logout channel"));
    }
    let named = params.account_id.map(|id| id.trim().to_lowercase());
    let named = named.filter(|id| !id.is_empty());
    let account = channels
        .account(&channel, named.as_deref())
        .ok_or_else(|| {
            let id = named.as_deref().unwrap_or(DEFAULT_ACCOUNT);
            GatewayError::invalid(format!("unknown account \"{id}\" of channel {channel}"))
        })?;
    if call.parts.config.changes().borrow().problem.is_some() {
        let text = "config invalid; fix it before logging out";
        return Err(GatewayError::invalid(text));
    }
    let forgotten = forget(&account).await?;
    let credential = catalogue::find(&channel).and_then(|known| known.credential.as_ref());
    let Some(credential) = credential else {
        if !forgotten {
            let text = format!("channel {channel} does not support logout");
            return Err(GatewayError::invalid(text));
        }
        return Reply::of(&ChannelsLogout {
            channel,
            account_id: account.id().to_owned(),
            cleared: true,
            env_token: None,
            logged_out: Some(true),
        });
    };
    let (removed, shared) = remove(&call, &account, credential).await?;
    let dotenv = &call.parts.config.current().dotenv;
    let env_token = account.id() == DEFAULT_ACCOUNT && dotenv.var(credential.env).is_some();
    Reply::of(&ChannelsLogout {
        channel,
        account_id: account.id().to_owned(),
        cleared: removed || forgotten,
        env_token: Some(env_token),
        logged_out: Some(!env_token && !shared),
    })
}

/// Lets the plugin forget its login; whether it had one to forget.
async fn forget(account: &Account) -> Result<bool, GatewayError> {
    match account.log_out(LOGOUT_DEADLINE).await {
        None => Ok(false),
        Some(Ok(())) => Ok(true),
        Some(Err(error)) if error.kind == ErrorKind::Unsupported => Ok(false),
        Some(Err(error)) => {
            let text = "Error: the plugin could not forget its login";
            Err(GatewayError::unavailable(text).caused_by(error))
        }
    }
}

/// Takes the account's credential out of the file. Says whether there was one, and whether one
/// that all accounts of the channel share is left.
async fn remove(
    call: &Call,
    account: &Account,
    credential: &'static Credential,
) -> Result<(bool, bool), GatewayError> {
    let (told, outcome) = oneshot::channel();
    let (channel, id) = (account.channel().to_owned(), account.id().to_owned());
    let change = move |root: &mut Map<String, Value>| {
        let keys = [credential.key, credential.file_key];
        let block = root.get_mut("channels").and_then(|c| c.get_mut(&channel));
        let Some(Value::Object(block)) = block else {
            told.send((false, false)).ok();
            return Ok(());
        };
        let own = match block.get_mut("accounts") {
            Some(Value::Object(accounts)) if !accounts.is_empty() => {
                let is_own = |(key, _): &(&String, &mut Value)| key.trim().to_lowercase() == id;
                let own = accounts.iter_mut().find(is_own);
                own.and_then(|(_, own)| own.as_object_mut())
            }
            _ => None,
        };
        let outcome = match own {
            Some(own) => {
                let removed = keys
                    .iter()
                    .filter(|key| own.remove(**key).is_some())
                    .count();
                (removed > 0, keys.iter().any(|key| block.contains_key(*key)))
            }
            None => {
                let removed = keys
                    .iter()
                    .filter(|key| block.remove(**key).is_some())
                    .count();
                (removed > 0, false)
            }
        };
        told.send(outcome).ok();
        Ok(())
    };
    call.parts.reload.edit(change).await.map_err(refusal)?;
    Ok(outcome.await.unwrap_or_default())
}
