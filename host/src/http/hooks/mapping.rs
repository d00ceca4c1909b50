//! What `/hooks/<name>` means: the first of `hooks.mappings` that fits, then the built-in ones.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::Value;

use super::agent::{Named, Task};
use super::template::{Facts, fill, is_template};
use super::{HookCall, invalid, refused};
use crate::config::{HookAction, HookMapping, HookMatch, HookWakeMode};
use crate::spell;

/// What is to be done.
pub(super) enum Action {
    /// A text for the main session.
    Wake {
        /// The text.
        text: String,
        /// When it is looked at.
        mode: HookWakeMode,
    },
    /// A run of the agent.
    Run(Box<Task>),
}

/// The action for a call; none when nothing fits.
///
/// # Errors
/// The refusal to be answered.
pub(super) fn find(call: &HookCall<'_>) -> Result<Option<Action>, Response> {
    let hooks = &call.config.hooks;
    let built_in = hooks.presets.iter().filter_map(|name| preset(name));
    let built_in: Vec<HookMapping> = built_in.collect();
    let mut mappings = hooks.mappings.iter().chain(&built_in);
    let Some(mapping) = mappings.find(|mapping| fits(&mapping.fits, call)) else {
        return Ok(None);
    };
    if mapping.transform.is_some() {
        let id = mapping.id.as_deref().unwrap_or(&call.name);
        tracing::warn!(id, "hook mapping not run: it names a program (transform)");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        return Err(refused(status, "hook mapping failed"));
    }
    action(mapping, call).map(Some)
}

fn fits(wanted: &HookMatch, call: &HookCall<'_>) -> bool {
    let path = wanted.path.as_deref().map(|path| path.trim_matches('/'));
    let source = call.payload.get("source").and_then(Value::as_str);
    path.is_none_or(|path| path == call.name)
        && wanted
            .source
            .as_deref()
            .is_none_or(|wanted| source == Some(wanted))
}

fn action(mapping: &HookMapping, call: &HookCall<'_>) -> Result<Action, Response> {
    let header = |name: &str| call.header(name).map(str::to_owned);
    let query = |name: &str| {
        let query = call.head.uri.query().unwrap_or_default().as_bytes();
        let mut fields = url::form_urlencoded::parse(query);
        fields
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    let facts = Facts {
        payload: &call.payload,
        path: &call.name,
        header: &header,
        query: &query,
        now: spell::moment(call.server.parts.clock.now_ms()),
    };
    let filled = |template: &Option<String>| {
        let text = template.as_deref().map(|text| fill(text, &facts));
        let text = text.map(|text| text.trim().to_owned());
        text.filter(|text| !text.is_empty())
    };
    if mapping.action == HookAction::Wake {
        let text = filled(&mapping.text_template).or_else(|| filled(&mapping.message_template));
        let text = text.ok_or_else(|| invalid("hook mapping requires text"))?;
        let mode = mapping.wake_mode;
        return Ok(Action::Wake { text, mode });
    }
    let message = filled(&mapping.message_template);
    let session = mapping.session_key.as_ref().map(|key| Named {
        key: filled(&mapping.session_key).unwrap_or_default(),
        by_caller: is_template(key),
    });
    Ok(Action::Run(Box::new(Task {
        message: message.ok_or_else(|| invalid("hook mapping requires message"))?,
        name: filled(&mapping.name).unwrap_or_else(|| "Hook".to_owned()),
        agent_id: mapping.agent_id.clone(),
        session,
        wake_mode: mapping.wake_mode,
        deliver: mapping.deliver.unwrap_or(true),
        channel: mapping.channel.clone(),
        to: filled(&mapping.to),
        model: filled(&mapping.model),
        thinking: filled(&mapping.thinking),
        timeout_seconds: mapping.timeout_seconds,
        is_trusted: mapping.allow_unsafe_external_content,
        idempotency_key: None,
    })))
}

/// A built-in mapping.
fn preset(name: &str) -> Option<HookMapping> {
    if name != "gmail" {
        tracing::warn!(name, "hooks.presets names an unknown preset: use gmail");
        return None;
    }
    let own = |text: &str| Some(text.to_owned());
    Some(HookMapping {
        id: own("gmail"),
        fits: HookMatch {
            path: own("gmail"),
            source: None,
        },
        name: own("Gmail"),
        session_key: own("hook:gmail:{{messages[0].id}}"),
        message_template: own(
            "New mail from {{messages[0].from}}\nSubject: {{messages[0].subject}}\n\
             {{messages[0].snippet}}\n{{messages[0].body}}",
        ),
        ..HookMapping::default()
    })
}
