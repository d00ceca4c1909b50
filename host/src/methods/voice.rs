//! `voicewake.*` and `talk.*`: what phones and desktop apps share about being spoken to.

use gateway_schemas::catalogue::Role;
use gateway_schemas::voice as wire;
use serde_json::{Map, Value};

use super::{Call, Outcome, Parts, Reply};
use crate::error::GatewayError;
use crate::hub::{Caller, Event};
use crate::limits::{VOICE_TRIGGER_CHARS_MAX, VOICE_TRIGGERS_MAX};
use crate::store::{StoreError, voice as disk};

/// The words until somebody chooses others.
const TRIGGERS: [&str; 3] = ["openclaw", "claude", "computer"];
/// What stands for a secret that is not shown.
const HIDDEN: &str = "__OPENCLAW_REDACTED__";

/// `voicewake.get`
pub async fn wake_words(call: Call) -> Outcome {
    let stored = call.parts.store.read(disk::triggers).map_err(failed)?;
    Reply::of(&wire::VoiceWake {
        triggers: stored.unwrap_or_else(default_triggers),
    })
}

/// Tells a node that has just come in which words to listen for.
pub fn greet(node: &Caller, parts: &Parts) {
    // Without the store it listens for the usual ones.
    let stored = parts.store.read(disk::triggers).ok().flatten();
    let triggers = stored.unwrap_or_else(default_triggers);
    let event = Event::new("voicewake.changed", &wire::VoiceWake { triggers });
    parts.hub.send_to(&[node.conn], event);
}

/// `voicewake.set`: an empty list brings the defaults back.
pub async fn set_wake_words(call: Call) -> Outcome {
    let needed = || GatewayError::invalid("voicewake.set requires triggers: string[]");
    let params: wire::VoiceWakeSetParams = call.params().map_err(|_| needed())?;
    let Some(Value::Array(given)) = params.triggers else {
        return Err(needed());
    };
    let words = given.iter().filter_map(Value::as_str).map(str::trim);
    let words = words
        .filter(|word| !word.is_empty())
        .take(VOICE_TRIGGERS_MAX);
    let cut = |word: &str| word.chars().take(VOICE_TRIGGER_CHARS_MAX).collect();
    let mut triggers: Vec<String> = words.map(cut).collect();
    if triggers.is_empty() {
        triggers = default_triggers();
    }
    let stored = triggers.clone();
    let written = call
        .parts
        .store
        .write(move |txn| disk::set_triggers(txn, &stored));
    written.await.map_err(failed)?;
    let now = wire::VoiceWake { triggers };
    call.parts
        .hub
        .publish(Event::new("voicewake.changed", &now));
    Reply::of(&now)
}

fn default_triggers() -> Vec<String> {
    TRIGGERS.map(str::to_owned).to_vec()
}

fn failed(error: StoreError) -> GatewayError {
    GatewayError::unavailable("Error: the store failed").caused_by(error)
}

/// `talk.config`: what a talking client needs; keys of voice providers only for those who may.
pub async fn config(call: Call) -> Outcome {
    let params: wire::TalkConfigParams = call.params()?;
    let secrets = params.include_secrets == Some(true);
    if secrets && !call.caller.has_scope("operator.talk.secrets") {
        return Err(GatewayError::invalid(
            "missing scope: operator.talk.secrets",
        ));
    }
    let config = call.parts.config.current();
    let mut talk = config.talk.clone();
    if !secrets {
        hide(&mut talk);
    }
    let main_key = config.session.main_key.clone();
    let seam_color = config.ui.get("seamColor").and_then(Value::as_str);
    Reply::of(&wire::TalkConfig {
        config: wire::TalkSettings {
            talk: (!talk.is_empty()).then_some(talk),
            session: main_key.map(|key| wire::TalkSession {
                main_key: Some(key),
            }),
            ui: seam_color.map(|colour| wire::TalkUi {
                seam_color: Some(colour.to_owned()),
            }),
        },
    })
}

/// Hides what is named like a key, at any depth.
fn hide(map: &mut Map<String, Value>) {
    for (name, value) in map {
        let name = name.to_lowercase();
        let is_secret = ["apikey", "token", "secret", "password"];
        match value {
            Value::Object(inner) => hide(inner),
            Value::String(text) if is_secret.iter().any(|word| name.ends_with(word)) => {
                *text = HIDDEN.to_owned();
            }
            _ => {}
        }
    }
}

/// `talk.mode`: told to everybody. A chat page can't talk by itself, it needs a phone.
pub async fn mode(call: Call) -> Outcome {
    let params: wire::TalkModeParams = call.params()?;
    if call.caller.client.is_webchat() && !has_phone(&call.parts) {
        let text = "talk disabled: no connected iOS/Android nodes";
        return Err(GatewayError::unavailable(text));
    }
    let mode = wire::TalkMode {
        enabled: params.enabled,
        phase: params.phase,
        ts: call.parts.clock.now_ms(),
    };
    call.parts.hub.publish(Event::new("talk.mode", &mode));
    Reply::of(&mode)
}

fn has_phone(parts: &Parts) -> bool {
    let clients = parts.hub.clients();
    clients.iter().any(|client| {
        let platform = client.caller.client.platform.to_lowercase();
        let phone = ["ios", "ipados", "android"]
            .iter()
            .any(|os| platform.starts_with(os));
        client.caller.role == Role::Node && phone
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_hidden_at_any_depth() {
        let mut talk = json!({ "voiceId": "v", "apiKey": "k1",
            "providers": { "x": { "apiKey": "k2", "model": "m", "interruptOnSpeech": true } } });
        if let Some(talk) = talk.as_object_mut() {
            hide(talk);
        }
        assert_eq!(
            talk,
            json!({ "voiceId": "v", "apiKey": HIDDEN,
                "providers": { "x": { "apiKey": HIDDEN, "model": "m", "interruptOnSpeech": true } } })
        );
    }
}
