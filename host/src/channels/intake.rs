//! What comes in from an account's plugin: messages to the journal, the rest to the status.
//!
//! Called by the account task for every event. A message is acknowledged only once it is on disk;
//! when the journal is full nothing more is taken, so the plugin and its provider wait.

use std::sync::Arc;
use std::time::Duration;

use gateway_plugin::message::{ChatKind, Event, InboundMessage, Link};
use tokio::sync::Notify;

use super::account::Account;
use crate::clock::Clock;
use crate::limits::JOURNAL_OPEN_MAX;
use crate::plugins::{Inbound, InboundEvent};
use crate::store::Store;
use crate::store::journal::{self, Appended};

/// How often a full journal is looked at again.
const FULL_PAUSE: Duration = Duration::from_millis(500);

/// The way from a plugin to the journal.
#[derive(Clone, Debug)]
pub(super) struct Intake {
    pub(super) store: Store,
    pub(super) clock: Clock,
    /// Rung for the router after each new entry.
    pub(super) bell: Arc<Notify>,
}

impl Intake {
    /// The next event, once the journal has room. Cancel-safe.
    pub(super) async fn next(&self, inbound: &mut Inbound) -> Option<InboundEvent> {
        while self
            .store
            .read(journal::open_count)
            .is_ok_and(|open| open >= JOURNAL_OPEN_MAX)
        {
            tokio::time::sleep(FULL_PAUSE).await;
        }
        inbound.next().await
    }

    /// Takes one event to its end and acknowledges it. `Some`: the provider refuses the account,
    /// which has to stop, because of this.
    pub(super) async fn take(&self, account: &Account, event: InboundEvent) -> Option<String> {
        let InboundEvent { event, ack, .. } = event;
        match event {
            Event::Message(message) => match self.journal(account, message).await {
                Ok(()) => ack.done(),
                Err(why) => {
                    account.note(|s| s.refused_messages += 1);
                    ack.refuse(why);
                }
            },
            Event::Connection(state) => {
                let now_ms = self.clock.now_ms();
                account.announce(|s| s.connection(&state, now_ms));
                ack.done();
                if state.state == Link::LoggedOut {
                    let why = "the provider no longer accepts the credentials";
                    return Some(state.detail.unwrap_or_else(|| why.to_owned()));
                }
            }
            Event::Account(update) => {
                account.announce(|s| s.account(&update));
                ack.done();
            }
            _ => {
                account.note(|s| s.ignored_events += 1);
                ack.done();
            }
        }
        None
    }

    async fn journal(&self, account: &Account, message: InboundMessage) -> Result<(), String> {
        let (channel, id) = (account.channel(), account.id());
        if message.chat.id.is_empty() || message.sender.id.is_empty() {
            account.note(|s| s.ignored_events += 1);
            tracing::warn!(
                channel,
                account = id,
                "message without chat or sender left out"
            );
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        let entry = journal::Entry {
            run_id: self.clock.uuid(),
            channel: channel.to_owned(),
            account: id.to_owned(),
            received_ms: now_ms,
            message: stored(message, now_ms),
        };
        let run = entry.run_id.clone();
        match self
            .store
            .write(move |txn| journal::append(txn, &entry))
            .await
        {
            Ok(Appended::New(journal)) => {
                tracing::debug!(channel, account = id, %journal, run, "message journalled");
                account.note(|s| s.last_inbound_ms = Some(now_ms));
                self.bell.notify_one();
                Ok(())
            }
            Ok(Appended::Seen) => {
                tracing::debug!(channel, account = id, "message seen before");
                Ok(())
            }
            Err(e) => {
                tracing::error!(channel, account = id, error = %e, "message not journalled");
                Err("the gateway could not store the message".to_owned())
            }
        }
    }
}

fn stored(message: InboundMessage, now_ms: u64) -> journal::Message {
    journal::Message {
        id: message.id,
        chat_id: message.chat.id,
        chat_kind: match message.chat.kind {
            ChatKind::Direct => journal::ChatKind::Direct,
            // What isn't known to be private is treated as public.
            ChatKind::Group | ChatKind::Unknown => journal::ChatKind::Group,
            ChatKind::Channel | ChatKind::Thread => journal::ChatKind::Channel,
        },
        chat_title: message.chat.title,
        thread_id: message.chat.thread_id,
        sender_id: message.sender.id,
        sender_name: message.sender.name,
        sender_handle: message.sender.handle,
        at_ms: if message.at_ms == 0 {
            now_ms
        } else {
            message.at_ms
        },
        text: message.text,
        media: message.attachments.into_iter().map(|a| a.mime).collect(),
        reply_to: message.reply_to,
        mentions_me: message.mentions_me,
    }
}
