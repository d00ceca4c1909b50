//! What becomes of a message that arrives while its session has a run.
//!
//! Called when a message is submitted, and by `chat.send` for the word that sets it. Pure.

use std::time::Duration;

use super::super::reset_words::after_reset_word;
use super::super::{Inner, Origin, Turn};
use super::collected::Cap;
use crate::config::{Config, QueueMode};
use crate::sessions::SettingsRow;

/// Under which word of its settings a session keeps its own mode.
pub const SETTING: &str = "queueMode";
/// What messages of WebSocket clients come from, in `messages.queue.byChannel`.
pub const WEBCHAT: &str = "webchat";

/// What `/queue …` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Tell the mode.
    Tell,
    /// Set it; none for the configured one.
    Set(Option<QueueMode>),
    /// A word that is no mode.
    Unknown,
}

/// Reads a whole message as the word that tells or sets the mode; none for any other message.
pub fn order(message: &str) -> Option<Order> {
    let mut words = message.split_whitespace();
    if !words.next()?.eq_ignore_ascii_case("/queue") {
        return None;
    }
    let order = match words.next().map(str::to_lowercase).as_deref() {
        None => Order::Tell,
        Some("default" | "reset" | "clear") => Order::Set(None),
        Some(word) => QueueMode::named(word).map_or(Order::Unknown, |mode| Order::Set(Some(mode))),
    };
    Some(match words.next() {
        Some(_) => Order::Unknown,
        None => order,
    })
}

/// The mode of a session for messages of a channel: its own, else the channel's, else the one for
/// all.
pub fn of(config: &Config, settings: Option<&SettingsRow>, channel: &str) -> QueueMode {
    let own = settings.and_then(|settings| settings.words.get(SETTING));
    let queue = &config.messages.queue;
    own.and_then(|word| QueueMode::named(word))
        .or(queue.by_channel.get(channel).copied())
        .or(queue.mode)
        .unwrap_or_default()
}

/// How long messages that are collected wait for more of them.
pub fn debounce(config: &Config, channel: &str) -> Duration {
    let queue = &config.messages.queue;
    let own = queue.debounce_ms_by_channel.get(channel);
    let ms = own.copied().or(queue.debounce_ms);
    Duration::from_millis(ms.unwrap_or(crate::limits::QUEUE_DEBOUNCE_MS))
        .min(crate::limits::QUEUE_DEBOUNCE_MAX)
}

/// How many messages may wait for one answer.
pub fn cap(config: &Config) -> Cap {
    let queue = &config.messages.queue;
    let most = queue.cap.unwrap_or(crate::limits::QUEUE_CAP);
    Cap {
        most: most.clamp(1, crate::limits::SESSION_RUNS_WAITING_MAX),
        drop: queue.drop.unwrap_or_default(),
    }
}

/// Whether a message may be answered together with others: it doesn't begin the conversation anew.
pub fn joins(text: &str, config: &Config) -> bool {
    after_reset_word(text, config).is_none()
}

/// What may become of a turn that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A run of its own, in its turn.
    Wait,
    /// One run with the others that wait.
    Collect(Duration, Cap),
    /// Into the running one; and, if true, a run of its own besides.
    Steer(bool),
    /// A run of its own as soon as the running one is stopped.
    Interrupt,
}

/// A message whose answer has to be delivered needs a run of its own, and so does one with
/// pictures and one that begins the conversation anew.
pub(super) fn way(inner: &Inner, turn: &Turn) -> Way {
    let Origin::Chat { collect, .. } = turn.origin else {
        return Way::Wait;
    };
    let config = inner.config.current();
    let row = inner.sessions.get(&turn.key).ok().flatten();
    let mode = of(&config, row.as_ref().map(|row| &row.settings), WEBCHAT);
    let joins = collect && turn.images.is_empty() && joins(&turn.text, &config);
    match mode {
        QueueMode::Interrupt => Way::Interrupt,
        QueueMode::Collect if joins => Way::Collect(debounce(&config, WEBCHAT), cap(&config)),
        QueueMode::Steer if joins => Way::Steer(false),
        QueueMode::SteerBacklog if joins => Way::Steer(true),
        _ => Way::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_a_whole_message() {
        for (text, expected) in [
            ("/queue", Some(Order::Tell)),
            (" /Queue Steer ", Some(Order::Set(Some(QueueMode::Steer)))),
            (
                "/queue steer+backlog",
                Some(Order::Set(Some(QueueMode::SteerBacklog))),
            ),
            ("/queue default", Some(Order::Set(None))),
            ("/queue moon", Some(Order::Unknown)),
            ("/queue collect please", Some(Order::Unknown)),
            ("/queued", None),
            ("the /queue", None),
            ("", None),
        ] {
            assert_eq!(order(text), expected, "{text}");
        }
    }
}
