//! How a coding agent is started: `agents.defaults.acpBackends.<id>`, and the built-in ones.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::agent::runner::RunnerError;
use crate::config::{Config, Secret};

/// One backend, settings over built-in values.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// The program: a path, or a name in `PATH`.
    pub command: String,
    /// Its arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Variables for the program beside the few that every program gets.
    #[serde(default)]
    pub env: BTreeMap<String, Secret>,
    /// Variables that it doesn't get.
    #[serde(default)]
    pub clear_env: Vec<String>,
}

fn built_in(id: &str) -> Option<Value> {
    Some(match id {
        "codex-acp" => json!({ "command": "codex-acp" }),
        "claude-acp" => json!({ "command": "claude-code-acp" }),
        "gemini-acp" => json!({ "command": "gemini", "args": ["--experimental-acp"] }),
        _ => return None,
    })
}

/// True for a backend that is built in or configured.
pub fn exists(config: &Config, id: &str) -> bool {
    config.agents.defaults.acp_backends.contains_key(id) || built_in(id).is_some()
}

/// The settings of a backend; none when there is no such backend.
///
/// # Errors
/// [`RunnerError`] that names the wrong setting.
pub fn find(config: &Config, id: &str) -> Result<Option<Backend>, RunnerError> {
    let wrong = |place: &str, why: &str| {
        RunnerError::new(format!("agents.defaults.acpBackends.{place}: {why}"))
    };
    let configured = config.agents.defaults.acp_backends.get(id);
    let mut settings = match (built_in(id), configured) {
        (Some(Value::Object(settings)), _) => settings,
        (_, Some(_)) => Map::new(),
        (_, None) => return Ok(None),
    };
    match configured {
        Some(Value::Object(own)) => settings.extend(own.clone()),
        Some(_) => return Err(wrong(id, "an object is needed")),
        None => {}
    }
    let backend: Backend = serde_path_to_error::deserialize(Value::Object(settings))
        .map_err(|e| wrong(&format!("{id}.{}", e.path()), &e.inner().to_string()))?;
    if backend.command.trim().is_empty() {
        return Err(wrong(id, "command is empty"));
    }
    Ok(Some(backend))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn settings_stand_over_what_is_built_in() {
        let mut config = Config::for_tests(std::path::Path::new("/tmp"));
        let backends = &mut config.agents.defaults.acp_backends;
        backends.insert("gemini-acp".into(), json!({ "command": "/opt/gemini" }));
        backends.insert("mine".into(), json!({ "args": ["x"] }));
        backends.insert("none".into(), json!(1));
        let gemini = find(&config, "gemini-acp").unwrap().unwrap();
        assert_eq!(
            (gemini.command.as_str(), gemini.args.len()),
            ("/opt/gemini", 1)
        );
        assert!(find(&config, "other").unwrap().is_none());
        let refused = |id: &str| find(&config, id).unwrap_err().shown().to_owned();
        assert!(
            refused("mine").contains("acpBackends.mine"),
            "{}",
            refused("mine")
        );
        assert!(refused("none").contains("an object is needed"));
    }
}
