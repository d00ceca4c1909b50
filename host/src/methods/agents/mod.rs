//! `agents.list`, `agent.identity.get`, `models.list`: agents and models by name; what changes
//! agents in `change.rs`, their files in `files.rs`, their tools in `catalogue.rs`.

mod catalogue;
mod change;
mod files;

pub use catalogue::catalogue as tools;
pub use change::{create, delete, update};
pub use files::{get as get_file, list as list_files, set as set_file};

use gateway_schemas::agents::{
    AgentIdentity, AgentIdentityParams, AgentIdentityResult, AgentSummary, AgentsList, Model,
    ModelsList, SessionScope,
};

use super::{Call, Outcome, Reply};
use crate::agent::model::{self, ModelName};
use crate::config::{self, Config, ModelEntry};
use crate::sessions::SessionKey;

/// What an agent without an identity is called.
const NAME_DEFAULT: &str = "Assistant";
/// What an agent without an identity looks like.
const AVATAR_DEFAULT: &str = "A";

/// `agents.list`
pub async fn list(call: Call) -> Outcome {
    let config = call.parts.config.current();
    let scope = match config.session.scope {
        config::SessionScope::PerSender => SessionScope::PerSender,
        config::SessionScope::Global => SessionScope::Global,
    };
    let agents = config
        .agents
        .ids()
        .into_iter()
        .map(|id| summary(&config, id));
    Reply::of(&AgentsList {
        default_id: config.agents.default_id().to_owned(),
        main_key: "main".to_owned(),
        scope,
        agents: agents.collect(),
    })
}

fn summary(config: &Config, id: &str) -> AgentSummary {
    let entry = config.agents.get(id);
    let identity = entry.and_then(|entry| entry.identity.as_ref());
    AgentSummary {
        id: id.to_owned(),
        name: entry.and_then(|entry| entry.name.clone()),
        identity: identity.map(|identity| AgentIdentity {
            name: identity.name.clone(),
            theme: identity.theme.clone(),
            emoji: identity.emoji.clone(),
            avatar: identity.avatar.clone(),
            avatar_url: identity.avatar.clone().filter(|avatar| is_url(avatar)),
        }),
    }
}

/// `agent.identity.get`
pub async fn identity(call: Call) -> Outcome {
    let params: AgentIdentityParams = call.params()?;
    let config = call.parts.config.current();
    let agent_id = agent_of(&call, &config, params.agent_id, params.session_key)?;
    let identity = config
        .agents
        .get(&agent_id)
        .and_then(|entry| entry.identity.as_ref());
    let name = identity.and_then(|identity| identity.name.clone());
    let emoji = identity.and_then(|identity| identity.emoji.clone());
    // A picture in a local file has no address here; the emoji stands for it.
    let avatar = identity.and_then(|identity| identity.avatar.clone());
    let avatar = avatar.filter(|avatar| is_url(avatar) || !avatar.contains(['/', '.']));
    Reply::of(&AgentIdentityResult {
        agent_id,
        name: name.unwrap_or_else(|| NAME_DEFAULT.to_owned()),
        avatar: avatar
            .or(emoji.clone())
            .unwrap_or_else(|| AVATAR_DEFAULT.to_owned()),
        emoji,
    })
}

/// The agent that is meant by an id, a session, both or none.
fn agent_of(
    call: &Call,
    config: &Config,
    agent_id: Option<String>,
    session_key: Option<String>,
) -> Result<String, crate::error::GatewayError> {
    let named = agent_id.map(|id| id.trim().to_lowercase());
    let key = session_key.filter(|key| !key.trim().is_empty());
    let Some(key) = key else {
        return Ok(named.unwrap_or_else(|| config.agents.default_id().to_owned()));
    };
    let key = SessionKey::resolve(&key, config).map_err(|e| call.invalid(&e.to_string()))?;
    let of_key = key
        .agent_id()
        .unwrap_or(config.agents.default_id())
        .to_owned();
    match named {
        Some(named) if named != of_key => Err(call.invalid(&format!(
            "agent \"{named}\" does not match session key agent \"{of_key}\""
        ))),
        _ => Ok(of_key),
    }
}

fn is_url(text: &str) -> bool {
    ["http://", "https://", "data:"]
        .iter()
        .any(|scheme| text.starts_with(scheme))
}

/// `models.list`: what the configuration offers; the embedded echo model where it answers.
pub async fn models(call: Call) -> Outcome {
    let config = call.parts.config.current();
    let mut models: Vec<Model> = Vec::new();
    for (provider, settings) in &config.models.providers {
        let allowed = settings.models.iter().filter(|entry| {
            let name = ModelName {
                provider: provider.clone(),
                model: entry.id.clone(),
            };
            !model::is_forbidden(&config, &name)
        });
        models.extend(allowed.map(|entry| shown(provider, entry)));
    }
    let default = model::default_of(&config, config.agents.default_id());
    if model::is_embedded(&config, &default) {
        let input = Some(vec!["text".to_owned()]);
        let entry = ModelEntry {
            id: default.model,
            input,
            ..ModelEntry::default()
        };
        models.push(shown(&default.provider, &entry));
    }
    Reply::of(&ModelsList { models })
}

fn shown(provider: &str, entry: &ModelEntry) -> Model {
    Model {
        id: entry.id.clone(),
        name: entry.name.clone().unwrap_or_else(|| entry.id.clone()),
        provider: provider.to_owned(),
        context_window: entry.context_window,
        reasoning: entry.reasoning,
        input: entry.input.clone(),
    }
}
