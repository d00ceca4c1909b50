//! Methods of the wire that this gateway leaves out on purpose: what a client is told instead, so
//! that a person knows why and what to do. They are not advertised. What is neither built nor
//! named here is still to come.

use crate::error::GatewayError;

/// A gateway that has no such thing: the words that clients know.
const KNOWN_WORDS: [(&str, Refusal); 3] = [
    (
        "web.login.start",
        Refusal::Invalid("web login provider is not available"),
    ),
    (
        "web.login.wait",
        Refusal::Invalid("web login provider is not available"),
    ),
    (
        "browser.request",
        Refusal::Unavailable("browser control is disabled"),
    ),
];

/// By name, or by what the name begins with.
const OWN_WORDS: [(&str, &str); 8] = [
    (
        "tts.",
        "this gateway does not speak: clients that can read aloud do it themselves",
    ),
    (
        "wizard.",
        "there is no setup assistant: edit openclaw.json, or set keys with config.set, and add \
         channels with: openclaw plugins install",
    ),
    (
        "update.run",
        "the gateway does not replace itself: install the new release as the old one was, and \
         restart the service",
    ),
    (
        "push.test",
        "push messages to phones are not sent by this gateway",
    ),
    (
        "poll",
        "polls are not sent by this gateway: ask the question with send",
    ),
    (
        "config.openFile",
        "the gateway opens no windows on its machine: config.get tells the file's path",
    ),
    (
        "secrets.resolve",
        "secrets are never told to clients: read them where they lie, as the configuration names it",
    ),
    (
        "skills.install",
        "the gateway runs no package managers: install what the skill needs yourself (openclaw \
         skills info NAME), then look again",
    ),
];

enum Refusal {
    Invalid(&'static str),
    Unavailable(&'static str),
}

/// What a client is told that calls a method without a handler.
pub(super) fn refusal(name: &str) -> GatewayError {
    if let Some((_, refusal)) = KNOWN_WORDS.iter().find(|(known, _)| *known == name) {
        return match refusal {
            Refusal::Invalid(text) => GatewayError::invalid(*text),
            Refusal::Unavailable(text) => GatewayError::unavailable(*text),
        };
    }
    let named = |known: &str| name == known || (known.ends_with('.') && name.starts_with(known));
    match OWN_WORDS.iter().find(|(known, _)| named(known)) {
        Some((_, why)) => GatewayError::unavailable(format!("{name} is not offered: {why}")),
        None => GatewayError::unavailable(format!("{name} is not built into this gateway yet")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::methods::built;
    use gateway_schemas::catalogue::METHODS;

    #[test]
    fn only_what_is_not_there_is_refused() {
        let names = KNOWN_WORDS.iter().map(|(name, _)| *name);
        for name in names.chain(OWN_WORDS.iter().map(|(name, _)| *name)) {
            let of_wire = |method: &str| method == name || method.starts_with(name);
            assert!(METHODS.iter().any(|m| of_wire(m.name)), "{name}");
            let exact = |method: &str| match name.ends_with('.') {
                true => method.starts_with(name),
                false => method == name,
            };
            assert!(!built().any(exact), "{name} is built");
        }
    }
}
