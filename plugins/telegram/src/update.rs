//! What Telegram tells about a message → the gateway's inbound message.
//!
//! Pure. Called by `inbound` for every update. Only fields that are used are read; everything
//! else that Telegram sends, now or later, is ignored.

use gateway_plugin::message::{Chat, ChatKind, Event, InboundMessage, Peer};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::mention;
use crate::target::GENERAL_TOPIC;

/// Senders that stand for a chat: an anonymous administrator, a channel writing in a group.
const STAND_INS: [i64; 2] = [1_087_968_824, 136_817_688];

/// A user or bot.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct User {
    /// The number.
    pub id: i64,
    /// Is it a bot?
    pub is_bot: bool,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: Option<String>,
    /// Public name without `@`.
    pub username: Option<String>,
    /// `getMe` only: does the bot see group messages that do not name it?
    pub can_read_all_group_messages: bool,
}

impl User {
    /// As the gateway names it.
    pub fn peer(&self) -> Peer {
        let name = match &self.last_name {
            Some(last) => format!("{} {last}", self.first_name),
            None => self.first_name.clone(),
        };
        Peer {
            id: self.id.to_string(),
            name: Some(name).filter(|name| !name.is_empty()),
            handle: self.username.clone(),
            is_bot: Some(self.is_bot),
        }
    }
}

/// A chat.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TgChat {
    /// The number; groups are negative.
    pub id: i64,
    /// `private`, `group`, `supergroup` or `channel`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Title of a group or channel.
    pub title: Option<String>,
    /// Public name without `@`.
    pub username: Option<String>,
    /// Is it a group with topics?
    pub is_forum: bool,
}

impl TgChat {
    fn peer(&self) -> Peer {
        Peer {
            id: self.id.to_string(),
            name: self.title.clone(),
            handle: self.username.clone(),
            is_bot: None,
        }
    }
}

/// A marked stretch of a text, counted in UTF-16 units.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Entity {
    /// `mention`, `text_mention`, `text_link`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it begins.
    pub offset: usize,
    /// How long it is.
    pub length: usize,
    /// Address of a `text_link`.
    pub url: Option<String>,
    /// User of a `text_mention`.
    pub user: Option<User>,
}

/// Where a forwarded message came from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Origin {
    sender_user: Option<User>,
    sender_user_name: Option<String>,
    sender_chat: Option<TgChat>,
    chat: Option<TgChat>,
}

/// A message.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Message {
    message_id: i64,
    message_thread_id: Option<i64>,
    is_topic_message: bool,
    from: Option<User>,
    sender_chat: Option<TgChat>,
    chat: TgChat,
    date: u64,
    edit_date: Option<u64>,
    text: Option<String>,
    entities: Vec<Entity>,
    caption: Option<String>,
    caption_entities: Vec<Entity>,
    reply_to_message: Option<Box<Message>>,
    forward_origin: Option<Origin>,
    forum_topic_created: Option<Value>,
    /// The group became a supergroup with this id.
    pub migrate_to_chat_id: Option<i64>,
    photo: Option<Value>,
    video: Option<Value>,
    animation: Option<Value>,
    video_note: Option<Value>,
    audio: Option<Value>,
    voice: Option<Value>,
    document: Option<Value>,
    sticker: Option<Value>,
}

/// One update; the kinds this plugin asks for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Update {
    /// A new message in a chat or group.
    pub message: Option<Message>,
    /// Another content for one.
    pub edited_message: Option<Message>,
    /// A new message in a channel.
    pub channel_post: Option<Message>,
    /// Another content for one.
    pub edited_channel_post: Option<Message>,
}

/// The kinds of updates that are asked for.
pub const KINDS: [&str; 4] = [
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
];

impl Update {
    /// The event this update is; `None` for what is nobody's message: service messages, bots.
    pub fn event(&self, me: &User) -> Option<Event> {
        if let Some(message) = self.message.as_ref().or(self.channel_post.as_ref()) {
            return message.inbound(me).map(Event::Message);
        }
        let edited = self
            .edited_message
            .as_ref()
            .or(self.edited_channel_post.as_ref())?;
        edited.inbound(me).map(Event::Edited)
    }
}

impl Message {
    /// The message as the gateway takes it.
    fn inbound(&self, me: &User) -> Option<InboundMessage> {
        let sender = self.sender(me)?;
        let (text, entities) = match (&self.text, &self.caption) {
            (Some(text), _) => (text.as_str(), &self.entities),
            (None, Some(caption)) => (caption.as_str(), &self.caption_entities),
            (None, None) => ("", &self.entities),
        };
        let media = self.media();
        let shown = match media {
            Some(kind) if text.is_empty() => format!("<media:{kind}>"),
            _ => mention::with_links(text, entities),
        };
        if shown.is_empty() {
            return None;
        }
        let reply = self.reply();
        let mine = reply
            .and_then(|reply| reply.from.as_ref())
            .is_some_and(|by| by.id == me.id);
        Some(InboundMessage {
            id: self.message_id.to_string(),
            chat: self.room(),
            sender,
            at_ms: self.date.saturating_mul(1000),
            text: shown,
            reply_to: reply.map(|reply| reply.message_id.to_string()),
            mentions: mention::all(text, entities),
            mentions_me: mine || mention::names(text, entities, me),
            edited_ms: self.edit_date.map(|date| date.saturating_mul(1000)),
            forwarded_from: self.forwarded(),
            native: native(media, reply),
            ..InboundMessage::default()
        })
    }

    /// Who wrote it; `None` for the bot itself and other bots.
    fn sender(&self, me: &User) -> Option<Peer> {
        let chat = self.sender_chat.as_ref();
        match &self.from {
            Some(user) if STAND_INS.contains(&user.id) => chat.map(TgChat::peer),
            Some(user) if user.is_bot || user.id == me.id => None,
            Some(user) => Some(user.peer()),
            None => Some(chat.unwrap_or(&self.chat).peer()),
        }
    }

    fn room(&self) -> Chat {
        let kind = match self.chat.kind.as_str() {
            "private" => ChatKind::Direct,
            "channel" => ChatKind::Channel,
            _ => ChatKind::Group,
        };
        // In a group without topics the number only says which reply chain it is.
        let thread = match self.message_thread_id {
            Some(id) if self.is_topic_message || kind == ChatKind::Direct => Some(id),
            _ if self.chat.is_forum => Some(GENERAL_TOPIC),
            _ => None,
        };
        Chat {
            id: self.chat.id.to_string(),
            kind,
            title: self.chat.title.clone(),
            thread_id: thread.map(|id| id.to_string()),
        }
    }

    /// The message it answers. In a topic every message formally answers the topic's first one.
    fn reply(&self) -> Option<&Message> {
        self.reply_to_message.as_deref().filter(|reply| {
            reply.forum_topic_created.is_none()
                && !(self.is_topic_message && Some(reply.message_id) == self.message_thread_id)
        })
    }

    fn media(&self) -> Option<&'static str> {
        let kinds = [
            (&self.photo, "image"),
            (&self.sticker, "sticker"),
            (&self.video, "video"),
            (&self.animation, "video"),
            (&self.video_note, "video"),
            (&self.voice, "audio"),
            (&self.audio, "audio"),
            (&self.document, "document"),
        ];
        kinds
            .into_iter()
            .find(|(field, _)| field.is_some())
            .map(|(_, kind)| kind)
    }

    fn forwarded(&self) -> Option<Peer> {
        let origin = self.forward_origin.as_ref()?;
        if let Some(user) = &origin.sender_user {
            return Some(user.peer());
        }
        if let Some(chat) = origin.sender_chat.as_ref().or(origin.chat.as_ref()) {
            return Some(chat.peer());
        }
        Some(Peer {
            name: origin.sender_user_name.clone(),
            ..Peer::default()
        })
    }
}

/// What the gateway has no field for: the kind of a file, the text of the message it answers.
fn native(media: Option<&str>, reply: Option<&Message>) -> Value {
    let mut native = serde_json::Map::new();
    if let Some(kind) = media {
        native.insert("media".into(), json!(kind));
    }
    if let Some(reply) = reply {
        let by = reply.from.as_ref().map(|user| user.peer().name);
        let text = reply.text.as_ref().or(reply.caption.as_ref());
        native.insert("replyTo".into(), json!({ "text": text, "sender": by }));
    }
    if native.is_empty() {
        Value::Null
    } else {
        Value::Object(native)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn me() -> User {
        User {
            id: 7,
            is_bot: true,
            username: Some("Seven_bot".into()),
            ..User::default()
        }
    }

    fn event(update: Value) -> Option<Event> {
        serde_json::from_value::<Update>(update)
            .unwrap()
            .event(&me())
    }

    fn message(mut fields: Value) -> InboundMessage {
        for (key, value) in [
            ("message_id", json!(5)),
            ("date", json!(100)),
            (
                "from",
                json!({ "id": 42, "first_name": "Ann", "last_name": "B", "username": "ann" }),
            ),
            ("chat", json!({ "id": 42, "type": "private" })),
        ] {
            if fields.get(key).is_none() {
                fields[key] = value;
            }
        }
        match event(json!({ "update_id": 1, "message": fields })) {
            Some(Event::Message(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_direct_text() {
        let message = message(json!({ "text": "hi" }));
        assert_eq!(
            (message.id.as_str(), message.at_ms, message.text.as_str()),
            ("5", 100_000, "hi")
        );
        assert_eq!(
            (message.chat.id.as_str(), message.chat.kind),
            ("42", ChatKind::Direct)
        );
        assert_eq!(message.sender.name.as_deref(), Some("Ann B"));
        assert_eq!(message.sender.handle.as_deref(), Some("ann"));
        assert!(!message.mentions_me && message.native.is_null());
    }

    #[test]
    fn captions_are_texts_and_files_alone_are_placeholders() {
        assert_eq!(
            message(json!({ "photo": [{}], "caption": "look" })).text,
            "look"
        );
        for (field, text) in [
            ("photo", "<media:image>"),
            ("voice", "<media:audio>"),
            ("video_note", "<media:video>"),
            ("sticker", "<media:sticker>"),
            ("document", "<media:document>"),
        ] {
            let mut fields = json!({});
            fields[field] = json!({});
            assert_eq!(message(fields).text, text);
        }
    }

    #[test]
    fn topics_are_threads_and_reply_chains_are_not() {
        let forum = json!({ "id": -100, "type": "supergroup", "title": "G", "is_forum": true });
        let group = json!({ "id": -100, "type": "supergroup", "title": "G" });
        let thread = |fields: Value| message(fields).chat.thread_id;
        let topic = json!({
            "text": "x", "chat": forum, "message_thread_id": 9, "is_topic_message": true,
            "reply_to_message": { "message_id": 9, "from": { "id": 7 }, "forum_topic_created": {} }
        });
        assert_eq!(thread(topic.clone()).as_deref(), Some("9"));
        assert!(message(topic.clone()).reply_to.is_none() && !message(topic).mentions_me);
        assert_eq!(
            thread(json!({ "text": "x", "chat": forum })).as_deref(),
            Some("1")
        );
        assert_eq!(
            thread(json!({ "text": "x", "chat": group, "message_thread_id": 9 })),
            None
        );
        assert_eq!(
            thread(json!({ "text": "x", "message_thread_id": 9 })).as_deref(),
            Some("9")
        );
    }

    #[test]
    fn an_answer_to_the_bot_names_it() {
        let message = message(json!({
            "text": "yes", "reply_to_message":
                { "message_id": 3, "from": { "id": 7, "first_name": "S" }, "text": "sure?" }
        }));
        assert!(message.mentions_me);
        assert_eq!(message.reply_to.as_deref(), Some("3"));
        assert_eq!(
            message.native["replyTo"],
            json!({ "text": "sure?", "sender": "S" })
        );
    }

    #[test]
    fn bots_and_service_messages_are_nobodys_messages() {
        let from = |from: Value, rest: Value| {
            let mut fields = rest;
            fields["from"] = from;
            fields["chat"] = json!({ "id": -100, "type": "supergroup" });
            event(json!({ "update_id": 1, "message": fields }))
        };
        assert_eq!(
            from(json!({ "id": 7, "is_bot": true }), json!({ "text": "x" })),
            None
        );
        assert_eq!(
            from(json!({ "id": 8, "is_bot": true }), json!({ "text": "x" })),
            None
        );
        assert_eq!(
            from(json!({ "id": 42 }), json!({ "new_chat_title": "x" })),
            None
        );
        assert_eq!(event(json!({ "update_id": 1, "poll": {} })), None);
    }

    #[test]
    fn anonymous_admins_channels_and_forwards_keep_their_sender() {
        let group = json!({ "id": -100, "type": "supergroup", "title": "G" });
        let anonymous = message(json!({
            "text": "x", "chat": group, "sender_chat": group,
            "from": { "id": 1_087_968_824, "is_bot": true }
        }));
        assert_eq!(anonymous.sender.id, "-100");
        let post = json!({
            "message_id": 1, "date": 1, "text": "x", "chat": { "id": -5, "type": "channel" }
        });
        let Some(Event::Message(post)) = event(json!({ "channel_post": post })) else {
            panic!()
        };
        assert_eq!(
            (post.sender.id.as_str(), post.chat.kind),
            ("-5", ChatKind::Channel)
        );
        let forwarded = message(json!({
            "text": "x", "forward_origin": { "type": "hidden_user", "sender_user_name": "Eve" }
        }));
        assert_eq!(
            forwarded.forwarded_from.unwrap().name.as_deref(),
            Some("Eve")
        );
    }

    #[test]
    fn edits_are_edits() {
        let fields = json!({
            "message_id": 5, "date": 1, "edit_date": 2, "text": "new",
            "from": { "id": 42 }, "chat": { "id": 42, "type": "private" }
        });
        let Some(Event::Edited(edited)) = event(json!({ "edited_message": fields })) else {
            panic!()
        };
        assert_eq!(
            (edited.text.as_str(), edited.edited_ms),
            ("new", Some(2000))
        );
    }
}
