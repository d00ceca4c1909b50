//! The poll loop: from Telegram's queue to the host, nothing lost and nothing confirmed early.
//!
//! One task for each account, spawned by `lib`. The order that makes it safe: an update is given
//! to the host, the host has it on disk, the offset is stored, and only the next poll tells
//! Telegram that it may forget the update. A crash anywhere between repeats updates, and the host
//! drops what it has seen.

use std::convert::Infallible;
use std::time::Duration;

use gateway_plugin::cx::Cx;
use gateway_plugin::message::{AccountUpdate, ConnectionState, ErrorKind, Event, Link};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::{Api, ApiError};
use crate::update::{KINDS, Update, User};
use gateway_plugin::backoff::Backoff;

/// Where the offset is kept.
const OFFSET_KEY: &str = "update-offset";
/// Layout of the value there.
const OFFSET_VERSION: u32 = 2;
/// A poll that is this much later than promised is dead; the connection is made anew.
const POLL_GRACE: Duration = Duration::from_secs(15);
/// Updates asked for at once: as many as the host has credits for one account.
const UPDATES_MAX: usize = 64;

/// The stored offset. It belongs to one bot: another token begins anew.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Offset {
    version: u32,
    last_update_id: i64,
    bot_id: i64,
}

/// Why polling stopped for a moment.
#[derive(Debug)]
enum Trouble {
    /// The account is stopping.
    Stopping,
    /// Telegram, or the way to it.
    Api(ApiError),
    /// The host did not take an update; it has to be offered again.
    Host(String),
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Trouble::Api(error)
    }
}

/// The poll loop of one account.
pub struct Poller {
    /// Telegram.
    pub api: Api,
    /// The host.
    pub cx: Cx,
    /// Delays after trouble.
    pub backoff: Backoff,
    /// How long Telegram holds a poll.
    pub hold: Duration,
}

/// What a poller remembers between sessions.
#[derive(Default)]
struct Memory {
    /// Who the bot is, once Telegram told.
    me: Option<User>,
    /// Failures since the last poll that went well as a whole.
    attempt: u32,
    /// The last failure was another poller's doing.
    contested: bool,
}

impl Poller {
    /// Polls until the account stops or Telegram no longer accepts the token.
    pub async fn run(self) {
        let mut memory = Memory::default();
        self.tell(ConnectionState::of(Link::Connecting)).await;
        loop {
            let Err(trouble) = self.session(&mut memory).await;
            memory.attempt += 1;
            let attempt = memory.attempt;
            let mut wait = self.backoff.delay(attempt);
            let state = match &trouble {
                Trouble::Stopping => return,
                Trouble::Api(error) if error.is_auth() => {
                    tracing::error!("polling ended, telegram does not accept the bot token");
                    self.tell(logged_out(error)).await;
                    return;
                }
                Trouble::Api(error) => {
                    memory.contested = error.code() == Some(409);
                    wait = wait.max(error.retry_after().unwrap_or_default());
                    tracing::warn!(attempt, "polling failed, trying again: {error}");
                    in_trouble(error)
                }
                Trouble::Host(reason) => {
                    tracing::warn!(attempt, "the gateway did not take an update: {reason}");
                    let detail = format!("the gateway did not take an update: {reason}");
                    ConnectionState::of(Link::Degraded).because(detail)
                }
            };
            self.tell(ConnectionState {
                reconnect_attempt: Some(attempt),
                ..state
            })
            .await;
            tokio::time::sleep(wait).await;
        }
    }

    /// Connects and polls until something goes wrong.
    async fn session(&self, memory: &mut Memory) -> Result<Infallible, Trouble> {
        let nothing = json!({});
        let me = match &mut memory.me {
            Some(me) => me,
            unknown => {
                let user: User = self.api.call("getMe", &nothing).await?;
                self.introduce(&user).await;
                unknown.insert(user)
            }
        };
        let hook: Value = self.api.call("getWebhookInfo", &nothing).await?;
        if hook["url"].as_str().is_some_and(|url| !url.is_empty()) {
            tracing::warn!("a webhook was set for this bot; it is removed, updates are polled");
            let keep = json!({ "drop_pending_updates": false });
            let _: bool = self.api.call("deleteWebhook", &keep).await?;
        }
        let mut last = self.stored(me.id).await?;
        // The first poll asks for an answer at once, to know that the connection is good. With
        // another poller about that would prove nothing: there a whole poll has to go well.
        let mut hold = if memory.contested {
            self.hold
        } else {
            Duration::ZERO
        };
        let mut told = false;
        loop {
            let begun = Instant::now();
            let updates = self.poll(last, hold).await?;
            let idle = updates.is_empty() && begun.elapsed() < hold / 2;
            if !hold.is_zero() {
                (memory.attempt, memory.contested) = (0, false);
            }
            hold = self.hold;
            if !std::mem::replace(&mut told, true) {
                self.tell(ConnectionState::of(Link::Connected)).await;
            }
            if idle {
                // A server that does not hold polls must not make us ask without a pause.
                tokio::time::sleep(self.backoff.delay(1)).await;
            }
            let before = last;
            let given = self.give(&updates, me, &mut last).await;
            if last != before {
                self.store(last, me.id).await?;
            } else if given.is_ok() && !updates.is_empty() {
                return Err(ApiError::Lost("its updates have no numbers".to_owned()).into());
            }
            given?;
        }
    }

    async fn poll(&self, last: Option<i64>, hold: Duration) -> Result<Vec<Value>, ApiError> {
        let mut params = json!({
            "timeout": hold.as_secs(), "limit": UPDATES_MAX, "allowed_updates": KINDS
        });
        if let Some(last) = last {
            params["offset"] = json!(last.saturating_add(1));
        }
        // The deadline is the watchdog: a poll never outlives it, whatever the network does.
        self.api
            .call_within("getUpdates", &params, hold + POLL_GRACE)
            .await
    }

    /// Gives updates to the host in order. `last` is the newest that need not come again.
    async fn give(
        &self,
        updates: &[Value],
        me: &User,
        last: &mut Option<i64>,
    ) -> Result<(), Trouble> {
        for raw in updates {
            let Some(id) = raw["update_id"].as_i64() else {
                tracing::warn!("an update without a number is skipped");
                continue;
            };
            match Update::deserialize(raw) {
                Ok(update) => self.give_one(&update, me, id).await?,
                Err(error) => tracing::warn!(id, "an update cannot be read, skipped: {error}"),
            }
            *last = Some(id);
        }
        Ok(())
    }

    async fn give_one(&self, update: &Update, me: &User, id: i64) -> Result<(), Trouble> {
        if let Some(to) = update
            .message
            .as_ref()
            .and_then(|message| message.migrate_to_chat_id)
        {
            tracing::warn!(
                to,
                "a group became a supergroup: its id in the configuration changes"
            );
        }
        let Some(event) = update.event(me) else {
            tracing::debug!(id, "an update without a person's message is skipped");
            return Ok(());
        };
        match self.cx.emit(event).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind == ErrorKind::Cancelled => Err(Trouble::Stopping),
            // It would be refused for ever and hold up everything behind it.
            Err(error) if matches!(error.kind, ErrorKind::InvalidRequest | ErrorKind::TooLarge) => {
                tracing::error!(id, "the gateway refuses an update, skipped: {error}");
                Ok(())
            }
            Err(error) => Err(Trouble::Host(error.to_string())),
        }
    }

    /// The newest update that the host has, as stored for this bot.
    async fn stored(&self, bot_id: i64) -> Result<Option<i64>, Trouble> {
        let value = self.cx.kv_get(OFFSET_KEY).await.map_err(host)?;
        let Some(value) = value else { return Ok(None) };
        match serde_json::from_slice::<Offset>(&value) {
            Ok(offset) if offset.bot_id == bot_id && offset.version == OFFSET_VERSION => {
                Ok(Some(offset.last_update_id))
            }
            Ok(_) => {
                tracing::info!("the stored offset is another bot's and is not used");
                Ok(None)
            }
            Err(error) => {
                tracing::warn!("the stored offset cannot be read and is not used: {error}");
                Ok(None)
            }
        }
    }

    async fn store(&self, last: Option<i64>, bot_id: i64) -> Result<(), Trouble> {
        let Some(last_update_id) = last else {
            return Ok(());
        };
        let offset = Offset {
            version: OFFSET_VERSION,
            last_update_id,
            bot_id,
        };
        let value = serde_json::to_vec(&offset).map_err(|e| Trouble::Host(e.to_string()))?;
        self.cx.kv_put(OFFSET_KEY, value).await.map_err(host)
    }

    async fn introduce(&self, me: &User) {
        let native = json!({ "canReadAllGroupMessages": me.can_read_all_group_messages });
        self.emit(Event::Account(AccountUpdate {
            me: me.peer(),
            native,
        }))
        .await;
    }

    async fn tell(&self, state: ConnectionState) {
        self.emit(Event::Connection(state)).await;
    }

    /// Emits what may be missed: the next state says it again.
    async fn emit(&self, event: Event) {
        if let Err(error) = self.cx.emit(event).await {
            tracing::debug!("a state was not taken: {error}");
        }
    }
}

fn host(error: gateway_plugin::message::SurfaceError) -> Trouble {
    match error.kind {
        ErrorKind::Cancelled => Trouble::Stopping,
        _ => Trouble::Host(error.to_string()),
    }
}

fn logged_out(error: &ApiError) -> ConnectionState {
    let detail = format!("{error}; get the bot's token from @BotFather and set botToken");
    ConnectionState {
        status_code: error.code(),
        logged_out: Some(true),
        ..ConnectionState::of(Link::LoggedOut).because(detail)
    }
}

/// Reached but refused is trouble; not reached is on the way.
fn in_trouble(error: &ApiError) -> ConnectionState {
    let link = match error {
        ApiError::Refused(_) => Link::Degraded,
        _ => Link::Connecting,
    };
    let detail = if error.code() == Some(409) && error.says("other getUpdates") {
        format!("another program polls with this bot's token, stop it or use another bot ({error})")
    } else {
        error.to_string()
    };
    ConnectionState {
        status_code: error.code(),
        ..ConnectionState::of(link).because(detail)
    }
}
