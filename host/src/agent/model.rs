//! Which model answers, and the runner that reaches it.
//!
//! Called by the run and by the methods that name models. Promises that a machine without any
//! configured model answers by the embedded echo runner, and that a wrong setting is told with
//! the key to change.

use std::path::PathBuf;
use std::sync::OnceLock;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::runner::{Runner, RunnerError};
use super::runners::acp::{self, Acp, Permission};
use super::runners::anthropic::{self, Anthropic};
use super::runners::cli::Cli;
use super::runners::cli::backend;
use super::runners::echo;
use super::runners::openai_compat::{self, OpenAiCompat};
use super::thinking::Thinking;
use crate::config::{Config, ModelEntry, ModelProvider};
use crate::limits;
use crate::sessions::SettingsRow;
use crate::shutdown::Tasks;
use crate::skills;

/// A model by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelName {
    /// Key of `models.providers`, or `echo`.
    pub provider: String,
    /// Id as the provider knows it.
    pub model: String,
}

impl std::fmt::Display for ModelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

impl ModelName {
    fn new(provider: &str, model: &str) -> ModelName {
        ModelName {
            provider: provider.to_owned(),
            model: model.to_owned(),
        }
    }

    /// The configured entry of this model, if there is one.
    pub fn entry<'a>(&self, config: &'a Config) -> Option<&'a ModelEntry> {
        let provider = config.models.providers.get(&self.provider)?;
        provider.models.iter().find(|entry| entry.id == self.model)
    }

    /// Its context window, when the configuration tells.
    pub fn context_window(&self, config: &Config) -> Option<u64> {
        self.entry(config)?.context_window
    }

    /// True when the configuration says that it takes pictures.
    pub fn sees_images(&self, config: &Config) -> bool {
        let input = self.entry(config).and_then(|entry| entry.input.as_ref());
        input.is_some_and(|kinds| kinds.iter().any(|kind| kind == "image"))
    }
}

impl ModelName {
    /// True when the configuration says that it thinks before it speaks.
    pub fn thinks(&self, config: &Config) -> bool {
        self.entry(config).and_then(|entry| entry.reasoning) == Some(true)
    }
}

/// How long to think: as this run asks, else the session, else `agents.defaults.thinkingDefault`.
/// A word in the configuration that is no level counts as `off`.
pub fn thinking(config: &Config, settings: &SettingsRow, asked: Option<Thinking>) -> Thinking {
    let own = settings.words.get("thinkingLevel").map(String::as_str);
    let usual = config.agents.defaults.thinking_default.as_deref();
    let level = |word: Option<&str>| word.and_then(|word| word.parse().ok());
    asked.or(level(own)).or(level(usual)).unwrap_or_default()
}

/// The models to try in order: the one asked for, or the session's own, or the agent's with its
/// fallbacks.
pub fn candidates_for(
    config: &Config,
    settings: &SettingsRow,
    agent: &str,
    asked: Option<&str>,
) -> Vec<ModelName> {
    let mut names = candidates(config, settings, agent);
    if let Some(asked) = asked.map(|text| named(config, text)) {
        names.retain(|name| *name != asked);
        names.insert(0, asked);
    }
    names
}

/// The models to try in order: the session's own, or the agent's with its fallbacks.
pub fn candidates(config: &Config, settings: &SettingsRow, agent: &str) -> Vec<ModelName> {
    let entry = config.agents.get(agent);
    let program = entry.and_then(|entry| entry.runtime.as_ref()?.program());
    let program = program.map(|id| ModelName::new(id, acp::DEFAULT_MODEL));
    let agent = entry.and_then(|entry| entry.model.as_ref());
    let chosen = agent.or(config.agents.defaults.model.as_ref());
    let mut names: Vec<ModelName> = match chosen {
        _ if program.is_some() => program.into_iter().collect(),
        Some(chosen) => chosen
            .candidates()
            .iter()
            .map(|text| named(config, text))
            .collect(),
        None => vec![ModelName::new(echo::PROVIDER, echo::MODEL)],
    };
    if let Some(model) = &settings.model_override {
        let default = names
            .first()
            .map_or(echo::PROVIDER, |name| name.provider.as_str());
        let provider = settings.provider_override.as_deref().unwrap_or(default);
        let own = ModelName::new(provider, model);
        names.retain(|name| *name != own);
        names.insert(0, own);
    }
    names
}

/// The model an agent uses when its session has none of its own.
pub fn default_of(config: &Config, agent: &str) -> ModelName {
    let mut names = candidates(config, &SettingsRow::default(), agent);
    names.swap_remove(0)
}

/// Reads `provider/model`, an alias of `agents.defaults.models`, or a bare model id.
pub fn named(config: &Config, text: &str) -> ModelName {
    let text = text.trim();
    if let Some(full) = alias(config, text).filter(|full| *full != text) {
        return named(config, full);
    }
    let providers = &config.models.providers;
    let known = |provider: &str| {
        let embedded = provider == echo::PROVIDER;
        let program =
            || backend::exists(config, provider) || acp::backend::exists(config, provider);
        embedded || providers.contains_key(provider) || program()
    };
    if let Some((provider, model)) = text.split_once('/').filter(|(name, _)| known(name)) {
        return ModelName::new(provider, model);
    }
    let lists = |provider: &ModelProvider| provider.models.iter().any(|entry| entry.id == text);
    if let Some((provider, _)) = providers.iter().find(|(_, provider)| lists(provider)) {
        return ModelName::new(provider, text);
    }
    match text.split_once('/') {
        Some((provider, model)) => ModelName::new(provider, model),
        None if providers.len() == 1 => {
            ModelName::new(providers.keys().next().map_or("", String::as_str), text)
        }
        None => ModelName::new(echo::PROVIDER, text),
    }
}

/// True for a model of the embedded echo runner.
pub fn is_embedded(config: &Config, name: &ModelName) -> bool {
    name.provider == echo::PROVIDER && !config.models.providers.contains_key(echo::PROVIDER)
}

/// True when `agents.defaults.models` lists models and this one is not among them.
pub fn is_forbidden(config: &Config, name: &ModelName) -> bool {
    let full = name.to_string();
    allowlist(config).is_some_and(|list| !list.iter().any(|(key, _)| **key == full))
}

/// The models of `agents.defaults.models` with their settings; none when the key is absent.
fn allowlist(config: &Config) -> Option<Vec<(&String, &Value)>> {
    let list = config.agents.defaults.other.get("models")?.as_object()?;
    (!list.is_empty()).then(|| list.iter().collect())
}

fn alias<'a>(config: &'a Config, text: &str) -> Option<&'a str> {
    let list = allowlist(config)?;
    let same = |settings: &Value| {
        let alias = settings.get("alias").and_then(Value::as_str);
        alias.is_some_and(|alias| alias.eq_ignore_ascii_case(text))
    };
    list.into_iter()
        .find(|(_, settings)| same(settings))
        .map(|(full, _)| full.as_str())
}

/// Where a runner works.
#[derive(Clone, Debug)]
pub struct Place {
    /// The agent's folder.
    pub folder: PathBuf,
    /// What a conversation that begins now may be called.
    pub fresh_id: String,
    /// Where what goes on after the answer belongs.
    pub tasks: Tasks,
    /// Whom a program may ask before it does something.
    pub permission: Permission,
    /// The agent, whose skills give programs their variables.
    pub agent: String,
}

/// The runner that reaches a model.
///
/// # Errors
/// [`RunnerError`] that names the wrong setting.
pub fn runner(
    config: &Config,
    name: &ModelName,
    place: Place,
) -> Result<Box<dyn Runner>, RunnerError> {
    let Some(provider) = config.models.providers.get(&name.provider) else {
        if is_embedded(config, name) {
            return Ok(Box::new(echo::Echo));
        }
        let id = &name.provider;
        if let Some(mut backend) = backend::find(config, id)? {
            let Place {
                folder,
                fresh_id,
                agent,
                ..
            } = place;
            for (name, value) in skills::variables(config, &agent) {
                backend.env.entry(name).or_insert(value);
            }
            return Ok(Box::new(Cli::new(
                id,
                backend,
                &name.model,
                folder,
                fresh_id,
            )));
        }
        if let Some(backend) = acp::backend::find(config, id)? {
            return Ok(Box::new(Acp::new(id, backend, &name.model, place)));
        }
        return Err(RunnerError::new(format!(
            "unknown model provider \"{0}\": add models.providers.{0} to openclaw.json",
            name.provider
        )));
    };
    let headers = headers(&name.provider, provider)?;
    let key = provider.api_key.as_ref().map(|key| key.expose());
    let base_url = &provider.base_url;
    match provider.api.as_deref().unwrap_or(openai_compat::API) {
        openai_compat::API => {
            let model = &name.model;
            let runner = OpenAiCompat::new(http_client()?, base_url, model, key, headers)?;
            Ok(Box::new(runner))
        }
        anthropic::API => {
            let max_tokens = name.entry(config).and_then(|entry| entry.max_tokens);
            let model = (name.model.as_str(), max_tokens);
            let key = (key, provider.auth_header);
            let runner = Anthropic::new(http_client()?, base_url, model, key, headers)?;
            Ok(Box::new(runner))
        }
        api => Err(RunnerError::new(format!(
            "models.providers.{}.api \"{api}\" is not supported: use {} or {}",
            name.provider,
            openai_compat::API,
            anthropic::API
        ))),
    }
}

fn headers(id: &str, provider: &ModelProvider) -> Result<HeaderMap, RunnerError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &provider.headers {
        let wrong = |_| RunnerError::new(format!("models.providers.{id}.headers: bad {name}"));
        let wrong_name = |_| RunnerError::new(format!("models.providers.{id}.headers: bad {name}"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(wrong_name)?;
        let mut value = HeaderValue::from_str(value.expose()).map_err(wrong)?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// The HTTP client of all runs, made when the first one needs it: it costs memory and time.
fn http_client() -> Result<reqwest::Client, RunnerError> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client.clone());
    }
    // Another part may have been first; any provider will do.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .connect_timeout(limits::MODEL_CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| RunnerError::new("the HTTP client can't be made").caused_by(e))?;
    Ok(CLIENT.get_or_init(|| client).clone())
}
