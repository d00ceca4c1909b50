//! What is answered: one transaction that takes the message out of the journal and puts the
//! answer into the outbox, then the hand-over to the account's delivery.
//!
//! So a crash before it answers the message again, and a crash after it never does.

use super::Router;
use super::policy::challenge_text;
use crate::channels::{Account, catalogue};
use crate::limits::REPLY_EXPIRES_MS;
use crate::store::StoreError;
use crate::store::journal::{self, Entry as Message, JournalId};
use crate::store::outbox::{self, Entry, OutboxId, Prepared, State};
use crate::store::senders::{self, Challenge, Request};
use redb::WriteTransaction;

/// What goes back to where a message came from. Nothing is an answer too.
pub(super) struct Answer {
    pub(super) texts: Vec<String>,
    pub(super) reply_to: Option<String>,
}

impl Router {
    /// Takes a message out of the journal with nothing to answer.
    pub(super) async fn close(&self, id: JournalId) {
        self.persist(id, "closed", move |txn| journal::close(txn, id))
            .await;
    }

    /// Answers messages, all with the same answer, and hands it to their account.
    pub(super) async fn answer(
        &self,
        ids: Vec<JournalId>,
        to: &Message,
        account: &Account,
        answer: Answer,
    ) {
        let rooms = account.room(answer.texts.len()).await;
        let entries: Vec<Entry> = answer
            .texts
            .into_iter()
            .enumerate()
            .map(|(n, text)| {
                let key = format!("reply:{}:{n}", to.run_id);
                self.entry(key, to, text, answer.reply_to.clone())
            })
            .collect();
        let Some(id) = ids.first().copied() else {
            return;
        };
        let job = move |txn: &WriteTransaction| {
            let mut open = false;
            for id in &ids {
                open |= journal::close(txn, *id)?;
            }
            if !open {
                return Ok(Vec::new());
            }
            entries
                .iter()
                .map(|entry| prepared(txn, entry))
                .collect::<Result<Vec<_>, _>>()
        };
        if let Some(prepared) = self.persist(id, "answered", job).await {
            for (room, (id, entry)) in rooms.into_iter().zip(prepared.into_iter().flatten()) {
                account.hand_in(id, &entry, room);
            }
        }
    }

    /// Notes a stranger's wish and sends the one reply they get.
    pub(super) async fn challenge(&self, id: JournalId, from: &Message, account: &Account) {
        let message = &from.message;
        let asked = Request {
            channel: from.channel.clone(),
            account: from.account.clone(),
            sender_id: message.sender_id.clone(),
            name: message.sender_name.clone(),
            handle: message.sender_handle.clone(),
            code: String::new(),
            created_ms: from.received_ms,
            last_seen_ms: from.received_ms,
        };
        let id_label = catalogue::find(&from.channel).map_or_else(
            || format!("{} user id", from.channel),
            |k| k.sender_id_label.to_owned(),
        );
        let path = account.plan().path.clone();
        let entry = self.entry(
            format!("reply:{}:0", from.run_id),
            from,
            String::new(),
            None,
        );
        let clock = self.parts.clock;
        let rooms = account.room(1).await;
        let job = move |txn: &WriteTransaction| {
            if !journal::is_open(txn, id)? {
                return Ok((Challenge::Known, None));
            }
            let challenge = senders::challenge(txn, &asked, || senders::code(clock.random()))?;
            let reply = match &challenge {
                Challenge::New(code) => {
                    let text = challenge_text(&id_label, &asked.sender_id, code, &path);
                    prepared(txn, &Entry { text, ..entry })?
                }
                Challenge::Known | Challenge::Full => None,
            };
            journal::close(txn, id)?;
            Ok((challenge, reply))
        };
        let Some((challenge, reply)) = self.persist(id, "challenged", job).await else {
            return;
        };
        if let Challenge::New(code) = &challenge {
            tracing::info!(
                channel = from.channel,
                account = from.account,
                sender = message.sender_id,
                code,
                "a stranger asks for access: add the sender to {}.allowFrom to let them in",
                account.plan().path
            );
        }
        for (room, (id, entry)) in rooms.into_iter().zip(reply) {
            account.hand_in(id, &entry, room);
        }
    }

    fn entry(&self, key: String, to: &Message, text: String, reply_to: Option<String>) -> Entry {
        let now_ms = self.parts.clock.now_ms();
        Entry {
            key,
            channel: to.channel.clone(),
            account: to.account.clone(),
            to: to.message.chat_id.clone(),
            thread_id: to.message.thread_id.clone(),
            reply_to,
            text,
            state: State::Prepared,
            attempts: 0,
            created_ms: now_ms,
            expires_ms: now_ms.saturating_add(REPLY_EXPIRES_MS),
            updated_ms: now_ms,
        }
    }

    /// Runs a job until the disk takes it. `None`: the gateway stops; the message stays.
    pub(super) async fn persist<T, F>(&self, id: JournalId, step: &str, job: F) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<T, StoreError> + Clone + Send + 'static,
    {
        let mut tries = 0;
        loop {
            match self.parts.store.write(job.clone()).await {
                Ok(done) => return Some(done),
                Err(StoreError::Closed) => return None,
                Err(e) => tracing::error!(journal = %id, error = %e, "message could not be {step}"),
            }
            tries += 1;
            if self.pause(tries).await {
                return None;
            }
        }
    }
}

fn prepared(
    txn: &WriteTransaction,
    entry: &Entry,
) -> Result<Option<(OutboxId, Entry)>, StoreError> {
    Ok(match outbox::prepare(txn, entry)? {
        Prepared::New(id) => Some((id, entry.clone())),
        Prepared::Known(..) => None,
    })
}
