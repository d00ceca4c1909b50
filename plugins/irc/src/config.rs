//! What an account is configured to do: the keys of `channels.irc` that this plugin reads.
//!
//! The host checks the block against the schema in `plugin.json` and resolves secrets before
//! `start`. Of the keys about who may write, only the names in the lists are read here, and only
//! to know whom `dangerouslyAllowNameMatching` is about.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_plugin::message::{ErrorKind, SurfaceError};
use gateway_plugin::surface::{Res, Secret};
use serde::Deserialize;
use serde_json::Value;

use crate::target::is_channel;
use gateway_plugin::backoff::Backoff;

/// The host gives a message a minute: what takes longer to say than this is not begun.
pub const SAY_MAX: Duration = Duration::from_secs(45);

/// Where a long text is cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkMode {
    /// Line ends become spaces, each part is as long as may be.
    #[default]
    Length,
    /// Each line of the text is a message of its own.
    Newline,
}

/// `sasl`: logging in before anybody can see us.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Sasl {
    /// The account at the network's services; the nick when absent.
    pub account: Option<String>,
    /// Its password.
    pub password: Secret,
}

/// `nickserv`: logging in by a message to the network's service.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NickServ {
    /// Use it; true when absent and there is a password.
    pub enabled: bool,
    /// The service's nick.
    pub service: String,
    /// The nick's password.
    pub password: Secret,
    /// Register the nick, once in the account's life.
    pub register: bool,
    /// The address that registering needs.
    pub register_email: Option<String>,
}

impl Default for NickServ {
    fn default() -> Self {
        NickServ {
            enabled: true,
            service: "NickServ".to_owned(),
            password: Secret::default(),
            register: false,
            register_email: None,
        }
    }
}

/// `flood`: how fast a server lets us talk.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Flood {
    /// Lines that may go at once after a silence.
    pub burst: u32,
    /// Then one line each so often.
    pub interval_ms: u64,
}

impl Default for Flood {
    fn default() -> Self {
        Flood {
            burst: 5,
            interval_ms: 2_000,
        }
    }
}

/// `reconnect`: delays between attempts to connect; there is no last attempt.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Reconnect {
    /// The first delay.
    pub initial_ms: u64,
    /// The longest delay.
    pub max_ms: u64,
    /// By how much each delay grows.
    pub factor: f64,
    /// Part of a delay that chance adds or takes.
    pub jitter: f64,
}

impl Default for Reconnect {
    fn default() -> Self {
        Reconnect {
            initial_ms: 2_000,
            max_ms: 300_000,
            factor: 1.8,
            jitter: 0.25,
        }
    }
}

/// A group's rule, as far as it names people.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Group {
    /// Who may write there.
    pub allow_from: Vec<Value>,
}

/// An account's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    /// The server's name or address.
    pub host: String,
    /// Its port; 6697 with TLS, 6667 without, when absent.
    pub port: Option<u16>,
    /// Encrypt.
    pub tls: bool,
    /// Certificates to trust beside the system's, as PEM.
    pub tls_ca: Option<String>,
    /// The nick to have.
    pub nick: String,
    /// What stands before `@` in our mask; the nick when absent.
    pub username: Option<String>,
    /// The longer name that WHOIS shows; the nick when absent.
    pub realname: Option<String>,
    /// The server's password.
    pub password: Secret,
    /// Logging in by SASL PLAIN.
    pub sasl: Option<Sasl>,
    /// Logging in at NickServ.
    pub nickserv: NickServ,
    /// Channels to be in.
    pub channels: Vec<String>,
    /// Longest part of a message in bytes.
    pub text_chunk_limit: usize,
    /// Where a long text is cut.
    pub chunk_mode: ChunkMode,
    /// Longest message in lines; more is cut with a note.
    pub max_lines: usize,
    /// Longest time to connect and be registered.
    pub timeout_seconds: u64,
    /// After so much silence the server is asked whether it is there, and has as long to answer.
    pub ping_seconds: u64,
    /// How fast to talk.
    pub flood: Flood,
    /// Delays between attempts to connect.
    pub reconnect: Reconnect,
    /// Take a nick in the lists below for the person, whoever has it at the moment.
    pub dangerously_allow_name_matching: bool,
    /// Who may write directly.
    pub allow_from: Vec<Value>,
    /// Who may write in channels.
    pub group_allow_from: Vec<Value>,
    /// Rules of channels.
    pub groups: BTreeMap<String, Group>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            host: String::new(),
            port: None,
            tls: true,
            tls_ca: None,
            nick: String::new(),
            username: None,
            realname: None,
            password: Secret::default(),
            sasl: None,
            nickserv: NickServ::default(),
            channels: Vec::new(),
            text_chunk_limit: 350,
            chunk_mode: ChunkMode::Length,
            max_lines: 20,
            timeout_seconds: 15,
            ping_seconds: 60,
            flood: Flood::default(),
            reconnect: Reconnect::default(),
            dangerously_allow_name_matching: false,
            allow_from: Vec::new(),
            group_allow_from: Vec::new(),
            groups: BTreeMap::new(),
        }
    }
}

fn wrong(message: String) -> SurfaceError {
    SurfaceError::new(ErrorKind::Config, message)
}

impl Config {
    /// Is everything there, and can every text stand in a line of the protocol?
    ///
    /// # Errors
    /// Of kind `Config`, with the key and what would be right. Never shows a secret.
    pub fn check(&self) -> Res<()> {
        if self.host.is_empty() || self.host.contains(|c: char| c.is_whitespace() || c == '/') {
            let host = &self.host;
            return Err(wrong(format!(
                "host {host:?} must be a server's name or address, such as irc.libera.chat"
            )));
        }
        if !valid_nick(&self.nick) {
            let nick = &self.nick;
            return Err(wrong(format!(
                "nick {nick:?} must be letters, digits or any of -[]\\`_^{{|}}, no digit or - first"
            )));
        }
        let plain = |text: &str| !text.contains(['\r', '\n', '\0']);
        for (key, secret) in [
            ("password", &self.password),
            ("nickserv.password", &self.nickserv.password),
        ] {
            if !plain(secret.expose()) {
                return Err(wrong(format!("{key} must not hold a line end")));
            }
        }
        let word = |text: &str| !text.is_empty() && plain(text) && !text.contains([' ', '!']);
        let username = self.username.as_deref().unwrap_or("x");
        if !word(username) || username.contains('@') {
            return Err(wrong(format!(
                "username {username:?} must be one word without ! and @"
            )));
        }
        let service = &self.nickserv.service;
        if !word(service) {
            return Err(wrong(format!(
                "nickserv.service {service:?} must be a nick, such as NickServ"
            )));
        }
        for room in &self.channels {
            if !is_channel(room) || room.contains([' ', ',', '\u{7}']) || !plain(room) {
                return Err(wrong(format!(
                    "channels: {room:?} must begin with # or & and hold no space or comma"
                )));
            }
        }
        if self
            .sasl
            .as_ref()
            .is_some_and(|sasl| sasl.password.is_empty())
        {
            return Err(wrong(
                "sasl.password is missing: set it, or remove sasl".to_owned(),
            ));
        }
        if self.nickserv.register && self.nickserv.register_email.is_none() {
            return Err(wrong(
                "nickserv.registerEmail is missing: registering needs an address".to_owned(),
            ));
        }
        Ok(())
    }

    /// Where to connect.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.tls { 6697 } else { 6667 })
    }

    /// `host:port`, for people.
    pub fn server(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    /// Is there a secret that would cross the network readable?
    pub fn shows_secrets(&self) -> bool {
        let local = self.host == "localhost" || self.host == "::1" || self.host.starts_with("127.");
        let secret =
            !self.password.is_empty() || !self.nickserv.password.is_empty() || self.sasl.is_some();
        secret && !self.tls && !local
    }

    /// Delays between attempts to connect.
    pub fn backoff(&self) -> Backoff {
        Backoff {
            initial: Duration::from_millis(self.reconnect.initial_ms),
            max: Duration::from_millis(self.reconnect.max_ms),
            factor: self.reconnect.factor,
            jitter: self.reconnect.jitter,
        }
    }

    /// Longest time to connect, and again to be registered.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.max(1))
    }

    /// Silence after which the server is asked.
    pub fn ping(&self) -> Duration {
        Duration::from_secs(self.ping_seconds.max(1))
    }

    /// Between two lines in the long run.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.flood.interval_ms)
    }

    /// Most lines of one message: as configured, less where saying them would take too long.
    pub fn lines_max(&self) -> usize {
        let spaced = match self.flood.interval_ms {
            0 => usize::MAX,
            ms => usize::try_from(SAY_MAX.as_millis() / u128::from(ms)).unwrap_or(usize::MAX),
        };
        let in_time = spaced.saturating_add(self.flood.burst as usize);
        self.max_lines.clamp(1, in_time.max(1))
    }

    /// Is this nick one that the lists name, and may a nick stand for a person?
    pub fn names_by_nick(&self, nick: &str) -> bool {
        let lists = [&self.allow_from, &self.group_allow_from];
        let groups = self.groups.values().map(|group| &group.allow_from);
        let mut entries = lists.into_iter().chain(groups).flatten();
        let nick = nick.to_lowercase();
        let is_it = |entry: &Value| {
            let entry = entry.as_str().unwrap_or_default().trim().to_lowercase();
            entry.strip_prefix("irc:").unwrap_or(&entry).trim() == nick
        };
        self.dangerously_allow_name_matching && entries.any(is_it)
    }
}

/// Letters of any script, for servers that take them; a server that does not says so.
fn valid_nick(nick: &str) -> bool {
    let special = |c: char| matches!(c, '[' | ']' | '\\' | '`' | '_' | '^' | '{' | '|' | '}');
    let mut chars = nick.chars();
    chars
        .next()
        .is_some_and(|first| first.is_alphabetic() || special(first))
        && chars.all(|c| c.is_alphanumeric() || special(c) || c == '-')
        && nick.len() <= 64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn config(value: Value) -> Config {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let config = config(json!({ "host": "irc.example.org", "nick": "claw" }));
        config.check().unwrap();
        assert!(config.tls && config.nickserv.enabled);
        assert_eq!(config.server(), "irc.example.org:6697");
        assert_eq!((config.text_chunk_limit, config.lines_max()), (350, 20));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let cases = [
            (json!({ "nick": "a" }), "host \"\""),
            (
                json!({ "host": "irc://x", "nick": "a" }),
                "host \"irc://x\"",
            ),
            (json!({ "host": "h", "nick": "1a" }), "nick \"1a\""),
            (json!({ "host": "h", "nick": "a b" }), "nick \"a b\""),
            (
                json!({ "host": "h", "nick": "a", "channels": ["c"] }),
                "channels: \"c\"",
            ),
            (
                json!({ "host": "h", "nick": "a", "channels": ["#c,#d"] }),
                "channels: \"#c,#d\"",
            ),
            (
                json!({ "host": "h", "nick": "a", "username": "x@y" }),
                "username",
            ),
            (
                json!({ "host": "h", "nick": "a", "sasl": {} }),
                "sasl.password",
            ),
            (
                json!({ "host": "h", "nick": "a", "nickserv": { "register": true } }),
                "registerEmail",
            ),
        ];
        for (value, expected) in cases {
            let error = config(value).check().unwrap_err();
            assert!(
                error.stops_account() && error.message.contains(expected),
                "{error}"
            );
        }
        let secret = json!({ "host": "h", "nick": "a", "password": "hidden\r\nQUIT" });
        let error = config(secret).check().unwrap_err();
        assert!(error.message.contains("password") && !error.message.contains("hidden"));
    }

    #[test]
    fn what_would_take_too_long_to_say_is_not_allowed() {
        let slow = json!({ "maxLines": 90, "flood": { "burst": 3, "intervalMs": 5000 } });
        assert_eq!(config(slow).lines_max(), 12);
        let quick = json!({ "maxLines": 90, "flood": { "burst": 1, "intervalMs": 0 } });
        assert_eq!(config(quick).lines_max(), 90);
    }

    #[test]
    fn a_nick_stands_for_a_person_only_where_it_is_listed_and_allowed() {
        let lists = json!({
            "allowFrom": ["Ann"], "groupAllowFrom": ["irc:bob", 7],
            "groups": { "#c": { "requireMention": false, "allowFrom": ["cid"] } }
        });
        let mut config = config(lists);
        assert!(!config.names_by_nick("ann"));
        config.dangerously_allow_name_matching = true;
        assert!(
            ["ANN", "bob", "cid"]
                .iter()
                .all(|nick| config.names_by_nick(nick))
        );
        assert!(!config.names_by_nick("eve"));
    }

    #[test]
    fn readable_secrets_are_noticed() {
        let with = |value: Value| config(value).shows_secrets();
        assert!(with(json!({ "host": "h", "tls": false, "password": "x" })));
        assert!(!with(json!({ "host": "h", "password": "x" })));
        assert!(!with(
            json!({ "host": "127.0.0.1", "tls": false, "password": "x" })
        ));
        assert!(!with(json!({ "host": "h", "tls": false })));
    }
}
