//! How a coding agent is started: `agents.defaults.acpBackends.<id>`, and the built-in ones.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::agent::runner::RunnerError;
use crate::agent::runners::process;
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
    let (place, configured) = (
        ("acpBackends", id),
        config.agents.defaults.acp_backends.get(id),
    );
    process::settings(place, built_in(id), configured, |backend: &Backend| {
        &backend.command
    })
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
