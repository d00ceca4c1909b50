//! From a line of the server to a message for the gateway.
//!
//! Pure; called by `session`. Only what a person wrote with PRIVMSG becomes a message. A NOTICE
//! never does: answering one is how two machines talk to each other for ever.

use gateway_plugin::message::{Chat, ChatKind, InboundMessage, Peer};
use serde_json::json;

use crate::config::Config;
use crate::line::{Line, Prefix};
use crate::target::is_channel;
use crate::text::{Casemap, names, plain};

/// How a CTCP message is marked.
const CTCP: char = '\u{1}';
/// Signs before a channel's name: only its operators (and the like) see the message.
const STATUS: [char; 5] = ['~', '&', '@', '%', '+'];

/// Who we are on this connection.
#[derive(Debug, Clone, Default)]
pub struct Me {
    /// Our nick at the moment.
    pub nick: String,
    /// `user@host` as others see us, once the server has shown it.
    pub address: Option<String>,
}

impl Me {
    /// Bytes of `nick!user@host`; the most it may have as long as the server has not shown it.
    pub fn mask_bytes(&self) -> usize {
        const ADDRESS_BYTES_MAX: usize = 10 + "@".len() + 63;
        let address = self.address.as_ref().map_or(ADDRESS_BYTES_MAX, String::len);
        self.nick.len() + "!".len() + address
    }
}

/// Ids for messages whose server gives none: never the same, not even after a restart.
#[derive(Debug)]
pub struct Ids {
    run: u64,
    last: u64,
}

impl Ids {
    /// Ids of one run of the account.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new() -> Result<Ids, getrandom::Error> {
        Ok(Ids {
            run: getrandom::u64()?,
            last: 0,
        })
    }

    /// The next one.
    pub fn next_id(&mut self) -> String {
        self.last += 1;
        format!("{:016x}-{}", self.run, self.last)
    }
}

/// The message that a line holds, if it holds one that somebody else wrote.
pub fn message(
    line: &Line,
    me: &Me,
    casemap: Casemap,
    config: &Config,
    ids: &mut Ids,
) -> Option<InboundMessage> {
    if line.command != "PRIVMSG" || line.params.len() < 2 {
        return None;
    }
    // A server has no address; what it says is not somebody's message.
    let from = line.prefix.as_ref().filter(|from| from.address.is_some())?;
    let machine = line.tag("bot").or(line.tag("draft/bot")).is_some();
    if from.nick.is_empty() || casemap.same(&from.nick, &me.nick) || machine {
        return None;
    }
    let (text, action) = words(line.last(), &from.nick)?;
    let target = line.param(0);
    let in_room = is_channel(target.trim_start_matches(STATUS)) || is_channel(target);
    let chat = if in_room {
        Chat {
            id: casemap.lower(target),
            kind: ChatKind::Group,
            title: Some(target.to_owned()),
            thread_id: None,
        }
    } else if casemap.same(target, &me.nick) {
        Chat {
            id: from.nick.clone(),
            ..Chat::default()
        }
    } else {
        // To all users of a server, or to a nick we had: nothing to answer.
        return None;
    };
    let mut native = json!({ "nick": from.nick, "mask": from.mask(), "target": target });
    if action {
        native["action"] = json!(true);
    }
    let account = line.tag("account").filter(|account| !account.is_empty());
    if let Some(account) = account {
        native["account"] = json!(account);
    }
    let id = line.tag("msgid").filter(|id| !id.is_empty());
    Some(InboundMessage {
        id: id.map_or_else(|| ids.next_id(), str::to_owned),
        chat,
        sender: sender(from, config),
        at_ms: line.tag("time").and_then(milliseconds).unwrap_or(0),
        mentions_me: names(&text, &me.nick, casemap),
        text,
        native,
        ..InboundMessage::default()
    })
}

/// By the whole mask, for anybody may take a nick; by the nick alone where the operator wants it.
fn sender(from: &Prefix, config: &Config) -> Peer {
    let id = if config.names_by_nick(&from.nick) {
        from.nick.clone()
    } else {
        from.mask()
    };
    Peer {
        id,
        name: Some(from.nick.clone()),
        handle: Some(from.nick.clone()),
        is_bot: None,
    }
}

/// The words of a message, and whether they are what its sender does rather than says. Other CTCP
/// messages are questions to the program: not answered.
fn words(text: &str, nick: &str) -> Option<(String, bool)> {
    let Some(ctcp) = text.strip_prefix(CTCP) else {
        return Some((plain(text), false)).filter(|(text, _)| !text.trim().is_empty());
    };
    let ctcp = ctcp.strip_suffix(CTCP).unwrap_or(ctcp);
    let (command, rest) = ctcp.split_once(' ').unwrap_or((ctcp, ""));
    let acts = command.eq_ignore_ascii_case("ACTION") && !plain(rest).trim().is_empty();
    acts.then(|| (format!("* {nick} {}", plain(rest)), true))
}

/// `2011-10-19T16:40:51.620Z` in milliseconds since 1970.
fn milliseconds(time: &str) -> Option<u64> {
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut clock = clock.splitn(3, ':');
    let mut number = || clock.next().and_then(|part| part.parse::<u64>().ok());
    let (hour, minute) = (number()?, number()?);
    let second = clock.next()?.parse::<f64>().ok()?;
    let right = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && (0.0..61.0).contains(&second);
    if !right {
        return None;
    }
    // Days since 1970, counting years from March so that the leap day is the last.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leaps = year / 4 - year / 100 + year / 400;
    let days = 365 * year + leaps + (153 * month + 2) / 5 + day - 719_469;
    let days = u64::try_from(days).ok()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 61000
    let ms = (second * 1000.0).round() as u64;
    Some(((days * 24 + hour) * 60 + minute) * 60_000 + ms)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    fn read_with(line: &str, config: Value) -> Option<InboundMessage> {
        let me = Me {
            nick: "Claw".into(),
            address: None,
        };
        let config = serde_json::from_value(config).unwrap();
        let line = Line::parse(line).unwrap();
        message(
            &line,
            &me,
            Casemap::default(),
            &config,
            &mut Ids::new().unwrap(),
        )
    }

    fn read(line: &str) -> Option<InboundMessage> {
        read_with(line, json!({}))
    }

    #[test]
    fn a_message_in_a_channel() {
        let line = "@time=2011-10-19T16:40:51.620Z;msgid=m1;account=ann :Ann!a@h PRIVMSG #Bench[1] \
                    :\u{2}claw\u{2}: hi";
        let message = read(line).unwrap();
        assert_eq!(
            (message.id.as_str(), message.at_ms),
            ("m1", 1_319_042_451_620)
        );
        assert_eq!(
            (message.chat.id.as_str(), message.chat.kind),
            ("#bench{1}", ChatKind::Group)
        );
        assert_eq!(message.chat.title.as_deref(), Some("#Bench[1]"));
        assert_eq!(
            (message.text.as_str(), message.mentions_me),
            ("claw: hi", true)
        );
        assert_eq!(message.sender.id, "Ann!a@h");
        assert_eq!(message.native["account"], "ann");
    }

    #[test]
    fn a_direct_message_is_answered_to_its_sender() {
        let message = read(":Ann!a@h PRIVMSG claw hi").unwrap();
        assert_eq!(
            (message.chat.id.as_str(), message.chat.kind),
            ("Ann", ChatKind::Direct)
        );
        assert!(!message.mentions_me && message.at_ms == 0 && message.id.len() > 16);
    }

    #[test]
    fn an_action_is_text_and_other_ctcp_is_nothing() {
        let message = read(":Ann!a@h PRIVMSG #c :\u{1}ACTION pats Claw\u{1}").unwrap();
        assert_eq!(
            (message.text.as_str(), message.mentions_me),
            ("* Ann pats Claw", true)
        );
        assert_eq!(message.native["action"], true);
        for ctcp in [
            "\u{1}VERSION\u{1}",
            "\u{1}PING 1",
            "\u{1}ACTION\u{1}",
            "\u{1}",
            "\u{1}\u{1}",
        ] {
            assert_eq!(
                read(&format!(":Ann!a@h PRIVMSG claw :{ctcp}")),
                None,
                "{ctcp:?}"
            );
        }
    }

    #[test]
    fn what_nobody_wrote_to_us() {
        for line in [
            ":Ann!a@h NOTICE claw :hi",
            ":irc.server PRIVMSG claw :hi",
            "PRIVMSG claw :hi",
            ":CLAW!me@h PRIVMSG #c :my own words",
            "@bot :Other!b@h PRIVMSG #c :beep",
            ":Ann!a@h PRIVMSG $$*.org :to all",
            ":Ann!a@h PRIVMSG claw_old :hi",
            ":Ann!a@h PRIVMSG claw",
            ":Ann!a@h PRIVMSG claw :\u{3}\u{2} ",
            ":!a@h PRIVMSG claw :hi",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn what_only_operators_see_stays_among_them() {
        let message = read(":Ann!a@h PRIVMSG @#Ops :claw: secret").unwrap();
        assert_eq!(
            (message.chat.id.as_str(), message.chat.kind),
            ("@#ops", ChatKind::Group)
        );
    }

    #[test]
    fn a_nick_is_nobody_unless_the_operator_says_so() {
        let listed = json!({ "allowFrom": ["ann"], "dangerouslyAllowNameMatching": true });
        let line = ":Ann!a@h PRIVMSG claw hi";
        assert_eq!(read_with(line, listed).unwrap().sender.id, "Ann");
        let careful = json!({ "allowFrom": ["ann"] });
        assert_eq!(read_with(line, careful).unwrap().sender.id, "Ann!a@h");
    }

    #[test]
    fn times_are_read_or_left_out() {
        assert_eq!(milliseconds("1970-01-01T00:00:00.000Z"), Some(0));
        assert_eq!(milliseconds("2000-03-01T00:00:00Z"), Some(951_868_800_000));
        assert_eq!(
            milliseconds("2024-02-29T23:59:59.999Z"),
            Some(1_709_251_199_999)
        );
        for odd in [
            "",
            "now",
            "2024-13-01T00:00:00Z",
            "2024-01-01T00:00Z",
            "1969-12-31T00:00:00Z",
        ] {
            assert_eq!(milliseconds(odd), None, "{odd}");
        }
    }
}
