//! What an operator may write as the receiver of a message.
//!
//! Pure. `42`, `-100123`, `telegram:42`, `tg:group:-100123`, `-100123:topic:7`, `-100123:7`,
//! `@name`, `name`, `t.me/name`.

use gateway_plugin::message::{ErrorKind, SurfaceError};

/// The General topic of a forum. It exists without a name: sends must not name it.
pub const GENERAL_TOPIC: i64 = 1;

/// A chat by id or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatRef {
    /// The Bot API's number.
    Id(i64),
    /// A public name, without `@`. Telegram has to be asked for the number.
    Name(String),
}

/// A chat, and a thread in it if one was named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where.
    pub chat: ChatRef,
    /// Which thread or topic.
    pub thread: Option<i64>,
}

/// Reads a receiver.
///
/// # Errors
/// Of kind `InvalidRequest`, with the text and what would be right.
pub fn parse(text: &str) -> Result<Target, SurfaceError> {
    let wrong = || {
        let message = format!(
            "telegram target {text:?} is neither a chat id such as 42 or -100123 (with :topic:<id> \
             for a topic) nor a public name such as @name"
        );
        SurfaceError::new(ErrorKind::InvalidRequest, message)
    };
    let mut rest = text.trim();
    for prefix in ["telegram:", "tg:"] {
        if let Some((head, tail)) = rest.split_at_checked(prefix.len())
            && head.eq_ignore_ascii_case(prefix)
        {
            rest = tail;
            break;
        }
    }
    for prefix in ["group:", "direct:", "channel:"] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    for prefix in ["https://", "http://"] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("t.me/").unwrap_or(rest);
    let (chat, thread) = match rest.split_once(":topic:").or_else(|| rest.split_once(':')) {
        Some((chat, thread)) => (chat, Some(thread.parse().map_err(|_| wrong())?)),
        None => (rest, None),
    };
    let chat = match chat.parse() {
        Ok(id) => ChatRef::Id(id),
        Err(_) => ChatRef::Name(name(chat).ok_or_else(wrong)?),
    };
    Ok(Target { chat, thread })
}

fn name(text: &str) -> Option<String> {
    let name = text.strip_prefix('@').unwrap_or(text);
    let fits = (5..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.starts_with(|c: char| c.is_ascii_alphabetic());
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_way_to_write_a_receiver() {
        let id = |id, thread| Target {
            chat: ChatRef::Id(id),
            thread,
        };
        let named = |name: &str| Target {
            chat: ChatRef::Name(name.into()),
            thread: None,
        };
        for (text, target) in [
            ("42", id(42, None)),
            (" -100123 ", id(-100_123, None)),
            ("telegram:42", id(42, None)),
            ("TG:42", id(42, None)),
            ("telegram:group:-100123", id(-100_123, None)),
            ("-100123:topic:7", id(-100_123, Some(7))),
            ("telegram:group:-100123:topic:7", id(-100_123, Some(7))),
            ("-100123:7", id(-100_123, Some(7))),
            ("@some_name", named("some_name")),
            ("some_name", named("some_name")),
            ("t.me/some_name", named("some_name")),
            ("https://t.me/some_name", named("some_name")),
        ] {
            assert_eq!(parse(text).unwrap(), target, "{text}");
        }
    }

    #[test]
    fn what_is_no_receiver_is_named_in_the_refusal() {
        for text in [
            "",
            "@abc",
            "no name",
            "42:topic:x",
            "42:",
            "4 2",
            "12345x",
            "@",
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidRequest);
            assert!(error.message.contains(&format!("{text:?}")), "{text}");
        }
    }
}
