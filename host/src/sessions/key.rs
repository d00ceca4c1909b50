//! Session keys: the one canonical name of every conversation.
//!
//! Called by the methods (keys clients send) and by the router (keys made from a provider's
//! message). Pure: no store, no clock. Promises that [`SessionKey`] only ever holds a canonical
//! key, so keys can be compared as text everywhere else.

use std::fmt;

use crate::config::{Config, DmScope, SessionScope};
use crate::limits;

/// A canonical session key: `agent:<agent>:<rest>`, `global` or `unknown`, lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(String);

/// Why a text is no session key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// `agent:` with fewer than two more parts, or characters no key may hold.
    Malformed(String),
    /// Longer than [`limits::SESSION_KEY_CHARS_MAX`].
    TooLong(usize),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Malformed(key) => write!(f, "malformed session key \"{key}\""),
            KeyError::TooLong(chars) => write!(
                f,
                "session key has {chars} characters, at most {} are allowed",
                limits::SESSION_KEY_CHARS_MAX
            ),
        }
    }
}

impl std::error::Error for KeyError {}

/// What kind of room a group key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// A group chat.
    Group,
    /// A channel, room or broadcast list of the provider.
    Channel,
}

impl SessionKey {
    /// Reads a key as clients send it: canonical, an alias (`main`, the configured main key, or
    /// empty for the main session) or a bare name of the default agent.
    ///
    /// # Errors
    /// [`KeyError`] when the text cannot be made canonical.
    pub fn resolve(text: &str, config: &Config) -> Result<SessionKey, KeyError> {
        let key = text.trim().to_lowercase();
        let chars = key.chars().count();
        if chars > limits::SESSION_KEY_CHARS_MAX {
            return Err(KeyError::TooLong(chars));
        }
        if key.chars().any(char::is_control) {
            return Err(KeyError::Malformed(text.escape_debug().to_string()));
        }
        if key == "global" || key == "unknown" {
            return Ok(SessionKey(key));
        }
        let Some(after) = key.strip_prefix("agent:") else {
            let agent = config.agents.default_id();
            return Ok(Self::within(agent, &key, config));
        };
        match after.split_once(':') {
            Some((agent, rest)) if !agent.is_empty() && !rest.is_empty() => {
                Ok(Self::within(agent, rest, config))
            }
            _ => Err(KeyError::Malformed(text.to_owned())),
        }
    }

    /// The main session of one agent.
    pub fn main_of(agent: &str, config: &Config) -> SessionKey {
        Self::within(agent, "main", config)
    }

    /// The session that a client names by a transcript's id which no session has yet.
    pub fn of_id(agent: &str, session_id: &str) -> SessionKey {
        let rest = part(session_id);
        SessionKey(format!("agent:{}:explicit:{rest}", agent_slug(agent)))
    }

    /// The session of a direct chat, as `session.dmScope` and `session.identityLinks` say.
    pub fn for_direct(
        config: &Config,
        agent: &str,
        channel: &str,
        account: &str,
        peer: &str,
    ) -> SessionKey {
        let scope = config.session.dm_scope;
        if scope == DmScope::Main || config.session.scope == SessionScope::Global {
            return Self::main_of(agent, config);
        }
        let (channel, account) = (part(channel), part(account));
        let peer = linked_name(config, &channel, peer).unwrap_or_else(|| part(peer));
        let rest = match scope {
            DmScope::Main | DmScope::PerPeer => format!("direct:{peer}"),
            DmScope::PerChannelPeer => format!("{channel}:direct:{peer}"),
            DmScope::PerAccountChannelPeer => format!("{channel}:{account}:direct:{peer}"),
        };
        Self::within(agent, &rest, config)
    }

    /// The session of a group or channel. `peer` is the provider's id of the room; a forum topic
    /// is part of it (`<chat>:topic:<n>`).
    pub fn for_group(
        config: &Config,
        agent: &str,
        channel: &str,
        room: Room,
        peer: &str,
    ) -> SessionKey {
        let kind = match room {
            Room::Group => "group",
            Room::Channel => "channel",
        };
        Self::within(
            agent,
            &format!("{}:{kind}:{}", part(channel), part(peer)),
            config,
        )
    }

    /// The session of a thread inside this one.
    #[must_use]
    pub fn thread(&self, id: &str) -> SessionKey {
        SessionKey(format!("{}:thread:{}", self.0, part(id)))
    }

    /// The agent the key belongs to; none for `global` and `unknown`.
    pub fn agent_id(&self) -> Option<&str> {
        self.0.strip_prefix("agent:")?.split(':').next()
    }

    /// The session of the job, if this is that of one of its runs.
    pub fn cron_job(&self) -> Option<&str> {
        let (job, _) = self.0.split_once(":run:")?;
        self.rest().starts_with("cron:").then_some(job)
    }

    /// What follows `agent:<agent>:`; the whole key for `global` and `unknown`.
    pub fn rest(&self) -> &str {
        let after = self
            .0
            .strip_prefix("agent:")
            .and_then(|a| a.split_once(':'));
        after.map_or(self.0.as_str(), |(_, rest)| rest)
    }

    /// `global`, `unknown`, `group` (groups and channels) or `direct`.
    pub fn kind(&self) -> &'static str {
        match self.0.as_str() {
            "global" => "global",
            "unknown" => "unknown",
            _ if self.0.contains(":group:") || self.0.contains(":channel:") => "group",
            _ => "direct",
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A key read back from our own store, which only holds canonical ones.
    pub(crate) fn from_store(text: &str) -> SessionKey {
        SessionKey(text.to_owned())
    }

    fn within(agent: &str, rest: &str, config: &Config) -> SessionKey {
        let main = config.session.main_key.as_deref().map(str::to_lowercase);
        if rest.is_empty() || rest == "main" || main.as_deref() == Some(rest) {
            if config.session.scope == SessionScope::Global {
                return SessionKey("global".to_owned());
            }
            return SessionKey(format!("agent:{}:main", agent_slug(agent)));
        }
        SessionKey(format!("agent:{}:{rest}", agent_slug(agent)))
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Makes a text an agent id: `[a-z0-9][a-z0-9_-]{0,63}`; `main` when nothing is left.
pub fn agent_slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.trim().to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '_' => slug.push(c),
            _ if slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    let slug: String = slug
        .trim_matches(|c| c == '-' || c == '_')
        .chars()
        .take(64)
        .collect();
    if slug.is_empty() {
        "main".to_owned()
    } else {
        slug
    }
}

/// True for a text that may name a transcript: letters, digits, `.`, `_`, `-`, the first a letter
/// or digit, at most [`limits::SESSION_ID_CHARS_MAX`].
pub fn is_session_id(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphanumeric())
        && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && text.len() <= limits::SESSION_ID_CHARS_MAX
}

/// One part of a key from outside text: trimmed, lower case, without control characters.
fn part(text: &str) -> String {
    let clean = text.trim().to_lowercase();
    let clean = clean.chars().map(|c| if c.is_control() { '_' } else { c });
    let clean: String = clean.take(limits::SESSION_KEY_CHARS_MAX / 2).collect();
    if clean.is_empty() {
        "unknown".to_owned()
    } else {
        clean
    }
}

/// The name under which `session.identityLinks` lists this peer.
fn linked_name(config: &Config, channel: &str, peer: &str) -> Option<String> {
    let peer = part(peer);
    let qualified = format!("{channel}:{peer}");
    let names = |id: &String| {
        let id = id.trim().to_lowercase();
        id == peer || id == qualified
    };
    let links = &config.session.identity_links;
    links
        .iter()
        .find(|(_, ids)| ids.iter().any(names))
        .map(|(name, _)| part(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Paths;
    use serde_json::{Value, json};

    fn config(session: Value, agents: Value) -> Config {
        let paths = Paths {
            config_file: "c".into(),
            state_dir: "s".into(),
            plugins_file: "p".into(),
        };
        Config {
            session: serde_json::from_value(session).unwrap(),
            agents: serde_json::from_value(agents).unwrap(),
            ..Config::empty(paths)
        }
    }

    fn plain() -> Config {
        config(json!({}), json!({}))
    }

    #[test]
    fn keys_and_aliases_become_canonical() {
        let config = config(
            json!({"mainKey": "Home"}),
            json!({"list": [{"id": "ops"}, {"id": "main"}]}),
        );
        for (text, expected) in [
            ("main", "agent:ops:main"),
            ("", "agent:ops:main"),
            (" HOME ", "agent:ops:main"),
            ("agent:main:main", "agent:main:main"),
            ("agent:main:home", "agent:main:main"),
            ("Demo", "agent:ops:demo"),
            ("telegram:group:-1", "agent:ops:telegram:group:-1"),
            ("Agent:Main:Slack:Channel:C1", "agent:main:slack:channel:c1"),
            ("agent:My Bot!:x", "agent:my-bot:x"),
            ("agent:main:a:b:c", "agent:main:a:b:c"),
            ("global", "global"),
            ("unknown", "unknown"),
        ] {
            let key = SessionKey::resolve(text, &config);
            assert_eq!(key.unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn malformed_keys_are_refused_as_recorded() {
        for text in [
            "agent:",
            "agent:main",
            "agent::x",
            "agent:main:",
            "agent:MAIN:",
        ] {
            let refused = SessionKey::resolve(text, &plain()).unwrap_err();
            assert_eq!(
                refused.to_string(),
                format!("malformed session key \"{text}\"")
            );
        }
        assert!(SessionKey::resolve("a\u{0}b", &plain()).is_err());
        let long = "x".repeat(limits::SESSION_KEY_CHARS_MAX + 1);
        assert!(matches!(
            SessionKey::resolve(&long, &plain()),
            Err(KeyError::TooLong(513))
        ));
    }

    #[test]
    fn direct_chats_follow_the_scope() {
        let links = json!({"Ann": ["telegram:42", "99"]});
        for (scope, peer, expected) in [
            ("main", "42", "agent:main:main"),
            ("per-peer", "7", "agent:main:direct:7"),
            ("per-peer", "42", "agent:main:direct:ann"),
            ("per-peer", "99", "agent:main:direct:ann"),
            ("per-channel-peer", "U7", "agent:main:telegram:direct:u7"),
            (
                "per-account-channel-peer",
                "7",
                "agent:main:telegram:bot1:direct:7",
            ),
            (
                "per-account-channel-peer",
                "42",
                "agent:main:telegram:bot1:direct:ann",
            ),
        ] {
            let config = config(json!({"dmScope": scope, "identityLinks": links}), json!({}));
            let key = SessionKey::for_direct(&config, "main", "Telegram", "Bot1", peer);
            assert_eq!(key.as_str(), expected, "{scope} {peer}");
        }
    }

    #[test]
    fn groups_threads_and_topics_have_their_own_keys() {
        let config = config(json!({"dmScope": "per-peer"}), json!({}));
        let group = SessionKey::for_group(&config, "main", "irc", Room::Group, "#Bench");
        assert_eq!(group.as_str(), "agent:main:irc:group:#bench");
        assert_eq!(group.kind(), "group");
        let topic =
            SessionKey::for_group(&config, "main", "telegram", Room::Group, "-1001:topic:7");
        assert_eq!(topic.as_str(), "agent:main:telegram:group:-1001:topic:7");
        let room = SessionKey::for_group(&config, "ops", "slack", Room::Channel, "C1");
        assert_eq!(
            room.thread("17.5").as_str(),
            "agent:ops:slack:channel:c1:thread:17.5"
        );
        let main = SessionKey::main_of("main", &config);
        assert_eq!(
            (main.thread("9").as_str(), main.kind()),
            ("agent:main:main:thread:9", "direct")
        );
        assert_eq!(
            (room.agent_id(), room.rest()),
            (Some("ops"), "slack:channel:c1")
        );
    }

    #[test]
    fn one_session_for_everybody() {
        let config = config(json!({"scope": "global", "dmScope": "per-peer"}), json!({}));
        assert_eq!(
            SessionKey::resolve("main", &config).unwrap().as_str(),
            "global"
        );
        let direct = SessionKey::for_direct(&config, "main", "telegram", "default", "7");
        assert_eq!((direct.as_str(), direct.agent_id()), ("global", None));
    }

    #[test]
    fn ids_of_transcripts() {
        for id in ["9", "My-Id.2_x", "4b8746f7-49b7-4477-94ad-9356f1c3957c"] {
            assert!(is_session_id(id), "{id}");
        }
        let long = "x".repeat(limits::SESSION_ID_CHARS_MAX + 1);
        for id in ["", "-x", ".", "../x", "a/b", "a b", "é", long.as_str()] {
            assert!(!is_session_id(id), "{id}");
        }
        let key = SessionKey::of_id("Ops", "My-Id");
        assert_eq!(key.as_str(), "agent:ops:explicit:my-id");
    }

    #[test]
    fn slugs_are_agent_ids() {
        for (text, expected) in [
            ("Ops Bot", "ops-bot"),
            ("--x--", "x"),
            ("", "main"),
            ("é", "main"),
            ("a_b", "a_b"),
        ] {
            assert_eq!(agent_slug(text), expected, "{text}");
        }
        assert_eq!(agent_slug(&"x".repeat(99)).len(), 64);
    }

    /// Whatever a client sends, what comes out is canonical: reading it again changes nothing.
    #[test]
    fn resolving_twice_is_resolving_once() {
        let alphabet: Vec<char> = "agent:main :ABC-_!ü\u{7f}\n#0İ".chars().collect();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move |below: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % below as u64).unwrap()
        };
        let config = plain();
        for _ in 0..20_000 {
            let mut text = if next(2) == 0 {
                "agent:".to_owned()
            } else {
                String::new()
            };
            for _ in 0..next(12) {
                text.push(alphabet[next(alphabet.len())]);
            }
            let Ok(key) = SessionKey::resolve(&text, &config) else {
                continue;
            };
            assert_eq!(
                SessionKey::resolve(key.as_str(), &config),
                Ok(key.clone()),
                "{text:?}"
            );
            assert!(
                key.agent_id().is_some_and(|id| agent_slug(id) == id),
                "{text:?} {key}"
            );
            assert!(
                !key.as_str()
                    .chars()
                    .any(|c| c.is_control() || c.is_ascii_uppercase())
            );
        }
    }
}
