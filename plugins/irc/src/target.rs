//! What an operator may write as the receiver of a message.
//!
//! Pure. `#chan`, `&chan`, `nick`, and with `irc:`, `channel:` (which adds a missing `#`) or
//! `user:` before it. A server takes several receivers in one line and masks of servers; we do not.

use gateway_plugin::message::{ErrorKind, SurfaceError};

/// What channel names begin with unless the server says otherwise.
pub const CHANNEL_TYPES: &str = "#&+!";
/// Longer names exist nowhere.
const TARGET_BYTES_MAX: usize = 200;

/// Is it a channel, by its first character?
pub fn is_channel(name: &str) -> bool {
    name.starts_with(|c| CHANNEL_TYPES.contains(c))
}

/// Reads a receiver.
///
/// # Errors
/// Of kind `InvalidRequest`, with the text and what would be right.
pub fn parse(text: &str) -> Result<String, SurfaceError> {
    let wrong = |why: &str| {
        let message = format!(
            "irc target {text:?} {why}: write #channel, a nick, channel:<name> or user:<nick>"
        );
        SurfaceError::new(ErrorKind::InvalidRequest, message)
    };
    let mut rest = text.trim();
    if let Some(after) = without(rest, "irc:") {
        rest = after;
    }
    let name = if let Some(room) = without(rest, "channel:").or_else(|| without(rest, "group:")) {
        if is_channel(room) || room.is_empty() {
            room.to_owned()
        } else {
            format!("#{room}")
        }
    } else if let Some(nick) = without(rest, "user:").or_else(|| without(rest, "direct:")) {
        if is_channel(nick) {
            return Err(wrong("is a channel, not a user"));
        }
        nick.to_owned()
    } else {
        rest.to_owned()
    };
    // What a message from `nick!user@host` is answered to is the nick.
    let name = match name.split_once('!') {
        Some((nick, _)) if !is_channel(&name) => nick.to_owned(),
        _ => name,
    };
    if name.is_empty() {
        return Err(wrong("names nobody"));
    }
    if name.len() > TARGET_BYTES_MAX {
        return Err(wrong("is too long"));
    }
    if name.contains([' ', ',']) || name.chars().any(char::is_control) {
        return Err(wrong("holds a space, comma or control character"));
    }
    if name.starts_with([':', '$', '@']) && !name[1..].starts_with(['#', '&']) {
        return Err(wrong("begins with a sign that no name begins with"));
    }
    Ok(name)
}

fn without<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| text[prefix.len()..].trim_start())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn receivers() {
        let cases = [
            ("#bench", "#bench"),
            (" &local ", "&local"),
            ("ann", "ann"),
            ("irc:ann", "ann"),
            ("IRC:#bench", "#bench"),
            ("channel:bench", "#bench"),
            ("irc:channel:&local", "&local"),
            ("user:ann", "ann"),
            ("ann!a@host", "ann"),
            ("@#bench", "@#bench"),
            ("[ann]", "[ann]"),
            ("ünï", "ünï"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_could_be_more_than_one_receiver_is_refused() {
        let long = "x".repeat(300);
        for text in [
            "",
            "irc:",
            "channel:",
            "user:#c",
            "a,b",
            "a b",
            "a\r\nQUIT",
            "$*.org",
            ":a",
            &long,
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidRequest, "{text}");
            assert!(error.message.contains("#channel"), "{}", error.message);
        }
    }
}
