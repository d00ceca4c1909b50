//! The tool `message`: a text on a channel, by the same way as `send`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Parts, arguments};
use crate::agent::toolbox::{ToolOutput, ToolPlace};
use crate::channels::{SendRequest, catalogue};
use crate::router::mirror::mirror;

/// What models are told of the arguments.
pub(super) fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {
            "action": { "type": "string", "enum": ["send"] },
            "channel": { "type": "string",
                "description": "Channel id such as telegram; the conversation's own if absent." },
            "target": { "type": "string",
                "description": "Who or where, as the channel names it; the conversation's own \
                    place if absent." },
            "message": { "type": "string" },
            "accountId": { "type": "string" },
            "threadId": { "type": "string" },
        },
        "required": ["message"],
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Arguments {
    action: Option<String>,
    channel: Option<String>,
    #[serde(alias = "to")]
    target: Option<String>,
    #[serde(alias = "text")]
    message: String,
    account_id: Option<String>,
    thread_id: Option<String>,
}

pub(super) async fn send(
    parts: &Parts,
    place: &ToolPlace,
    given: Value,
) -> Result<ToolOutput, String> {
    let given: Arguments = arguments(given)?;
    if let Some(action) = given.action.as_deref().filter(|action| *action != "send") {
        return Err(format!(
            "the action \"{action}\" is not supported: use send"
        ));
    }
    if given.message.trim().is_empty() {
        return Err("message is empty".to_owned());
    }
    let request = request(parts, place, given)?;
    let delivered = parts.channels.send(request.clone()).await;
    let delivered = delivered.map_err(|error| error.to_string())?;
    mirror(
        (&place.config, &parts.sessions),
        (&request, &delivered),
        &place.agent,
        (None, Some(&place.key)),
        &format!("{}:{}", place.run_id, place.step),
    )
    .await;
    let sent = json!({
        "ok": true, "channel": request.channel, "to": request.to,
        "messageId": delivered.receipt.message_id,
    });
    let about = format!("{} → {}", request.channel, request.to);
    Ok(ToolOutput::ok(sent.to_string()).about(about))
}

/// The message, addressed: what isn't said is that of the conversation itself.
fn request(parts: &Parts, place: &ToolPlace, given: Arguments) -> Result<SendRequest, String> {
    let some = |text: Option<String>| {
        let text = text.map(|text| text.trim().to_owned());
        text.filter(|text| !text.is_empty())
    };
    let row = parts.sessions.get(&place.key);
    let row = row.map_err(|_| "the session could not be read".to_owned())?;
    let own = row.and_then(|row| row.route);
    let own_channel = own.as_ref().map(|route| route.channel.clone());
    let channel = some(given.channel).map(|id| catalogue::canonical(&id));
    let channel = match channel.or(own_channel.clone()) {
        Some(channel) => channel,
        None => {
            let mut configured = parts.channels.configured();
            match configured.len() {
                1 => configured.remove(0),
                0 => return Err("no channel is configured".to_owned()),
                _ => return Err(format!("name the channel: {}", configured.join(", "))),
            }
        }
    };
    if !parts.channels.exists(&channel) {
        return Err(format!("unsupported channel: {channel}"));
    }
    let own = own.filter(|route| route.channel == channel);
    let to = some(given.target);
    let own_to = own.as_ref().and_then(|route| route.to.clone());
    let elsewhere = to.is_some() && to != own_to;
    check_context(place, own_channel.as_deref(), &channel, elsewhere)?;
    let thread = own.as_ref().filter(|_| !elsewhere);
    let thread = thread.and_then(|route| route.thread_id.clone());
    Ok(SendRequest {
        key: format!("tool:{}:{}", place.run_id, place.step),
        account: some(given.account_id).or(own.and_then(|route| route.account_id)),
        to: to.or(own_to).ok_or("name the target")?,
        thread_id: some(given.thread_id).or(thread),
        reply_to: None,
        text: given.message,
        channel,
    })
}

/// Somebody who writes to the agent on one channel shall not make it write on another, unless
/// the configuration lets them.
pub(super) fn check_context(
    place: &ToolPlace,
    own: Option<&str>,
    channel: &str,
    elsewhere: bool,
) -> Result<(), String> {
    let context = &place.config.tools.message.cross_context;
    let Some(own) = own.filter(|own| *own != "webchat") else {
        return Ok(());
    };
    if own != channel && !context.allow_across_providers {
        return Err(format!(
            "a conversation of {own} may not send on {channel}: \
             tools.message.crossContext.allowAcrossProviders is off"
        ));
    }
    if own == channel && elsewhere && context.allow_within_provider == Some(false) {
        return Err(format!(
            "a conversation of {own} may only send to itself: \
             tools.message.crossContext.allowWithinProvider is off"
        ));
    }
    Ok(())
}
