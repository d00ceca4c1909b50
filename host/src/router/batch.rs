//! Messages of a channel that arrive while their session has a run: what becomes of them.
//!
//! Called by the router's loop. By the session's queue mode (protocol/11 §7) they are answered one
//! after the other, all together, or the run is stopped for them. Promises that each is answered
//! once: messages that are answered together share a run on disk before it begins.

use std::time::Duration;

use super::Router;
use super::inbound::{Way, Work};
use crate::agent::collected::{Cap, Overflow, joined};
use crate::agent::{AbortBy, queue_mode};
use crate::channels::lanes::Lanes;
use crate::config::{QueueDrop, QueueMode};
use crate::sessions::SessionKey;
use crate::store::journal::{self, Entry, JournalId};

/// Messages that are answered at once.
pub(super) struct Batch {
    /// Places in the journal.
    pub(super) ids: Vec<JournalId>,
    /// The last of them, with the words of all.
    pub(super) entry: Entry,
}

impl Router {
    fn mode(&self, key: &SessionKey, channel: &str) -> QueueMode {
        let row = self.parts.sessions.get(key).ok().flatten();
        let config = self.parts.config.current();
        queue_mode::of(&config, row.as_ref().map(|row| &row.settings), channel)
    }

    /// The session whose run is to be stopped for a message that waits behind it.
    pub(super) fn interrupts(&self, work: &Work) -> Option<SessionKey> {
        let Way::Run(_, key) = &work.way else {
            return None;
        };
        let interrupts = self.mode(key, &work.entry.channel) == QueueMode::Interrupt;
        interrupts.then(|| key.clone())
    }

    /// Stops a session's run for a newer message.
    pub(super) async fn interrupt(&self, key: SessionKey) {
        let stopped = self.parts.agent.abort(&key, None, AbortBy::Person).await;
        if stopped.is_ok_and(|runs| !runs.is_empty()) {
            tracing::debug!(%key, "a run was stopped for a newer message");
        }
    }

    /// How long a lane rests before those that wait are answered together: more may follow.
    pub(super) fn rest(&self, lanes: &Lanes<String, Work>, lane: &String) -> Option<Duration> {
        let config = self.parts.config.current();
        let newest = lanes.queued(lane).last()?;
        let Way::Run(_, key) = &newest.way else {
            return None;
        };
        let channel = &newest.entry.channel;
        let full = lanes.queued(lane).count() >= queue_mode::cap(&config).most;
        if full || !newest.waited || self.mode(key, channel) != QueueMode::Collect {
            return None;
        }
        let quiet = queue_mode::debounce(&config, channel);
        let since = self
            .parts
            .clock
            .now_ms()
            .saturating_sub(newest.entry.received_ms);
        quiet
            .checked_sub(Duration::from_millis(since))
            .filter(|rest| !rest.is_zero())
    }

    /// Adds to the first message of a lane what is answered with it.
    pub(super) fn gather(&self, lanes: &mut Lanes<String, Work>, first: Work) -> Vec<Work> {
        let mut works = vec![first];
        let first = &works[0];
        let (lane, run_id) = (first.lane.clone(), first.entry.run_id.clone());
        let Way::Run(_, key) = &first.way else {
            return works;
        };
        let key = key.clone();
        // They were answered together before a crash.
        let same = lanes.take_while(&lane, |work| work.entry.run_id == run_id);
        let collects = first.waited && self.mode(&key, &first.entry.channel) == QueueMode::Collect;
        let config = self.parts.config.current();
        let joins = |work: &Work| {
            work.waited
                && matches!(work.way, Way::Run(..))
                && work.entry.message.media.is_empty()
                && queue_mode::joins(&work.entry.message.text, &config)
        };
        if same.is_empty() && collects && joins(first) && !self.was_said(&key, &run_id) {
            let place = place(first);
            let more = lanes.take_while(&lane, |work| joins(work) && self::place(work) == place);
            works.extend(more);
        }
        works.extend(same);
        works
    }

    /// True when the run's message is in the transcript: it is being replayed.
    fn was_said(&self, key: &SessionKey, run_id: &str) -> bool {
        let row = self.parts.sessions.get(key).ok().flatten();
        row.is_some_and(|row| {
            let said = self.parts.sessions.by_key(&row, &format!("{run_id}:user"));
            !matches!(said, Ok(None))
        })
    }

    /// Makes one of several; none when the gateway stops.
    pub(super) async fn batch(&self, works: Vec<Work>) -> Option<(Batch, Way)> {
        let ids: Vec<JournalId> = works.iter().map(|work| work.id).collect();
        let run_id = works.first()?.entry.run_id.clone();
        let shared = works.iter().all(|work| work.entry.run_id == run_id);
        if !shared {
            let (ids, run_id) = (ids.clone(), run_id.clone());
            let first = *ids.first()?;
            let share = move |txn: &redb::WriteTransaction| journal::share_run(txn, &ids, &run_id);
            self.persist(first, "collected", share).await?;
        }
        let cap = queue_mode::cap(&self.parts.config.current());
        let texts = works
            .iter()
            .map(|work| super::inbound::text(&work.entry.message));
        let text = within(texts.collect(), cap);
        let last = works.into_iter().next_back()?;
        let mut entry = last.entry;
        entry.run_id = run_id;
        if ids.len() > 1 {
            entry.message.text = text;
        }
        Some((Batch { ids, entry }, last.way))
    }
}

/// Where an answer would go.
fn place(work: &Work) -> (String, String, String, Option<String>) {
    let Entry {
        channel,
        account,
        message,
        ..
    } = &work.entry;
    let (chat, thread) = (message.chat_id.clone(), message.thread_id.clone());
    (channel.clone(), account.clone(), chat, thread)
}

/// The words of all, as far as they may be answered together.
fn within(mut texts: Vec<String>, cap: Cap) -> String {
    let excess = texts.len().saturating_sub(cap.most);
    let mut overflow = Overflow::default();
    if excess > 0 {
        tracing::warn!(excess, "more messages wait than messages.queue.cap");
        match cap.drop {
            QueueDrop::New => texts.truncate(cap.most),
            QueueDrop::Old => drop(texts.drain(..excess)),
            QueueDrop::Summarize => texts.drain(..excess).for_each(|text| overflow.note(&text)),
        }
    }
    joined(texts, &overflow)
}
