//! `system-presence` and `system-event`: who is here, and beacons that say so.

use gateway_schemas::presence::{PresenceEntry, SystemEventParams};
use gateway_schemas::system::Done;
use serde_json::Value;

use super::{Call, Outcome, Reply};
use crate::error::GatewayError;
use crate::limits::SYSTEM_EVENT_TEXT_CHARS_MAX;

/// `system-presence`
pub async fn list(call: Call) -> Outcome {
    Reply::of(&call.parts.presence.list())
}

/// `system-event`: a beacon of a program, or a text for the main session.
pub async fn system_event(call: Call) -> Outcome {
    let params: SystemEventParams = call.params()?;
    let text = text_of(&params.text).ok_or_else(|| GatewayError::invalid("text required"))?;
    let text: String = text.chars().take(SYSTEM_EVENT_TEXT_CHARS_MAX).collect();
    let said = read_beacon(&params, &text);
    let key = [&said.device_id, &said.instance_id, &said.host, &said.ip]
        .into_iter()
        .flatten()
        .next()
        .cloned()
        .unwrap_or_else(|| text.chars().take(64).collect());
    let before = call.parts.presence.beacon(&key, said.clone());
    if !text.starts_with("Node:") {
        call.parts
            .sessions
            .system_events()
            .push(call.parts.clock.now_ms(), text);
    } else if let Some(news) = changed_parts(before.as_ref(), &said) {
        call.parts
            .sessions
            .system_events()
            .push(call.parts.clock.now_ms(), news);
    }
    Reply::of(&Done { ok: true })
}

/// A non-blank string; a value of any other type counts as absent.
fn text_of(value: &Option<Value>) -> Option<String> {
    let text = value.as_ref()?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn list_of(value: &Option<Value>) -> Option<Vec<String>> {
    let items = value.as_ref()?.as_array()?;
    let texts: Vec<String> = items
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    (!texts.is_empty()).then_some(texts)
}

/// The fields as sent, the rest from a text such as
/// `Node: studio (10.0.0.5) · app 1.2 · last input 4s ago · mode local · reason launch`.
fn read_beacon(params: &SystemEventParams, text: &str) -> PresenceEntry {
    let mut said = PresenceEntry {
        text: Some(text.to_owned()),
        ..PresenceEntry::default()
    };
    if let Some(rest) = text.strip_prefix("Node:") {
        for (i, part) in rest.split('·').map(str::trim).enumerate() {
            read_part(&mut said, i, part);
        }
    }
    let sent = |value: &Option<Value>, parsed: Option<String>| text_of(value).or(parsed);
    said.host = sent(&params.host, said.host);
    said.ip = sent(&params.ip, said.ip);
    said.version = sent(&params.version, said.version);
    said.mode = sent(&params.mode, said.mode);
    said.reason = sent(&params.reason, said.reason);
    said.platform = text_of(&params.platform);
    said.device_family = text_of(&params.device_family);
    said.model_identifier = text_of(&params.model_identifier);
    said.device_id = text_of(&params.device_id);
    said.instance_id = text_of(&params.instance_id);
    said.roles = list_of(&params.roles);
    said.scopes = list_of(&params.scopes);
    let seconds = params.last_input_seconds.as_ref().and_then(Value::as_u64);
    said.last_input_seconds = seconds.or(said.last_input_seconds);
    said
}

fn read_part(said: &mut PresenceEntry, index: usize, part: &str) {
    let some = |text: &str| Some(text.trim().to_owned()).filter(|t| !t.is_empty());
    if index == 0 {
        let (host, ip) = part.split_once('(').unwrap_or((part, ""));
        said.host = some(host);
        said.ip = some(ip.trim_end_matches(')'));
    } else if let Some(version) = part.strip_prefix("app ") {
        said.version = some(version);
    } else if let Some(mode) = part.strip_prefix("mode ") {
        said.mode = some(mode);
    } else if let Some(reason) = part.strip_prefix("reason ") {
        said.reason = some(reason);
    } else if let Some(ago) = part.strip_prefix("last input ") {
        said.last_input_seconds = ago.trim_end_matches("s ago").trim().parse().ok();
    }
}

/// What a beacon says that wasn't known; regular signs of life are no news.
fn changed_parts(before: Option<&PresenceEntry>, said: &PresenceEntry) -> Option<String> {
    let empty = PresenceEntry::default();
    let before = before.unwrap_or(&empty);
    let mut parts = Vec::new();
    if said.host != before.host || said.ip != before.ip {
        let ip = said
            .ip
            .as_ref()
            .map(|ip| format!(" ({ip})"))
            .unwrap_or_default();
        parts.push(format!("{}{ip}", said.host.as_deref().unwrap_or("unknown")));
    }
    let mut add = |name: &str, now: &Option<String>, then: &Option<String>| {
        if let Some(now) = now.as_ref().filter(|_| now != then) {
            parts.push(format!("{name} {now}"));
        }
    };
    add("app", &said.version, &before.version);
    add("mode", &said.mode, &before.mode);
    let regular = |reason: &str| reason == "heartbeat" || reason.starts_with("periodic");
    if !said.reason.as_deref().is_some_and(regular) {
        add("reason", &said.reason, &before.reason);
    }
    (!parts.is_empty()).then(|| format!("Node: {}", parts.join(" · ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacon(text: &str) -> PresenceEntry {
        read_beacon(&SystemEventParams::default(), text)
    }

    #[test]
    fn a_beacon_text_fills_the_fields() {
        let said = beacon(
            "Node: studio (10.0.0.5) · app 1.2 · last input 4s ago · mode local · reason launch",
        );
        assert_eq!(said.host.as_deref(), Some("studio"));
        assert_eq!(said.ip.as_deref(), Some("10.0.0.5"));
        assert_eq!(said.version.as_deref(), Some("1.2"));
        assert_eq!(said.last_input_seconds, Some(4));
        assert_eq!(said.mode.as_deref(), Some("local"));
        assert_eq!(said.reason.as_deref(), Some("launch"));
    }

    #[test]
    fn only_news_is_told() {
        let first = beacon("Node: studio (10.0.0.5) · app 1.2 · mode local · reason launch");
        let told = changed_parts(None, &first);
        assert_eq!(
            told.as_deref(),
            Some("Node: studio (10.0.0.5) · app 1.2 · mode local · reason launch")
        );
        let same = beacon("Node: studio (10.0.0.5) · app 1.2 · mode local · reason periodic");
        assert_eq!(changed_parts(Some(&first), &same), None);
        let newer = beacon("Node: studio (10.0.0.5) · app 1.3 · mode local · reason heartbeat");
        assert_eq!(
            changed_parts(Some(&first), &newer).as_deref(),
            Some("Node: app 1.3")
        );
    }
}
