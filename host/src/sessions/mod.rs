//! Sessions: the conversations the agent remembers.
//!
//! [`Sessions`] is a handle over `store::sessions`, used by the agent (transcripts), the router
//! (last route), and the methods. The database is the truth; nothing is cached. Promises that an
//! append under a key happens once, however often it is asked for.

pub mod accepted;
pub mod archive;
pub mod key;
mod removal;
pub mod renewal;
mod retention;
pub mod send_policy;
pub mod settings;
pub mod shown;
pub mod system_events;
pub mod transcript;
pub mod usage;

use crate::clock::Clock;
use crate::config::ConfigHandle;
use crate::limits::SESSION_EARLIER_MAX;
use crate::store::sessions::{self as disk, BodyRow, InputRow};
use crate::store::transcripts::{self, Beside};
use crate::store::{Store, StoreError, cron, session_order};

pub use crate::store::session_order::Search;
pub use crate::store::transcripts::Appended;
pub use accepted::Accepted;
pub use disk::{
    AbortRow, AssistantRow, CallRow, ChatFacts, ImageRow, MessageRow, RouteRow, SessionRow,
    SettingsRow, ThoughtRow, TokensRow, ToolRow,
};
pub use key::{KeyError, Room, SessionKey};
pub use removal::{Compacted, RemovalError};
pub use system_events::{SystemEvent, SystemEvents};

/// Provider of texts that the gateway itself puts into a transcript.
pub const GATEWAY_PROVIDER: &str = "openclaw";
/// Model of injected texts and command replies.
pub const INJECTED_MODEL: &str = "gateway-injected";
/// Model of texts that `send` delivered.
pub const MIRROR_MODEL: &str = "delivery-mirror";
/// The wire that texts of the gateway pretend to come from.
pub const GATEWAY_API: &str = "openai-responses";

/// Access to sessions and transcripts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sessions {
    store: Store,
    clock: Clock,
    config: ConfigHandle,
    system_events: SystemEvents,
}

/// How many sessions there are and which changed last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// All of them.
    pub count: u64,
    /// The newest, newest first.
    pub recent: Vec<(SessionKey, SessionRow)>,
}

impl Sessions {
    /// A handle over `store`.
    pub fn new(store: Store, clock: Clock, config: ConfigHandle) -> Sessions {
        Sessions {
            store,
            clock,
            config,
            system_events: SystemEvents::default(),
        }
    }

    /// Texts that wait for the main session's next prompt.
    pub fn system_events(&self) -> &SystemEvents {
        &self.system_events
    }

    /// Forgets the reminders among texts that a session was told: they are in its transcript now.
    /// If the disk fails they are told again after the next start.
    pub async fn told(&self, events: Vec<SystemEvent>) {
        let keys: Vec<String> = events
            .into_iter()
            .filter_map(|event| event.reminder)
            .collect();
        if keys.is_empty() {
            return;
        }
        let written = self.store.write(move |txn| cron::told(txn, &keys));
        if let Err(error) = written.await {
            tracing::error!(%error, "told reminders are still on disk");
        }
    }

    /// The session of `key`, if it exists.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn get(&self, key: &SessionKey) -> Result<Option<SessionRow>, StoreError> {
        disk::get(&self.store, key.as_str())
    }

    /// The session whose transcript has this id.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn by_id(&self, session_id: &str) -> Result<Option<SessionKey>, StoreError> {
        let rows = self.all()?.into_iter();
        let mut found = rows.filter(|(_, row)| row.session_id == session_id);
        Ok(found.next().map(|(key, _)| key))
    }

    /// Makes a session whose transcript has this id, unless the session is there already.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn begin_as(&self, key: &SessionKey, session_id: &str) -> Result<(), StoreError> {
        if self.get(key)?.is_some() {
            return Ok(());
        }
        let session_id = session_id.to_owned();
        let begun = self.change(key, move |row| {
            if row.updated_at == 0 {
                row.session_id = session_id;
            }
        });
        begun.await.map(|_| ())
    }

    /// Every session, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn all(&self) -> Result<Vec<(SessionKey, SessionRow)>, StoreError> {
        let mut rows = disk::all(&self.store)?;
        rows.sort_by(|(a, x), (b, y)| y.updated_at.cmp(&x.updated_at).then_with(|| a.cmp(b)));
        Ok(rows
            .into_iter()
            .map(|(key, row)| (SessionKey::from_store(&key), row))
            .collect())
    }

    /// The newest sessions first, as far as `search` reaches, of those that `by_key` and `by_row`
    /// want; the rest is not read.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn newest(
        &self,
        search: Search<'_>,
        by_key: impl Fn(&SessionKey) -> bool,
        by_row: impl Fn(&SessionKey, &SessionRow) -> bool,
    ) -> Result<Vec<(SessionKey, SessionRow)>, StoreError> {
        let rows = session_order::newest(
            &self.store,
            search,
            |key| by_key(&SessionKey::from_store(key)),
            |key, row| by_row(&SessionKey::from_store(key), row),
        )?;
        let known = rows.into_iter();
        Ok(known
            .map(|(key, row)| (SessionKey::from_store(&key), row))
            .collect())
    }

    /// How many sessions there are, or `agent` has, and the `recent_max` newest of them.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub fn summary(&self, agent: Option<&str>, recent_max: usize) -> Result<Summary, StoreError> {
        let search = Search {
            agent,
            since_ms: 0,
            limit: recent_max,
        };
        Ok(Summary {
            count: session_order::count(&self.store, agent)?,
            recent: self.newest(search, |_| true, |_, _| true)?,
        })
    }

    /// Changes a session, creating it when it does not exist yet.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn change<C>(&self, key: &SessionKey, change: C) -> Result<SessionRow, StoreError>
    where
        C: FnOnce(&mut SessionRow) + Send + 'static,
    {
        self.try_change(key, |row| {
            change(row);
            Ok(())
        })
        .await
    }

    /// Like [`Sessions::change`] with a change that may refuse; the session stays as it was then.
    ///
    /// # Errors
    /// [`StoreError::Refused`] by the change, or when another session has the same label.
    pub async fn try_change<C>(&self, key: &SessionKey, change: C) -> Result<SessionRow, StoreError>
    where
        C: FnOnce(&mut SessionRow) -> Result<(), StoreError> + Send + 'static,
    {
        let fresh = self.fresh_row();
        let now = self.clock.now_ms();
        disk::update(&self.store, key.as_str(), move |old, others| {
            let before = old.as_ref().and_then(|row| row.settings.label.clone());
            let mut row = old.unwrap_or(fresh);
            change(&mut row)?;
            row.updated_at = now;
            match &row.settings.label {
                Some(label) if before.as_ref() != Some(label) && others.use_label(label)? => Err(
                    StoreError::Refused(format!("label already in use: {label}")),
                ),
                _ => Ok(row),
            }
        })
        .await
    }

    /// Gives the session a new, empty transcript and zeroed counters; settings and route stay.
    /// The old transcript stays on disk under its session id.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn reset(&self, key: &SessionKey) -> Result<SessionRow, StoreError> {
        let session_id = self.clock.uuid();
        self.change(key, move |row| renewed(row, session_id)).await
    }

    /// Remembers where the last message came from and answers go.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn set_last_route(
        &self,
        key: &SessionKey,
        route: RouteRow,
        chat: ChatFacts,
    ) -> Result<SessionRow, StoreError> {
        self.change(key, move |row| {
            row.route = Some(route);
            row.chat = chat;
        })
        .await
    }

    /// Appends what a person or client said; creates the session, or renews it when its idle or
    /// daily time has passed. The same append key appends once.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn append_user(
        &self,
        key: &SessionKey,
        append_key: Option<String>,
        user: InputRow,
    ) -> Result<Appended, StoreError> {
        self.append_accepted(key, append_key, user, None).await
    }

    /// The same, and with it keeps the message as accepted: until [`Sessions::settle`], or the
    /// answer that settles it.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn append_accepted(
        &self,
        key: &SessionKey,
        append_key: Option<String>,
        user: InputRow,
        accepted: Option<Accepted>,
    ) -> Result<Appended, StoreError> {
        let beside = Beside {
            keep: accepted.map(|accepted| (accepted.place, accepted.row)),
            settle: Vec::new(),
        };
        let message = self.message(append_key, BodyRow::User(user));
        let (fresh, config, clock) = (self.fresh_row(), self.config.current(), self.clock);
        transcripts::append_beside(&self.store, key.as_str(), message, beside, move |old| {
            let mut row = old.unwrap_or(fresh);
            let now = clock.now_ms();
            if row.system_sent && renewal::is_due(&config, row.updated_at, now) {
                renewed(&mut row, clock.uuid());
            }
            row.updated_at = now;
            row.system_sent = true;
            Ok(row)
        })
        .await
    }

    /// Appends what the agent said and lets `touch` note the run's outcome in the session. The
    /// same append key appends once.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn append_assistant<T>(
        &self,
        key: &SessionKey,
        append_key: Option<String>,
        assistant: AssistantRow,
        touch: T,
    ) -> Result<Appended, StoreError>
    where
        T: FnOnce(&mut SessionRow) + Send + 'static,
    {
        self.append_answer(key, append_key, assistant, Vec::new(), touch)
            .await
    }

    /// The same for the answer to accepted messages, which are settled with it.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn append_answer<T>(
        &self,
        key: &SessionKey,
        append_key: Option<String>,
        assistant: AssistantRow,
        settle: Vec<String>,
        touch: T,
    ) -> Result<Appended, StoreError>
    where
        T: FnOnce(&mut SessionRow) + Send + 'static,
    {
        let beside = Beside { keep: None, settle };
        let message = self.message(append_key, BodyRow::Assistant(assistant));
        let (fresh, now) = (self.fresh_row(), self.clock.now_ms());
        transcripts::append_beside(&self.store, key.as_str(), message, beside, move |old| {
            let mut row = old.unwrap_or(fresh);
            touch(&mut row);
            row.updated_at = now;
            Ok(row)
        })
        .await
    }

    /// Appends what a tool answered. The same append key appends once.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn append_tool(
        &self,
        key: &SessionKey,
        append_key: Option<String>,
        result: ToolRow,
    ) -> Result<Appended, StoreError> {
        let message = self.message(append_key, BodyRow::Tool(result));
        let (fresh, now) = (self.fresh_row(), self.clock.now_ms());
        transcripts::append(&self.store, key.as_str(), message, move |old| {
            let mut row = old.unwrap_or(fresh);
            row.updated_at = now;
            Ok(row)
        })
        .await
    }

    /// Appends a text of the gateway itself (`chat.inject`, command replies).
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn inject(&self, key: &SessionKey, text: &str) -> Result<Appended, StoreError> {
        self.append_assistant(key, None, gateway_text(text, INJECTED_MODEL), |_| {})
            .await
    }

    /// Appends a text that `send` delivered, so that the agent knows what it said.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails.
    pub async fn mirror(
        &self,
        key: &SessionKey,
        text: &str,
        idempotency_key: &str,
    ) -> Result<Appended, StoreError> {
        let shown_key = Some(idempotency_key.to_owned());
        let text = AssistantRow {
            shown_key,
            ..gateway_text(text, MIRROR_MODEL)
        };
        self.append_assistant(key, Some(format!("{idempotency_key}:mirror")), text, |_| {})
            .await
    }

    /// The newest messages of a session, oldest first; empty for an unknown one.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails or a message is damaged.
    pub fn history(&self, key: &SessionKey, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
        match self.get(key)? {
            Some(row) => transcripts::tail(&self.store, &row.session_id, limit),
            None => Ok(Vec::new()),
        }
    }

    /// The oldest messages of a transcript, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails or a message is damaged.
    pub fn beginning(&self, row: &SessionRow, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
        transcripts::head(&self.store, &row.session_id, limit)
    }

    /// The newest messages of a transcript, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails or a message is damaged.
    pub fn ending(&self, row: &SessionRow, limit: usize) -> Result<Vec<MessageRow>, StoreError> {
        transcripts::tail(&self.store, &row.session_id, limit)
    }

    /// The oldest messages of a transcript from number `from` on, with their numbers.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails or a message is damaged.
    pub fn page(
        &self,
        row: &SessionRow,
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, MessageRow)>, StoreError> {
        transcripts::page(&self.store, &row.session_id, from, limit)
    }

    /// The message that was appended to a transcript under `append_key`.
    ///
    /// # Errors
    /// [`StoreError`] when the database fails or the message is damaged.
    pub fn by_key(
        &self,
        row: &SessionRow,
        append_key: &str,
    ) -> Result<Option<MessageRow>, StoreError> {
        transcripts::by_key(&self.store, &row.session_id, append_key)
    }

    fn fresh_row(&self) -> SessionRow {
        SessionRow {
            session_id: self.clock.uuid(),
            ..SessionRow::default()
        }
    }

    fn message(&self, key: Option<String>, body: BodyRow) -> MessageRow {
        let id = crate::spell::hex(&self.clock.random::<4>());
        MessageRow {
            id,
            key,
            timestamp: self.clock.now_ms(),
            body,
        }
    }
}

/// An assistant message made by the gateway: no model, no cost.
pub fn gateway_text(text: &str, model: &str) -> AssistantRow {
    AssistantRow {
        text: text.to_owned(),
        api: GATEWAY_API.to_owned(),
        provider: GATEWAY_PROVIDER.to_owned(),
        model: model.to_owned(),
        stop_reason: "stop".to_owned(),
        ..AssistantRow::default()
    }
}

fn renewed(row: &mut SessionRow, session_id: String) {
    let left = std::mem::replace(&mut row.session_id, session_id);
    row.earlier.push(left);
    let excess = row.earlier.len().saturating_sub(SESSION_EARLIER_MAX);
    row.earlier.drain(..excess);
    row.system_sent = false;
    row.aborted_last_run = false;
    row.tokens = Some(TokensRow::default());
    row.memories.clear();
}
