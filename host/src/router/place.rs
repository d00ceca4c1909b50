//! Which session a conversation is.
//!
//! Pure. The router asks for what came in, `methods/send.rs` for where a message goes, so that
//! both sides of a conversation meet in one session.

use crate::channels::catalogue;
use crate::config::Config;
use crate::sessions::SessionKey;
use crate::sessions::key::Room;
use crate::store::journal::{ChatKind, Message};

/// A conversation at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What kind it is.
    pub kind: ChatKind,
    /// The other person of a direct chat, otherwise the room.
    pub peer: String,
    /// Thread or topic in it.
    pub thread_id: Option<String>,
}

impl Place {
    /// Where a message was said.
    pub fn of_message(message: &Message) -> Place {
        let peer = match message.chat_kind {
            ChatKind::Direct => &message.sender_id,
            ChatKind::Group | ChatKind::Channel => &message.chat_id,
        };
        Place {
            kind: message.chat_kind,
            peer: peer.clone(),
            thread_id: message.thread_id.clone(),
        }
    }

    /// Where a target of `send` is, as far as its spelling tells: the channel's own prefix is
    /// dropped; `group:`, `channel:`, `#` and Telegram's negative ids are rooms.
    pub fn of_target(channel: &str, to: &str, thread_id: Option<&str>) -> Place {
        let mut rest = to.trim();
        if let Some((prefix, after)) = rest.split_once(':')
            && catalogue::canonical(prefix) == channel
        {
            rest = after;
        }
        let (kind, peer) = match rest.split_once(':') {
            Some(("group", id)) => (ChatKind::Group, id),
            Some(("channel" | "room", id)) => (ChatKind::Channel, id),
            Some(("user" | "direct", id)) => (ChatKind::Direct, id),
            _ if rest.starts_with('#') => (ChatKind::Group, rest),
            _ => (ChatKind::Direct, rest),
        };
        let topics = catalogue::find(channel).is_some_and(|k| k.topics_are_rooms);
        let (mut kind, mut peer, mut topic) = (kind, peer, None);
        if topics {
            if let Some((chat, id)) = peer.split_once(":topic:").or_else(|| peer.split_once(':')) {
                (peer, topic) = (chat, Some(id));
            }
            if peer.starts_with('-') {
                kind = ChatKind::Group;
            }
        }
        let thread_id = thread_id.or(topic).map(str::to_owned);
        Place {
            kind,
            peer: peer.to_owned(),
            thread_id,
        }
    }

    /// The session of this conversation for one agent.
    pub fn session(
        &self,
        config: &Config,
        agent: &str,
        channel: &str,
        account: &str,
    ) -> SessionKey {
        let thread = self.thread_id.as_deref().filter(|id| !id.is_empty());
        let room = match self.kind {
            ChatKind::Direct => {
                let key = SessionKey::for_direct(config, agent, channel, account, &self.peer);
                return within(key, thread);
            }
            ChatKind::Group => Room::Group,
            ChatKind::Channel => Room::Channel,
        };
        let topics = catalogue::find(channel).is_some_and(|k| k.topics_are_rooms);
        match thread.filter(|_| topics) {
            Some(topic) => {
                let peer = format!("{}:topic:{topic}", self.peer);
                SessionKey::for_group(config, agent, channel, room, &peer)
            }
            None => within(
                SessionKey::for_group(config, agent, channel, room, &self.peer),
                thread,
            ),
        }
    }
}

fn within(key: SessionKey, thread: Option<&str>) -> SessionKey {
    match thread {
        // The one session for everybody has no threads.
        Some(id) if key.agent_id().is_some() => key.thread(id),
        _ => key,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn place(kind: ChatKind, peer: &str, thread: Option<&str>) -> Place {
        Place {
            kind,
            peer: peer.into(),
            thread_id: thread.map(str::to_owned),
        }
    }

    #[test]
    fn targets_tell_their_kind() {
        use ChatKind::{Channel, Direct, Group};
        let cases = [
            ("telegram", "42", place(Direct, "42", None)),
            ("telegram", "tg:42", place(Direct, "42", None)),
            ("telegram", "-100", place(Group, "-100", None)),
            (
                "telegram",
                "telegram:group:-100:topic:7",
                place(Group, "-100", Some("7")),
            ),
            ("telegram", "-100:7", place(Group, "-100", Some("7"))),
            ("irc", "#bench", place(Group, "#bench", None)),
            ("irc", "irc:alice", place(Direct, "alice", None)),
            ("slack", "channel:C1", place(Channel, "C1", None)),
            ("discord", "user:66", place(Direct, "66", None)),
            ("signal", "uuid:ab", place(Direct, "uuid:ab", None)),
        ];
        for (channel, to, expected) in cases {
            assert_eq!(
                Place::of_target(channel, to, None),
                expected,
                "{channel} {to}"
            );
        }
    }

    #[test]
    fn sessions_of_rooms_threads_and_topics() {
        let config = super::super::tests::config(std::path::Path::new("/nowhere"));
        let session = |channel: &str, place: Place| {
            place
                .session(&config, "main", channel, "default")
                .as_str()
                .to_owned()
        };
        let cases = [
            (
                "telegram",
                place(ChatKind::Direct, "42", None),
                "agent:main:main",
            ),
            (
                "telegram",
                place(ChatKind::Direct, "42", Some("9")),
                "agent:main:main:thread:9",
            ),
            (
                "telegram",
                place(ChatKind::Group, "-1001", Some("7")),
                "agent:main:telegram:group:-1001:topic:7",
            ),
            (
                "slack",
                place(ChatKind::Channel, "C1", Some("17.5")),
                "agent:main:slack:channel:c1:thread:17.5",
            ),
            (
                "irc",
                place(ChatKind::Group, "#bench", None),
                "agent:main:irc:group:#bench",
            ),
        ];
        for (channel, place, expected) in cases {
            assert_eq!(session(channel, place), expected);
        }
    }
}
