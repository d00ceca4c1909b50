//! The envelope: what the model reads around a message (protocol/11 §3).
//!
//! Called when a run begins. Clients never see it: the transcript keeps the plain text and the
//! text for the model apart, so nothing has to be stripped by guessing.

use serde_json::{Map, Value};

use crate::clock::{stamp, timestamp};
use crate::sessions::SystemEvent;

/// One fenced block of facts the model must not take as instructions.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The line above the fence, for example `Sender (untrusted metadata):`.
    pub title: String,
    /// The facts; absent ones are left out.
    pub fields: Map<String, Value>,
}

impl Facts {
    /// A block with these fields; nulls are left out.
    pub fn new<'a>(title: &str, fields: impl IntoIterator<Item = (&'a str, Value)>) -> Facts {
        let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
        let fields = fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Facts {
            title: title.to_owned(),
            fields,
        }
    }

    /// The block that names who wrote, for a message of a WebSocket client.
    pub fn sender(label: &str, id: &str, display_name: Option<&str>) -> Facts {
        let name = display_name.map_or(Value::Null, Value::from);
        let fields = [
            ("label", label.into()),
            ("id", id.into()),
            ("name", name.clone()),
            ("username", name),
        ];
        Facts::new("Sender (untrusted metadata):", fields)
    }

    fn text(&self) -> String {
        let json = serde_json::to_string_pretty(&self.fields).unwrap_or_default();
        format!("{}\n```json\n{json}\n```\n\n", self.title)
    }
}

/// The text for the model: blocks of facts, then the message.
pub fn with_facts(facts: &[Facts], message: &str) -> String {
    let blocks: String = facts.iter().map(Facts::text).collect();
    format!("{blocks}{message}")
}

/// Puts `[Sun 2026-11-22 13:02 UTC] ` before a message, unless it carries a time already.
pub fn stamped(message: &str, now_ms: u64, zone: Option<&str>) -> String {
    if has_stamp(message) || message.contains("Current time: ") {
        return message.to_owned();
    }
    let stamp = stamp(now_ms, zone);
    format!("[{stamp}] {message}")
}

/// One line for each waiting system event, and an empty one behind them.
pub fn system_lines(events: &[SystemEvent]) -> String {
    let line = |event: &SystemEvent| {
        let time = timestamp(event.at_ms).strftime("%Y-%m-%d %H:%M:%S");
        format!("System: [{time} UTC] {}\n", event.text)
    };
    let lines: String = events.iter().map(line).collect();
    if lines.is_empty() {
        lines
    } else {
        lines + "\n"
    }
}

/// True for a text that begins with `[… YYYY-MM-DD HH:MM`.
pub fn has_stamp(message: &str) -> bool {
    let Some(inside) = message.strip_prefix('[').and_then(|m| m.split_once(']')) else {
        return false;
    };
    let shape = b"0000-00-00 00:00";
    inside.0.as_bytes().windows(shape.len()).any(|window| {
        window.iter().zip(shape).all(|(byte, want)| match want {
            b'0' => byte.is_ascii_digit(),
            _ => byte == want,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_352_520_000; // Sun 2026-11-22 13:02 UTC

    #[test]
    fn the_stamp_names_day_time_and_zone() {
        assert_eq!(
            stamped("hi", NOON, Some("UTC")),
            "[Sun 2026-11-22 13:02 UTC] hi"
        );
    }

    #[test]
    fn waiting_events_stand_before_the_message() {
        assert_eq!(system_lines(&[]), "");
        let event = SystemEvent {
            reminder: None,
            at_ms: NOON,
            text: "Node: studio".into(),
        };
        let lines = "System: [2026-11-22 13:02:00 UTC] Node: studio\n\n";
        assert_eq!(system_lines(&[event]), lines);
    }

    #[test]
    fn a_text_with_a_time_is_left_alone() {
        for text in ["[Mon 2026-11-23 09:00 UTC] hi", "x Current time: 9"] {
            assert_eq!(stamped(text, NOON, Some("UTC")), text);
        }
        assert!(stamped("[todo] 2026-11-23 09:00", NOON, Some("UTC")).starts_with("[Sun"));
    }

    #[test]
    fn facts_are_fenced_and_leave_out_what_is_absent() {
        let text = with_facts(&[Facts::sender("ui", "ui", None)], "hi");
        let want = "Sender (untrusted metadata):\n```json\n{\n  \"id\": \"ui\",\n  \
                    \"label\": \"ui\"\n}\n```\n\nhi";
        assert_eq!(text, want);
    }
}
