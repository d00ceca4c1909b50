//! What the server's numbers mean: about a message we sent, about a channel we asked for.
//!
//! Pure; called by `session`.

use gateway_plugin::message::{ErrorKind, SurfaceError};

use crate::line::Line;
use crate::target::is_channel;

/// The nick or channel a number is about, and the gateway's kind of error for it; `None` if the
/// number is no refusal of a message.
pub fn of_message(line: &Line) -> Option<(&str, SurfaceError)> {
    let target = line.param(1);
    let said = line.last();
    let (kind, advice) = match line.command.as_str() {
        "401" | "403" if is_channel(target) => (ErrorKind::NotFound, "there is no such channel"),
        "401" | "403" => (ErrorKind::NotFound, "nobody has this nick at the moment"),
        "402" => (ErrorKind::NotFound, "there is no such server"),
        "404" => (
            ErrorKind::Forbidden,
            "we may not write there: it must be among `channels`, and not be moderated or ban us",
        ),
        "407" => (ErrorKind::InvalidRequest, "it means more than one receiver"),
        "477" | "486" => (
            ErrorKind::Forbidden,
            "only logged-in nicks may write there: set nickserv or sasl",
        ),
        "531" | "716" | "717" => (ErrorKind::Forbidden, "they do not take messages from us"),
        "263" | "439" => (ErrorKind::RateLimited, "the server asks to slow down"),
        _ => return None,
    };
    let text = format!("{target}: {said} ({advice})");
    let error = SurfaceError::new(kind, text).code(line.command.clone());
    Some((target, error))
}

/// The channel we were not let into, and why.
pub fn of_join(line: &Line) -> Option<(&str, String)> {
    let advice = match line.command.as_str() {
        "403" | "476" | "479" => "its name is not one of this server",
        "405" => "this server allows no more channels",
        "437" => "it is not available for a while, tried again",
        "471" => "it is full, tried again",
        "473" => "it needs an invitation",
        "474" => "it has banned us",
        "475" => "it needs a key, which is not supported",
        "477" => "it needs a login: set nickserv or sasl",
        "489" | "520" => "it is not open to us",
        _ => return None,
    };
    Some((line.param(1), format!("{} ({advice})", line.last())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_become_kinds() {
        let line = Line::parse(":s 401 claw ann :No such nick/channel").unwrap();
        let (target, error) = of_message(&line).unwrap();
        assert_eq!((target, error.kind), ("ann", ErrorKind::NotFound));
        assert_eq!(error.provider_code.as_deref(), Some("401"));
        assert!(error.message.contains("No such nick"));
        let line = Line::parse(":s 401 claw #c :No such nick or channel name").unwrap();
        let told = of_message(&line).unwrap().1.message;
        assert!(told.contains("no such channel"), "{told}");
        assert!(of_message(&Line::parse(":s 301 claw ann :away").unwrap()).is_none());
        let line = Line::parse(":s 471 claw #c :Cannot join channel (+l)").unwrap();
        assert!(matches!(of_join(&line), Some(("#c", why)) if why.contains("full")));
    }
}
