//! What was sent is kept: a copy goes into the session of where it went, so that the agent of that
//! conversation knows what it said.
//!
//! Called after a delivery, by `send` and by the agent's own tool.

use super::place::Place;
use crate::channels::{Delivered, SendRequest, catalogue};
use crate::config::Config;
use crate::sessions::{SessionKey, Sessions};

/// Keeps a copy of a delivered message: in the session that was named, else in the one of its
/// target as `agent` has it. In the session that must be left out nothing is kept.
pub async fn mirror(
    (config, sessions): (&Config, &Sessions),
    (request, delivered): (&SendRequest, &Delivered),
    agent: &str,
    (named, left_out): (Option<&SessionKey>, Option<&SessionKey>),
    run_id: &str,
) {
    let key = named.cloned().unwrap_or_else(|| {
        let place = target(request, delivered);
        place.session(config, agent, &request.channel, &delivered.account)
    });
    if left_out == Some(&key) {
        return;
    }
    if let Err(e) = sessions.mirror(&key, &request.text, run_id).await {
        tracing::error!(%key, run = run_id, error = %e, "the sent text is not in the session");
    }
}

/// Where the message went: as the target spells it, with the id a name was resolved to.
fn target(request: &SendRequest, delivered: &Delivered) -> Place {
    let channel = &request.channel;
    let mut place = Place::of_target(channel, &request.to, request.thread_id.as_deref());
    let names_are_ids = catalogue::find(channel).is_some_and(|k| k.topics_are_rooms);
    if let Some(chat) = delivered
        .receipt
        .chat_id
        .as_deref()
        .filter(|_| names_are_ids)
    {
        let resolved = Place::of_target(channel, chat, None);
        (place.kind, place.peer) = (resolved.kind, resolved.peer);
    }
    place
}
