//! The words with which keys are shown to people: made of the keys themselves, and of the
//! documentation of the fields behind them.

use std::collections::BTreeMap;

use gateway_schemas::config::ConfigHint;
use serde_json::Value;

use super::super::secret::SECRET_MARK;

/// Sections in the order in which they are shown, from 20 up by tens.
const ORDER: [&str; 10] = [
    "gateway", "channels", "agents", "models", "session", "messages", "logging", "secrets", "meta",
    "plugins",
];

/// Sections that are kept and shown, and have no shape of ours.
pub(super) const OPEN_SECTIONS: &[(&str, &str)] = &[
    ("meta", "Written by programs that changed the file."),
    ("secrets", "Where secrets lie that the file only names."),
    (
        "plugins",
        "Not used here: plugins are named in plugins.toml.",
    ),
    (
        "env",
        "Not used here: variables come from the environment and .env files.",
    ),
    ("commands", "Not used by this gateway."),
    ("ui", "Read by browser clients."),
    ("wizard", "Written by setup programs."),
    ("update", "Not used by this gateway."),
    ("browser", "Not used by this gateway."),
    ("talk", "Read by apps."),
    ("bindings", "Not used by this gateway."),
];

/// Adds the hint of each key below `schema`, which lies at `path`.
pub(super) fn collect(
    schema: &Value,
    path: &str,
    channels: &BTreeMap<&str, &str>,
    to: &mut BTreeMap<String, ConfigHint>,
) {
    let join = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    for (key, one) in properties.into_iter().flatten() {
        let place = join(key);
        to.insert(place.clone(), hint(&place, one, channels));
        collect(one, &place, channels, to);
    }
    if let Some(any) = schema
        .get("additionalProperties")
        .filter(|any| any.is_object())
    {
        let place = join("*");
        if any.get(SECRET_MARK).is_some() {
            to.insert(place.clone(), hint(&place, any, channels));
        }
        collect(any, &place, channels, to);
    }
    if let Some(items) = schema.get("items") {
        collect(items, &format!("{path}[]"), channels, to);
    }
}

fn hint(path: &str, schema: &Value, channels: &BTreeMap<&str, &str>) -> ConfigHint {
    let own = schema.get("description").and_then(Value::as_str);
    let open = OPEN_SECTIONS.iter().find(|(name, _)| *name == path);
    let help = own.or(open.map(|(_, help)| *help));
    let mut hint = ConfigHint {
        label: Some(label(path, channels)),
        help: help.map(|text| text.replace('`', "")),
        tags: Some(tags(path)),
        ..ConfigHint::default()
    };
    if schema.get(SECRET_MARK).is_some() {
        hint.sensitive = Some(true);
    }
    if !path.contains('.') {
        let place = ORDER
            .iter()
            .position(|name| *name == path)
            .unwrap_or(ORDER.len());
        hint.group = hint.label.clone();
        hint.order = i64::try_from(20 + place * 10).ok();
    }
    hint
}

/// `gateway.auth.rateLimit` → `Gateway Auth Rate Limit`; a channel by its name for people.
fn label(path: &str, channels: &BTreeMap<&str, &str>) -> String {
    let steps: Vec<&str> = path.split('.').filter(|step| *step != "*").collect();
    match steps.as_slice() {
        ["channels", channel] => channels
            .get(channel)
            .map_or_else(|| words(channel), |l| (*l).into()),
        ["channels", channel, rest @ ..] if channels.contains_key(channel) => {
            let rest: Vec<String> = rest.iter().map(|step| words(step)).collect();
            format!("{} {}", channels[channel], rest.join(" "))
        }
        steps => {
            let all: Vec<String> = steps.iter().map(|step| words(step)).collect();
            all.join(" ")
        }
    }
}

fn words(key: &str) -> String {
    let mut out = String::new();
    for (n, c) in key.trim_end_matches("[]").chars().enumerate() {
        if n == 0 {
            out.extend(c.to_uppercase());
        } else {
            if c.is_uppercase() {
                out.push(' ');
            }
            out.push(c);
        }
    }
    for (plain, spelt) in [
        ("Ui", "UI"),
        ("Tls", "TLS"),
        ("Url", "URL"),
        ("Dm ", "DM "),
        ("Id", "ID"),
    ] {
        if out == plain
            || out.ends_with(&format!(" {plain}"))
            || out.starts_with(plain) && plain.ends_with(' ')
        {
            out = out.replacen(plain, spelt, 1);
        }
    }
    out
}

fn tags(path: &str) -> Vec<String> {
    let about = |section: &str| match section {
        "gateway" => "network",
        "channels" => "channels",
        "models" => "models",
        "logging" => "observability",
        _ => "advanced",
    };
    let section = path.split('.').next().unwrap_or(path);
    let mut tags = vec![about(section).to_owned()];
    if path.starts_with("gateway.auth") || path.starts_with("gateway.controlUi") {
        tags.insert(0, "security".into());
    }
    tags
}
