//! Answers of the agent on their way to a channel, and what `agent` and `chat.send` share.
//!
//! Called by `methods/agent.rs` and `methods/chat.rs`. Promises that a delivery happens once for
//! each run: its key is the run's.

use gateway_schemas::agent::AgentParams;

use super::{Outcome, Parts, Reply};
use crate::channels::{SendRequest, catalogue};
use crate::config::Config;
use crate::dedupe::Answer;
use crate::error::GatewayError;
use crate::sessions::{RouteRow, SessionKey, SessionRow, send_policy};

/// The channel that stands for the session's last route.
const LAST: &str = "last";
/// What is told when the answer has nowhere to go and channels exist.
const NO_ROUTE: &str = "delivery channel is required: pass --channel/--reply-channel or use a \
    main session with a previous channel";

/// Where an answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    channel: String,
    account: Option<String>,
    to: String,
    thread_id: Option<String>,
}

impl Route {
    /// The route of a stored session; none when it has no target.
    pub fn stored(row: RouteRow) -> Option<Route> {
        Some(Route {
            to: row.to.filter(|to| !to.is_empty())?,
            channel: row.channel,
            account: row.account_id,
            thread_id: row.thread_id,
        })
    }

    /// The route that an `agent` call asks for: what it names, else the session's last one.
    pub fn chosen(
        parts: &Parts,
        params: &AgentParams,
        last: Option<RouteRow>,
    ) -> Result<Route, GatewayError> {
        let given = |first: &Option<String>, second: &Option<String>| {
            let texts = [first, second].into_iter().flatten();
            texts
                .map(|text| text.trim())
                .find(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let named = Named {
            channel: given(&params.reply_channel, &params.channel),
            to: given(&params.reply_to, &params.to),
            account: given(&params.reply_account_id, &params.account_id),
            thread_id: given(&params.thread_id, &None),
        };
        named.route(parts, last)
    }
}

/// What somebody says of the place where an answer goes.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// The channel, or `last`.
    pub channel: Option<String>,
    /// The place on it.
    pub to: Option<String>,
    /// The account.
    pub account: Option<String>,
    /// The thread.
    pub thread_id: Option<String>,
}

impl Named {
    /// The whole route; what is not named is that of the session's last one.
    ///
    /// # Errors
    /// `INVALID_REQUEST` when too little is known.
    pub fn route(self, parts: &Parts, last: Option<RouteRow>) -> Result<Route, GatewayError> {
        let channel = self.channel.as_deref().map(catalogue::canonical);
        let channel = channel.filter(|id| id != LAST);
        let last = last.and_then(Route::stored);
        let last = last.filter(|last| channel.as_ref().is_none_or(|id| *id == last.channel));
        let configured = parts.channels.configured();
        let channel = match (channel, &last, &self.to) {
            (Some(channel), ..) => channel,
            (None, Some(last), _) => last.channel.clone(),
            (None, None, Some(_)) if configured.len() == 1 => configured[0].clone(),
            (None, None, _) if configured.is_empty() => {
                let text = "Error: Channel is required (no configured channels detected).";
                return Err(GatewayError::invalid(text));
            }
            (None, None, _) => return Err(GatewayError::invalid(NO_ROUTE)),
        };
        let to = self.to.or(last.as_ref().map(|last| last.to.clone()));
        let last_account = last.as_ref().and_then(|last| last.account.clone());
        Ok(Route {
            to: to.ok_or_else(|| GatewayError::invalid(NO_ROUTE))?,
            channel,
            account: self.account.or(last_account),
            thread_id: self.thread_id.or(last.and_then(|last| last.thread_id)),
        })
    }
}

/// True for a channel that a client may name.
pub fn is_known(parts: &Parts, channel: &str) -> bool {
    let id = catalogue::canonical(channel);
    id.is_empty()
        || id == LAST
        || id == "webchat"
        || catalogue::find(&id).is_some()
        || parts.channels.exists(&id)
}

/// Sends the answer of a run and waits for what became of it.
///
/// # Errors
/// The text for the client.
pub async fn deliver(parts: &Parts, route: &Route, run_id: &str, text: &str) -> Result<(), String> {
    let request = SendRequest {
        key: format!("answer:{run_id}"),
        channel: route.channel.clone(),
        account: route.account.clone(),
        to: route.to.clone(),
        thread_id: route.thread_id.clone(),
        reply_to: None,
        text: text.to_owned(),
    };
    parts
        .channels
        .send(request)
        .await
        .map(|_| ())
        .map_err(|error| error.to_string())
}

/// Refuses a session that may not be written to.
pub fn check_send_policy(
    config: &Config,
    key: &SessionKey,
    row: Option<&SessionRow>,
) -> Result<(), GatewayError> {
    match send_policy::is_denied(config, key, row) {
        true => Err(GatewayError::invalid("send blocked by session policy")),
        false => Ok(()),
    }
}

/// A stored answer, given again.
pub fn again(answer: &Answer) -> Outcome {
    match &answer.error {
        Some(error) => {
            let error = GatewayError::from(error.clone());
            Err(match &answer.payload {
                Some(payload) => error.with_payload(payload.clone()),
                None => error,
            })
        }
        None => Reply::of(&answer.payload),
    }
}
