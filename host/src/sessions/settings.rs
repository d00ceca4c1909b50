//! The settings of a session that clients change one word at a time.
//!
//! Called by `sessions.patch`. Pure: says which words a setting takes and how it refuses others,
//! in the wire's own wording.

use serde_json::{Map, Value};

use super::{SessionKey, SettingsRow};

/// A setting whose values are a fixed set of words.
struct Words {
    name: &'static str,
    allowed: &'static [&'static str],
    /// How the refusal lists them.
    hint: &'static str,
}

const WORDS: &[Words] = &[
    Words {
        name: "thinkingLevel",
        allowed: &["off", "minimal", "low", "medium", "high", "adaptive"],
        hint: "off|minimal|low|medium|high|adaptive",
    },
    Words {
        name: "verboseLevel",
        allowed: &["off", "on", "full"],
        hint: r#""on"|"off""#,
    },
    Words {
        name: "reasoningLevel",
        allowed: &["on", "off", "stream"],
        hint: r#""on"|"off"|"stream""#,
    },
    Words {
        name: "responseUsage",
        allowed: &["off", "tokens", "full", "on"],
        hint: r#""off"|"tokens"|"full""#,
    },
    Words {
        name: "elevatedLevel",
        allowed: &["on", "off", "ask", "full"],
        hint: r#""on"|"off"|"ask"|"full""#,
    },
    Words {
        name: "execHost",
        allowed: &["sandbox", "gateway", "node"],
        hint: r#""sandbox"|"gateway"|"node""#,
    },
    Words {
        name: "execSecurity",
        allowed: &["deny", "allowlist", "full"],
        hint: r#""deny"|"allowlist"|"full""#,
    },
    Words {
        name: "execAsk",
        allowed: &["off", "on-miss", "always"],
        hint: r#""off"|"on-miss"|"always""#,
    },
    Words {
        name: "sendPolicy",
        allowed: &["allow", "deny"],
        hint: r#""allow"|"deny""#,
    },
    Words {
        name: "groupActivation",
        allowed: &["mention", "always"],
        hint: r#""mention"|"always""#,
    },
];

/// Settings that say where a sub-agent came from: set once, on `subagent:` and `acp:` keys only.
const ORIGIN: &[&str] = &[
    "spawnedBy",
    "spawnedWorkspaceDir",
    "subagentRole",
    "subagentControlScope",
];

/// Applies the fields of a `sessions.patch`, all but `key` and `model`. Null removes a setting.
///
/// # Errors
/// The refusal for the client; the settings may be half changed then and must be dropped.
pub fn apply(
    settings: &mut SettingsRow,
    key: &SessionKey,
    patch: &Map<String, Value>,
) -> Result<(), String> {
    for (name, value) in patch {
        match name.as_str() {
            "key" | "model" => {}
            "label" => settings.label = trimmed(name, value)?,
            "fastMode" => settings.fast_mode = value.as_bool(),
            "spawnDepth" => {
                let depth = value.as_u64();
                let changed = settings.spawn_depth.is_some() && settings.spawn_depth != depth;
                only_for_spawned(name, key, value, changed)?;
                settings.spawn_depth = depth;
            }
            _ => set_word(settings, key, name, value)?,
        }
    }
    Ok(())
}

fn set_word(
    settings: &mut SettingsRow,
    key: &SessionKey,
    name: &str,
    value: &Value,
) -> Result<(), String> {
    let new = trimmed(name, value)?;
    if ORIGIN.contains(&name) {
        let old = settings.words.get(name);
        only_for_spawned(name, key, value, old.is_some() && old != new.as_ref())?;
    }
    let Some(new) = new else {
        settings.words.remove(name);
        return Ok(());
    };
    let new = match WORDS.iter().find(|words| words.name == name) {
        Some(words) => {
            let word = new.to_lowercase();
            if !words.allowed.contains(&word.as_str()) {
                return Err(format!("invalid {name} (use {})", words.hint));
            }
            word
        }
        None => new,
    };
    settings.words.insert(name.to_owned(), new);
    Ok(())
}

fn only_for_spawned(
    name: &str,
    key: &SessionKey,
    value: &Value,
    changed: bool,
) -> Result<(), String> {
    if changed {
        return Err(format!("{name} cannot be changed once set"));
    }
    let spawned = ["subagent:", "acp:"]
        .iter()
        .any(|kind| key.rest().starts_with(kind));
    if !spawned && !value.is_null() {
        return Err(format!(
            "{name} is only supported for subagent:* or acp:* sessions"
        ));
    }
    Ok(())
}

fn trimmed(name: &str, value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() => Err(format!("invalid {name}: empty")),
        Value::String(text) => Ok(Some(text.trim().to_owned())),
        _ => Err(format!("invalid {name}: not a text")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn patched(key: &str, patches: &[Value]) -> Result<SettingsRow, String> {
        let mut settings = SettingsRow::default();
        for patch in patches {
            apply(
                &mut settings,
                &SessionKey::from_store(key),
                patch.as_object().unwrap(),
            )?;
        }
        Ok(settings)
    }

    #[test]
    fn words_are_set_and_removed() {
        let set = json!({"key": "k", "thinkingLevel": "High", "fastMode": true, "label": " Demo "});
        let settings = patched("agent:main:main", std::slice::from_ref(&set)).unwrap();
        assert_eq!(settings.words["thinkingLevel"], "high");
        assert_eq!(
            (settings.fast_mode, settings.label.as_deref()),
            (Some(true), Some("Demo"))
        );
        let clear = json!({"thinkingLevel": null, "fastMode": null, "label": null});
        assert_eq!(
            patched("agent:main:main", &[set, clear]).unwrap(),
            SettingsRow::default()
        );
    }

    #[test]
    fn refusals_are_worded_as_the_wire_words_them() {
        for (patch, expected) in [
            (
                json!({"thinkingLevel": "zzz"}),
                "invalid thinkingLevel (use off|minimal|low|medium|high|adaptive)",
            ),
            (
                json!({"verboseLevel": "x"}),
                r#"invalid verboseLevel (use "on"|"off")"#,
            ),
            (
                json!({"execHost": "moon"}),
                r#"invalid execHost (use "sandbox"|"gateway"|"node")"#,
            ),
            (
                json!({"spawnedBy": "agent:main:main"}),
                "spawnedBy is only supported for subagent:* or acp:* sessions",
            ),
        ] {
            assert_eq!(patched("agent:main:main", &[patch]).unwrap_err(), expected);
        }
    }

    #[test]
    fn the_origin_of_a_sub_agent_is_set_once() {
        let (once, again) = (
            json!({"spawnedBy": "a", "spawnDepth": 1}),
            json!({"spawnedBy": "b"}),
        );
        let key = "agent:main:subagent:1";
        assert!(patched(key, std::slice::from_ref(&once)).is_ok());
        let refused = patched(key, &[once, again]).unwrap_err();
        assert_eq!(refused, "spawnedBy cannot be changed once set");
    }
}
