//! Where a job's words go: a chat, or a web server.
//!
//! Called by the run and by alerts. Promises that a text goes out once under its key, and that its
//! error can be shown to clients.

use serde_json::Value;

use super::Parts;
use super::webhook;
use crate::channels::{SendError, SendRequest, catalogue};
use crate::sessions::{RouteRow, SessionKey};
use crate::store::cron::{JobRow, PlaceRow, WayRow};

/// The channel that stands for the session's last route.
const LAST: &str = "last";

/// Why something did not arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Nobody said where, and nobody has written yet.
    NoRoute,
    /// It did not arrive.
    Failed(String),
    /// Nobody knows whether it did.
    Unknown(String),
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Missing::NoRoute => f.write_str(
                "no chat to announce to: set delivery.channel and delivery.to, or write to the \
                 agent on a channel first",
            ),
            Missing::Failed(why) | Missing::Unknown(why) => f.write_str(why),
        }
    }
}

/// Sends a text to a place. A web server gets `body` instead.
///
/// # Errors
/// [`Missing`].
pub async fn send(
    parts: &Parts,
    job: &JobRow,
    place: &PlaceRow,
    key: String,
    text: &str,
    body: &Value,
) -> Result<(), Missing> {
    match place.way.unwrap_or(WayRow::Chat) {
        WayRow::None => Ok(()),
        WayRow::Web => {
            let config = parts.config.current();
            let to = place.to.as_deref().unwrap_or_default();
            webhook::post(&config.cron, to, body)
                .await
                .map_err(Missing::Failed)
        }
        WayRow::Chat => {
            let request = request(parts, job, place, key, text)?;
            let sent = parts.channels.send(request).await;
            sent.map(|_| ()).map_err(|error| match error {
                SendError::Unknown(_) | SendError::Stopping => Missing::Unknown(error.to_string()),
                error => Missing::Failed(error.to_string()),
            })
        }
    }
}

fn request(
    parts: &Parts,
    job: &JobRow,
    place: &PlaceRow,
    key: String,
    text: &str,
) -> Result<SendRequest, Missing> {
    let named = place.channel.as_deref().map(catalogue::canonical);
    let named = named.filter(|id| !id.is_empty() && id != LAST);
    let last = last_route(parts, job);
    let last = last.filter(|last| named.as_ref().is_none_or(|id| *id == last.channel));
    let mut configured = parts.channels.configured();
    let channel = match (named, &last) {
        (Some(channel), _) => channel,
        (None, Some(last)) => last.channel.clone(),
        (None, None) if place.to.is_some() && configured.len() == 1 => configured.swap_remove(0),
        (None, None) if place.to.is_some() || place.channel.is_some() => {
            return Err(Missing::Failed(Missing::NoRoute.to_string()));
        }
        (None, None) => return Err(Missing::NoRoute),
    };
    let own = place.to.clone().filter(|to| !to.is_empty());
    let thread_id = last.as_ref().and_then(|last| last.thread_id.clone());
    let account = last.as_ref().and_then(|last| last.account_id.clone());
    let to = own.clone().or(last.and_then(|last| last.to));
    Ok(SendRequest {
        key,
        to: to.ok_or_else(|| Missing::Failed(format!("delivery.to is required for {channel}")))?,
        channel,
        account: place.account_id.clone().or(account),
        thread_id: thread_id.filter(|_| own.is_none()),
        reply_to: None,
        text: text.to_owned(),
    })
}

/// The last route of the job's session, else of its agent's main session.
fn last_route(parts: &Parts, job: &JobRow) -> Option<RouteRow> {
    let config = parts.config.current();
    let agent = job
        .agent_id
        .as_deref()
        .unwrap_or(config.agents.default_id());
    let named = job.session_key.as_deref();
    let named = named.and_then(|key| SessionKey::resolve(key, &config).ok());
    let keys = named
        .into_iter()
        .chain([SessionKey::main_of(agent, &config)]);
    keys.into_iter().find_map(|key| {
        let row = parts.sessions.get(&key).ok().flatten()?;
        row.route.filter(|route| {
            let has_target = route.to.as_ref().is_some_and(|to| !to.is_empty());
            has_target && route.channel != "webchat"
        })
    })
}
