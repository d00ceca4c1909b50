//! What the fake Bot API remembers for each token: the update queue, chats and their messages,
//! scripted faults and the log of calls.
//!
//! Pure state without sockets: `bot_api_methods` changes it for a bot's calls, `bot_api` for what
//! users do. Numbers and dates are counters, so that a run is the same every time.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Dates start here and grow by one with every message.
const FIRST_DATE: i64 = 1_700_000_000;

/// What a bot receives when it never named `allowed_updates`.
const KINDS_NOT_BY_DEFAULT: [&str; 3] =
    ["chat_member", "message_reaction", "message_reaction_count"];

/// Something that goes wrong with one call, scripted by a test.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing: lets one call through, so that a later one meets the next fault.
    Pass,
    /// The call is refused with this answer and not processed.
    Answer {
        /// HTTP status and `error_code`.
        code: u16,
        /// The `description` field.
        description: String,
        /// The `parameters` field, if any.
        parameters: Option<Value>,
    },
    /// The connection ends before the call is processed.
    CutBefore,
    /// The call is processed, then the connection ends without an answer.
    CutAfter,
    /// The call is processed and answered with 200 and a body that is not JSON.
    Malformed,
    /// The call is processed, its answer waits until the gate opens.
    Hold(Gate),
}

impl Fault {
    /// 429 with `parameters.retry_after`, in Telegram's words.
    pub fn too_many(retry_after: u64) -> Fault {
        Fault::Answer {
            code: 429,
            description: format!("Too Many Requests: retry after {retry_after}"),
            parameters: Some(json!({ "retry_after": retry_after })),
        }
    }

    /// An answer with this code and description.
    pub fn answer(code: u16, description: &str) -> Fault {
        Fault::Answer {
            code,
            description: description.to_owned(),
            parameters: None,
        }
    }

    /// 500 as Telegram sends it.
    pub fn internal() -> Fault {
        Fault::answer(500, "Internal Server Error")
    }
}

/// Holds answers back until a test opens it.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// A gate that is shut.
    pub fn shut() -> Gate {
        Gate(Arc::new(Semaphore::new(0)))
    }

    /// Lets everything through, now and later.
    pub fn open(&self) {
        self.0.close();
    }

    pub(crate) async fn pass(&self) {
        // An error means closed, which here means open.
        drop(self.0.acquire().await);
    }
}

/// One call a bot made.
#[derive(Debug, Clone)]
pub struct Call {
    /// Position among all calls of all bots, from 0.
    pub order: usize,
    /// The method as the bot spelled it.
    pub method: String,
    /// The JSON body; null when there was none.
    pub body: Value,
    /// HTTP status of the answer; `None` while it is open or when it was never given.
    pub status: Option<u16>,
}

/// A chat as the bot sees it.
#[derive(Debug, Clone)]
pub struct Chat {
    /// The Bot API's Chat object.
    pub info: Value,
    /// Threads that exist besides General.
    pub topics: BTreeSet<i64>,
    /// Messages by id, as the Bot API's Message objects.
    pub messages: BTreeMap<i64, Value>,
}

/// Everything about one token.
#[derive(Debug, Default)]
pub struct BotState {
    /// The User object of the bot.
    pub me: Value,
    /// The token was revoked: every call is answered 401.
    pub revoked: bool,
    /// Updates that were not confirmed, oldest first.
    pub updates: VecDeque<(i64, Value)>,
    /// Counts `getUpdates` calls: a poll that is not the newest has lost.
    pub poll: u64,
    /// The last `allowed_updates` the bot asked for.
    pub allowed: Option<Vec<String>>,
    /// The webhook's address; empty when none is set.
    pub webhook: String,
    /// Chats by id.
    pub chats: BTreeMap<i64, Chat>,
    /// The last command list.
    pub commands: Value,
    /// Chat actions received: chat id, thread id, action.
    pub actions: Vec<(i64, Option<i64>, String)>,
    /// Faults waiting for a call of their method, first come first served.
    pub faults: Vec<(String, Fault)>,
    /// The calls of this bot in order.
    pub calls: Vec<Call>,
    last_update: i64,
    last_message: i64,
}

/// All bots of one fake server.
#[derive(Debug, Default)]
pub struct State {
    /// Bots by token.
    pub bots: HashMap<String, BotState>,
    /// How many calls were made in all.
    pub calls: usize,
}

impl BotState {
    /// A bot nobody has written to yet.
    pub fn new(id: i64, username: &str) -> BotState {
        BotState {
            me: json!({
                "id": id, "is_bot": true, "first_name": username, "username": username,
                "can_join_groups": true, "can_read_all_group_messages": false,
                "supports_inline_queries": false
            }),
            commands: json!([]),
            last_update: 1000,
            ..BotState::default()
        }
    }

    /// Adds a chat, or replaces what is known about it. `info` needs `id` and `type`.
    pub fn put_chat(&mut self, info: Value) {
        let id = info["id"].as_i64().expect("a chat needs a number as id");
        let topics = self
            .chats
            .remove(&id)
            .map(|chat| chat.topics)
            .unwrap_or_default();
        self.chats.insert(
            id,
            Chat {
                info,
                topics,
                messages: BTreeMap::new(),
            },
        );
    }

    /// The chat with this id; made up when it does not exist: private for positive ids, a
    /// supergroup for negative ones.
    pub fn chat_or_new(&mut self, id: i64) -> &mut Chat {
        self.chats.entry(id).or_insert_with(|| {
            let info = if id > 0 {
                json!({ "id": id, "type": "private", "first_name": format!("User{id}") })
            } else {
                json!({ "id": id, "type": "supergroup", "title": format!("Group{id}") })
            };
            Chat {
                info,
                topics: BTreeSet::new(),
                messages: BTreeMap::new(),
            }
        })
    }

    /// Stores a message in a chat and gives it an id and a date. `fields` are its other fields.
    pub fn put_message(&mut self, chat: i64, fields: Value) -> Value {
        self.last_message += 1;
        let id = self.last_message;
        let chat = self.chat_or_new(chat);
        let mut message = fields;
        message["message_id"] = json!(id);
        message["date"] = json!(FIRST_DATE + id);
        message["chat"] = chat.info.clone();
        chat.messages.insert(id, message.clone());
        message
    }

    /// Queues an update unless the bot asked not to get its kind. Returns its id.
    pub fn put_update(&mut self, kind: &str, content: Value) -> Option<i64> {
        let wanted = match &self.allowed {
            Some(kinds) if !kinds.is_empty() => kinds.iter().any(|wanted| wanted == kind),
            _ => !KINDS_NOT_BY_DEFAULT.contains(&kind),
        };
        if !wanted {
            return None;
        }
        self.last_update += 1;
        let id = self.last_update;
        let mut update = json!({ "update_id": id });
        update[kind] = content;
        self.updates.push_back((id, update));
        Some(id)
    }

    /// Queues again an update that was delivered before, with the same id, as Telegram does when
    /// a confirmation got lost.
    pub fn put_again(&mut self, id: i64, update: Value) {
        let at = self.updates.iter().position(|(other, _)| *other > id);
        self.updates
            .insert(at.unwrap_or(self.updates.len()), (id, update));
    }

    /// Applies the offset of `getUpdates`: a positive one confirms everything below it, a
    /// negative one forgets all but that many of the newest.
    pub fn confirm(&mut self, offset: i64) {
        if offset > 0 {
            self.updates.retain(|(id, _)| *id >= offset);
        } else if offset < 0 {
            let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            while self.updates.len() > keep {
                self.updates.pop_front();
            }
        }
    }

    /// The first `limit` updates that wait.
    pub fn waiting(&self, limit: usize) -> Vec<Value> {
        self.updates
            .iter()
            .take(limit)
            .map(|(_, update)| update.clone())
            .collect()
    }

    /// Takes the next fault scripted for `method`.
    pub fn take_fault(&mut self, method: &str) -> Option<Fault> {
        let at = self
            .faults
            .iter()
            .position(|(name, _)| name.eq_ignore_ascii_case(method))?;
        Some(self.faults.remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn three() -> BotState {
        let mut bot = BotState::new(7, "seven_bot");
        for text in ["a", "b", "c"] {
            bot.put_update("message", json!({ "text": text })).unwrap();
        }
        bot
    }

    fn ids(bot: &BotState) -> Vec<i64> {
        bot.updates.iter().map(|(id, _)| *id).collect()
    }

    #[test]
    fn an_offset_confirms_what_is_below_it() {
        let mut bot = three();
        bot.confirm(0);
        assert_eq!(ids(&bot), [1001, 1002, 1003]);
        bot.confirm(1003);
        assert_eq!(ids(&bot), [1003]);
        bot.confirm(1001);
        assert_eq!(ids(&bot), [1003]);
    }

    #[test]
    fn a_negative_offset_keeps_only_the_newest() {
        let mut bot = three();
        bot.confirm(-1);
        assert_eq!(ids(&bot), [1003]);
        assert_eq!(bot.waiting(100)[0]["message"]["text"], "c");
    }

    #[test]
    fn kinds_that_were_not_asked_for_are_not_queued() {
        let mut bot = three();
        assert_eq!(bot.put_update("message_reaction", json!({})), None);
        bot.allowed = Some(vec!["message_reaction".into()]);
        assert!(bot.put_update("message_reaction", json!({})).is_some());
        assert_eq!(bot.put_update("message", json!({})), None);
    }

    #[test]
    fn an_update_can_come_again_in_its_place() {
        let mut bot = three();
        bot.confirm(1003);
        bot.put_again(1002, json!({ "update_id": 1002 }));
        assert_eq!(ids(&bot), [1002, 1003]);
    }
}
