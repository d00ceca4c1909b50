//! One message from the journal to its end.
//!
//! Sorted first, without waiting: who may write, which session. Then routed in its lane: a run in
//! its session, the one reply to a stranger, or nothing. A message whose answer can't be had now
//! (session full, gateway stopping, disk failing) stays in the journal.

use std::sync::Arc;

use serde_json::Value;

use super::Router;
use super::batch::Batch;
use super::place::Place;
use super::policy::{self, Decision};
use super::reply::Answer;
use crate::agent::envelope::Facts;
use crate::agent::{AbortBy, Ending, Origin, RunOutcome, SubmitError, Turn, stop_words};
use crate::channels::{Account, backoff};
use crate::config::Config;
use crate::limits::{ROUTER_RETRY_FIRST, ROUTER_RETRY_MOST, TYPING_INTERVAL};
use crate::sessions::{SessionKey, send_policy};
use crate::store::journal::{ChatKind, Entry, JournalId, Message};
use crate::store::sessions::{ChatFacts, RouteRow};

/// A message that was sorted.
pub(super) struct Work {
    pub(super) id: JournalId,
    pub(super) entry: Entry,
    /// Messages of a lane are worked on one after the other.
    pub(super) lane: String,
    /// It came while another one of its lane was worked on.
    pub(super) waited: bool,
    pub(super) way: Way,
}

pub(super) enum Way {
    /// It becomes a run.
    Run(Arc<Account>, SessionKey),
    /// It stops the session's run.
    Stop(Arc<Account>, SessionKey),
    /// Its sender is told how to get access.
    Challenge(Arc<Account>),
    /// Nothing comes of it.
    Drop(&'static str),
    /// Its account is no longer configured: it stays.
    Homeless,
}

impl Router {
    /// Decides what becomes of a message.
    pub(super) fn sort(&self, id: JournalId, entry: Entry) -> Work {
        let (channel, account_id) = (entry.channel.as_str(), entry.account.as_str());
        let front = format!("{channel}/{account_id}");
        let Some(account) = self.parts.channels.account(channel, Some(account_id)) else {
            return Work {
                id,
                entry,
                lane: front,
                waited: false,
                way: Way::Homeless,
            };
        };
        let decision = policy::decide(&account.plan().access, &entry.message, &self.mentions());
        let (lane, way) = match decision {
            Decision::Drop(why) => (front, Way::Drop(why)),
            Decision::Challenge => (front, Way::Challenge(account)),
            Decision::Run => {
                let config = self.parts.config.current();
                let agent = config.agents.default_id();
                let place = Place::of_message(&entry.message);
                let key = place.session(&config, agent, channel, account_id);
                if self.is_denied(&config, &key) {
                    (front, Way::Drop("session.sendPolicy denies"))
                } else if stop_words::is_stop_word(&entry.message.text) {
                    // Its own lane: it must not wait for the run that it is to stop.
                    (format!("stop {key}"), Way::Stop(account, key))
                } else {
                    (key.as_str().to_owned(), Way::Run(account, key))
                }
            }
        };
        Work {
            id,
            entry,
            lane,
            waited: false,
            way,
        }
    }

    /// Whether nothing is to be said in a session. One that can't be read is not judged here.
    fn is_denied(&self, config: &Config, key: &SessionKey) -> bool {
        let row = self.parts.sessions.get(key).ok().flatten();
        send_policy::is_denied(config, key, row.as_ref())
    }

    /// Takes sorted messages to their end.
    pub(super) async fn route(&self, batch: Batch, way: Way) {
        let Batch { ids, entry } = batch;
        let (channel, account) = (entry.channel.as_str(), entry.account.as_str());
        let Some(id) = ids.first().copied() else {
            return;
        };
        match way {
            Way::Run(account, key) => self.run_turn(ids, &entry, &account, &key).await,
            Way::Stop(account, key) => self.stop_run(id, &entry, &account, &key).await,
            Way::Challenge(account) => self.challenge(id, &entry, &account).await,
            Way::Drop(reason) => {
                tracing::debug!(channel, account, journal = %id, reason, "message dropped");
                self.close(id).await;
            }
            Way::Homeless => {
                tracing::warn!(channel, account, journal = %id, "message waits for its account");
            }
        }
    }

    async fn run_turn(
        &self,
        ids: Vec<JournalId>,
        entry: &Entry,
        account: &Arc<Account>,
        key: &SessionKey,
    ) {
        let mut tries = 0;
        let outcome = loop {
            match self.one_run(entry, account, key).await {
                Ok(outcome) if outcome.ending != Ending::Interrupted => break outcome,
                Err(SubmitError::Stopping) => return,
                Ok(outcome) => {
                    let error = outcome.error.as_deref().unwrap_or("interrupted");
                    tracing::warn!(run = entry.run_id, error, "run will be tried again");
                }
                Err(e) => tracing::warn!(run = entry.run_id, error = %e, "turn has to wait"),
            }
            tries += 1;
            if self.pause(tries).await {
                return;
            }
        };
        let prefix = self.response_prefix(account);
        let text = outcome.reply().map(|text| match &prefix {
            Some(prefix) => format!("{prefix} {text}"),
            None => text.to_owned(),
        });
        let answer = Answer {
            texts: text.into_iter().collect(),
            reply_to: None,
        };
        self.answer(ids, entry, account, answer).await;
        self.remember_route(entry, key).await;
    }

    /// One run, with a typing sign while it lasts.
    async fn one_run(
        &self,
        entry: &Entry,
        account: &Account,
        key: &SessionKey,
    ) -> Result<Arc<RunOutcome>, SubmitError> {
        let run = self.parts.agent.submit(turn(entry, key))?;
        let message = &entry.message;
        let typing = async {
            loop {
                account
                    .typing(&message.chat_id, message.thread_id.as_deref())
                    .await;
                tokio::time::sleep(TYPING_INTERVAL).await;
            }
        };
        tokio::select! {
            biased;
            outcome = run.done() => Ok(outcome),
            () = typing => unreachable!("typing goes on until the run ends"),
        }
    }

    async fn stop_run(
        &self,
        id: JournalId,
        entry: &Entry,
        account: &Arc<Account>,
        key: &SessionKey,
    ) {
        let stopped = self.parts.agent.abort(key, None, AbortBy::Person).await;
        let text = match stopped {
            Ok(runs) if !runs.is_empty() => "Stopped.",
            _ => "Nothing is running.",
        };
        let answer = Answer {
            texts: vec![text.to_owned()],
            reply_to: None,
        };
        self.answer(vec![id], entry, account, answer).await;
    }

    /// Waits before the next try; true when the gateway stops.
    pub(super) async fn pause(&self, tries: u32) -> bool {
        let random = u32::from_le_bytes(self.parts.clock.random());
        let pause = backoff::delay(tries, ROUTER_RETRY_FIRST, ROUTER_RETRY_MOST, random);
        tokio::select! {
            () = tokio::time::sleep(pause) => self.stop.is_cancelled(),
            () = self.stop.cancelled() => true,
        }
    }

    /// `responsePrefix` of the account, else of `messages`; `auto` is the agent's name.
    fn response_prefix(&self, account: &Account) -> Option<String> {
        let config = self.parts.config.current();
        let own = account.plan().response_prefix.clone();
        let prefix = own.or_else(|| config.messages.response_prefix.clone())?;
        if prefix != "auto" {
            return Some(prefix).filter(|p| !p.is_empty());
        }
        let agent = config.agents.get(config.agents.default_id())?;
        let identity = agent.identity.as_ref().and_then(|i| i.name.as_ref());
        identity
            .or(agent.name.as_ref())
            .map(|name| format!("[{name}]"))
    }

    async fn remember_route(&self, entry: &Entry, key: &SessionKey) {
        let message = &entry.message;
        let address = |id: &str| format!("{}:{id}", entry.channel);
        let route = RouteRow {
            channel: entry.channel.clone(),
            to: Some(address(&message.chat_id)),
            account_id: Some(entry.account.clone()),
            thread_id: message.thread_id.clone(),
        };
        let direct = message.chat_kind == ChatKind::Direct;
        let title = message.chat_title.clone();
        let chat = ChatFacts {
            chat_type: Some(kind(message.chat_kind).to_owned()),
            channel: Some(entry.channel.clone()),
            label: if direct {
                message.sender_name.clone()
            } else {
                title.clone()
            },
            subject: title.filter(|_| !direct),
            from: Some(address(&message.sender_id)),
        };
        if let Err(e) = self.parts.sessions.set_last_route(key, route, chat).await {
            tracing::warn!(%key, error = %e, "the session's last route was not stored");
        }
    }
}

fn kind(kind: ChatKind) -> &'static str {
    match kind {
        ChatKind::Direct => "direct",
        ChatKind::Group => "group",
        ChatKind::Channel => "channel",
    }
}

fn turn(entry: &Entry, key: &SessionKey) -> Turn {
    let message = &entry.message;
    let origin = Origin::Channel {
        facts: facts(message),
        sender_label: Some(sender_label(message)),
    };
    Turn::new(&entry.run_id, key.clone(), &text(message), origin)
}

/// The words; media without words becomes a placeholder of its kind.
pub(super) fn text(message: &Message) -> String {
    if !message.text.trim().is_empty() || message.media.is_empty() {
        return message.text.clone();
    }
    let placeholder = |mime: &String| match mime.split('/').next() {
        Some(kind @ ("image" | "video" | "audio")) => format!("<media:{kind}>"),
        _ => "<media:document>".to_owned(),
    };
    message
        .media
        .iter()
        .map(placeholder)
        .collect::<Vec<_>>()
        .join("\n")
}

fn sender_label(message: &Message) -> String {
    let name = message
        .sender_name
        .as_ref()
        .or(message.sender_handle.as_ref());
    name.unwrap_or(&message.sender_id).clone()
}

/// What the model is told about a message; it must not take any of it as instructions.
fn facts(message: &Message) -> Vec<Facts> {
    let optional = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let label = sender_label(message);
    let group = message.chat_kind != ChatKind::Direct;
    let when_group = |value: Value| if group { value } else { Value::Null };
    let conversation = [
        ("message_id", Value::from(message.id.as_str())),
        ("reply_to_id", optional(&message.reply_to)),
        ("sender_id", message.sender_id.as_str().into()),
        (
            "conversation_label",
            when_group(optional(&message.chat_title)),
        ),
        ("sender", label.as_str().into()),
        ("timestamp", message.at_ms.into()),
        ("group_subject", when_group(optional(&message.chat_title))),
        ("topic_id", optional(&message.thread_id)),
        ("is_group_chat", when_group(true.into())),
        ("was_mentioned", when_group(message.mentions_me.into())),
    ];
    let sender = [
        ("label", Value::from(label.as_str())),
        ("id", message.sender_id.as_str().into()),
        ("name", optional(&message.sender_name)),
        ("username", optional(&message.sender_handle)),
    ];
    vec![
        Facts::new("Conversation info (untrusted metadata):", conversation),
        Facts::new("Sender (untrusted metadata):", sender),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn message(text: &str) -> Message {
        crate::store::journal::tests::entry("m1", text).message
    }

    #[test]
    fn media_without_words_has_a_placeholder() {
        let mut photo = message(" ");
        photo.media = vec!["image/jpeg".into(), "application/pdf".into()];
        assert_eq!(text(&photo), "<media:image>\n<media:document>");
        photo.text = "look".into();
        assert_eq!(text(&photo), "look");
    }

    #[test]
    fn the_model_is_told_who_and_where() {
        let mut said = message("hi");
        let direct = facts(&said);
        assert!(!direct[0].fields.contains_key("is_group_chat"));
        assert_eq!(direct[1].fields["label"], "Ada");
        said.chat_kind = ChatKind::Group;
        said.chat_title = Some("Bench".into());
        let group = facts(&said);
        assert_eq!(group[0].fields["group_subject"], "Bench");
        assert_eq!(group[0].fields["was_mentioned"], false);
    }
}
