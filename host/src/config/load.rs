//! Reads `openclaw.json` once: JSON5, `${NAME}` references, secrets, then the typed sections.
//!
//! Called by `gateway` at start and by the command line to find the gateway. Promises: an error
//! names the file, the key and the fix; a key that isn't used here is no error.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::reference::Resolver;
use super::types::{ChannelDefaults, Config, LoggingConfig};
use super::{AuthConfig, AuthMode, Bind, GatewayConfig};
use super::{Document, Dotenv, Paths, Secret, edit, env};
use crate::clock::Clock;
use crate::files::write_private;

/// Why there is no configuration. The process ends with code 78.
#[derive(Debug)]
pub enum ConfigError {
    /// The file is there but can't be read.
    Unreadable(PathBuf, std::io::Error),
    /// A file can't be written.
    Unwritable(PathBuf, std::io::Error),
    /// The text isn't JSON5; the text of the reason names line and column.
    Syntax(PathBuf, String),
    /// A value isn't what its key needs.
    Invalid {
        /// The file.
        path: PathBuf,
        /// Dotted path of the key.
        key: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, e) => write!(f, "can't read {}: {e}", path.display()),
            Self::Unwritable(path, e) => write!(f, "can't write {}: {e}", path.display()),
            Self::Syntax(path, e) => write!(f, "{} is not valid JSON5: {e}", path.display()),
            Self::Invalid { path, key, problem } => {
                write!(f, "{}: {key}: {problem}", path.display())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// What the command line may override.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Configuration file.
    pub config: Option<PathBuf>,
    /// State folder.
    pub state_dir: Option<PathBuf>,
    /// Plugins file.
    pub plugins: Option<PathBuf>,
    /// Port.
    pub port: Option<u16>,
    /// Bind mode.
    pub bind: Option<String>,
    /// Auth mode.
    pub auth: Option<String>,
    /// Shared token; implies mode token.
    pub token: Option<String>,
    /// Shared password; implies mode password.
    pub password: Option<String>,
}

/// The configuration and what its owner should hear about it.
pub struct Loaded {
    /// What is in force.
    pub config: Config,
    /// The file it came from.
    pub document: Document,
    /// The tree with everything included, substituted and resolved. Holds secrets.
    pub resolved: Map<String, Value>,
    /// Keys that this gateway doesn't use, dotted.
    pub unused_keys: Vec<String>,
    /// Secret references below `channels` that couldn't be resolved; those accounts won't start.
    pub unresolved: Vec<String>,
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("document", &self.document)
            .finish_non_exhaustive()
    }
}

impl LoadOptions {
    /// Where things lie.
    ///
    /// # Errors
    /// When nothing says where.
    pub fn paths(&self) -> Result<Paths, ConfigError> {
        Paths::resolve(
            self.config.as_deref(),
            self.state_dir.as_deref(),
            self.plugins.as_deref(),
        )
        .map_err(|e| ConfigError::Unreadable(PathBuf::from("openclaw.json"), e))
    }
}

/// Reads the configuration. A missing file is an empty one.
///
/// # Errors
/// [`ConfigError`], always naming the file.
pub fn load(options: &LoadOptions) -> Result<Loaded, ConfigError> {
    let paths = options.paths()?;
    let document = Document::read(&paths.config_file)?;
    load_document(options, document)
}

/// What the configuration would be with this document in the file's place.
///
/// # Errors
/// [`ConfigError`], always naming the file.
pub fn load_document(options: &LoadOptions, document: Document) -> Result<Loaded, ConfigError> {
    let paths = options.paths()?;
    let dotenv = Dotenv::read(&paths)?;
    let mut root = document.tree.clone();
    let mut resolver = Resolver::new(&paths.config_file, &root, dotenv.clone());
    for (key, value) in &mut root {
        resolver.resolve(value, key)?;
    }
    let unresolved = resolver.unresolved;
    let (mut config, unused_keys) = sections(root.clone(), &paths)?;
    apply_overrides(&mut config.gateway, options, &paths.config_file, &dotenv)?;
    config.hash = document.hash();
    config.dotenv = dotenv;
    Ok(Loaded {
        config,
        document,
        resolved: root,
        unused_keys,
        unresolved,
    })
}

/// The `gateway` section alone, for a client on this machine. References elsewhere in the file
/// stay unread, and a secret of `gateway.auth` that only the daemon can read is none, so that a
/// shell without the daemon's variables and files still finds the daemon.
///
/// # Errors
/// [`ConfigError`], always naming the file.
pub fn load_gateway(options: &LoadOptions, paths: &Paths) -> Result<GatewayConfig, ConfigError> {
    let file = &paths.config_file;
    let mut root = Document::read(file)?.tree;
    let dotenv = Dotenv::read(paths)?;
    let mut resolver = Resolver::new(file, &root, dotenv.clone()).for_a_client();
    let mut section = root
        .remove("gateway")
        .unwrap_or_else(|| Value::Object(Map::new()));
    resolver.resolve(&mut section, "gateway")?;
    let mut gateway = typed(file, "gateway", section)?;
    apply_overrides(&mut gateway, options, file, &dotenv)?;
    Ok(gateway)
}

/// Where the gateway of this machine logs, for a client beside it.
///
/// # Errors
/// [`ConfigError`], always naming the file.
pub fn load_log_file(paths: &Paths) -> Result<PathBuf, ConfigError> {
    let root = Document::read(&paths.config_file)?.tree;
    let named = root.get("logging").and_then(|logging| logging.get("file"));
    let named = named.and_then(Value::as_str).map(PathBuf::from);
    Ok(named.unwrap_or_else(|| paths.log_file()))
}

fn sections(
    mut root: Map<String, Value>,
    paths: &Paths,
) -> Result<(Config, Vec<String>), ConfigError> {
    let mut take = |key: &str| {
        root.remove(key)
            .unwrap_or_else(|| Value::Object(Map::new()))
    };
    let file = &paths.config_file;
    let mut channels = match take("channels") {
        Value::Object(map) => map,
        other => {
            return Err(invalid(
                file,
                "channels",
                format!("expected an object, found {}", kind(&other)),
            ));
        }
    };
    let defaults = channels
        .remove("defaults")
        .unwrap_or_else(|| Value::Object(Map::new()));
    let mut config = Config {
        gateway: typed(file, "gateway", take("gateway"))?,
        session: typed(file, "session", take("session"))?,
        agents: typed(file, "agents", take("agents"))?,
        models: typed(file, "models", take("models"))?,
        messages: typed(file, "messages", take("messages"))?,
        tools: typed(file, "tools", take("tools"))?,
        cron: typed(file, "cron", take("cron"))?,
        hooks: typed(file, "hooks", take("hooks"))?,
        skills: typed(file, "skills", take("skills"))?,
        talk: typed(file, "talk", take("talk"))?,
        ui: typed(file, "ui", take("ui"))?,
        logging: typed::<LoggingConfig>(file, "logging", take("logging"))?,
        channel_defaults: typed::<ChannelDefaults>(file, "channels.defaults", defaults)?,
        ..Config::empty(paths.clone())
    };
    let mut unused: Vec<String> = root
        .keys()
        .filter(|k| !matches!(k.as_str(), "meta" | "$schema" | "plugins" | "secrets"))
        .cloned()
        .collect();
    if channels.remove("modelByChannel").is_some() {
        unused.push("channels.modelByChannel".into());
    }
    config.channels = channels.into_iter().collect();
    for agent in &mut config.agents.list {
        agent.id = agent.id.to_lowercase();
    }
    collect_unused(&config, &mut unused);
    unused.sort_unstable();
    Ok((config, unused))
}

fn collect_unused(config: &Config, unused: &mut Vec<String>) {
    let mut add = |prefix: &str, other: &Map<String, Value>| {
        // `gateway.remote` is read by clients on purpose.
        let known = |k: &str| prefix == "gateway" && k == "remote";
        unused.extend(
            other
                .keys()
                .filter(|k| !known(k))
                .map(|k| format!("{prefix}.{k}")),
        );
    };
    add("gateway", &config.gateway.other);
    add("gateway.auth", &config.gateway.auth.other);
    add("gateway.tls", &config.gateway.tls.other);
    add("gateway.tailscale", &config.gateway.tailscale.other);
    add("gateway.reload", &config.gateway.reload.other);
    if let Some(proxy) = &config.gateway.auth.trusted_proxy {
        add("gateway.auth.trustedProxy", &proxy.other);
    }
    add("gateway.controlUi", &config.gateway.control_ui.other);
    collect_unused_http(&config.gateway, &mut add);
    add("session", &config.session.other);
    add("session.sendPolicy", &config.session.send_policy.other);
    add("agents", &config.agents.other);
    add("agents.defaults", &config.agents.defaults.other);
    add(
        "agents.defaults.heartbeat",
        &config.agents.defaults.heartbeat.other,
    );
    for agent in &config.agents.list {
        add(&format!("agents.list[{}]", agent.id), &agent.other);
    }
    add("models", &config.models.other);
    for (id, provider) in &config.models.providers {
        add(&format!("models.providers.{id}"), &provider.other);
    }
    add("messages", &config.messages.other);
    add("tools", &config.tools.other);
    add("messages.groupChat", &config.messages.group_chat.other);
    add("cron", &config.cron.other);
    add("cron.retry", &config.cron.retry.other);
    add("cron.failureAlert", &config.cron.failure_alert.other);
    add("hooks", &config.hooks.other);
    for (n, mapping) in config.hooks.mappings.iter().enumerate() {
        add(&format!("hooks.mappings[{n}]"), &mapping.other);
    }
    add("logging", &config.logging.other);
    add("skills", &config.skills.other);
    add("skills.load", &config.skills.load.other);
    add("channels.defaults", &config.channel_defaults.other);
}

fn collect_unused_http(gateway: &GatewayConfig, add: &mut impl FnMut(&str, &Map<String, Value>)) {
    let endpoints = &gateway.http.endpoints;
    add("gateway.http", &gateway.http.other);
    add("gateway.http.endpoints", &endpoints.other);
    for (name, endpoint) in [
        ("chatCompletions", &endpoints.chat_completions),
        ("responses", &endpoints.responses),
    ] {
        let place = format!("gateway.http.endpoints.{name}");
        add(&place, &endpoint.other);
        add(&format!("{place}.files"), &endpoint.files.other);
    }
    add(
        "gateway.http.securityHeaders",
        &gateway.http.security_headers.other,
    );
    add("gateway.tools", &gateway.tools.other);
    add("gateway.mcp", &gateway.mcp.other);
}

fn typed<T: DeserializeOwned>(file: &Path, section: &str, value: Value) -> Result<T, ConfigError> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let inner = e.path().to_string();
        let key = if inner == "." {
            section.to_owned()
        } else {
            format!("{section}.{inner}")
        };
        invalid(file, &key, e.into_inner().to_string())
    })
}

pub(super) fn invalid(path: &Path, key: &str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Invalid {
        path: path.to_path_buf(),
        key: key.to_owned(),
        problem: problem.into(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn apply_overrides(
    gateway: &mut GatewayConfig,
    options: &LoadOptions,
    file: &Path,
    dotenv: &Dotenv,
) -> Result<(), ConfigError> {
    if let Some(mode) = gateway
        .mode
        .as_deref()
        .filter(|m| !matches!(*m, "local" | "remote"))
    {
        return Err(invalid(
            file,
            "gateway.mode",
            format!("unknown mode {mode}: use local"),
        ));
    }
    if let Some(text) = dotenv.var(env::PORT) {
        let port = text.trim().parse().map_err(|_| {
            invalid(
                Path::new("environment"),
                env::PORT,
                format!("{text} is not a port: use 1 to 65535"),
            )
        })?;
        gateway.port = Some(port);
    }
    gateway.port = options.port.or(gateway.port);
    if let Some(text) = &options.bind {
        gateway.bind = text
            .parse::<Bind>()
            .map_err(|e| invalid(Path::new("command line"), "--bind", e))?;
    }
    resolve_auth(&mut gateway.auth, options, file, dotenv)
}

/// Flags, then the file, then the environment; then the mode by what is there.
fn resolve_auth(
    auth: &mut AuthConfig,
    options: &LoadOptions,
    file: &Path,
    dotenv: &Dotenv,
) -> Result<(), ConfigError> {
    let blank_is_absent = |s: Option<Secret>| s.filter(|s| !s.expose().trim().is_empty());
    auth.token = blank_is_absent(auth.token.take());
    auth.password = blank_is_absent(auth.password.take());
    if options.token.is_some() && options.password.is_some() {
        let fix = "name one of --token and --password, not both";
        return Err(invalid(Path::new("command line"), "--token", fix));
    }
    if let Some(text) = &options.auth {
        let mode = text.parse();
        auth.mode = Some(mode.map_err(|e| invalid(Path::new("command line"), "--auth", e))?);
    } else if options.token.is_some() {
        auth.mode = Some(AuthMode::Token);
    } else if options.password.is_some() {
        auth.mode = Some(AuthMode::Password);
    }
    if auth.mode.is_none() && auth.token.is_some() && auth.password.is_some() {
        let fix =
            "both a token and a password are configured: choose one with \"token\" or \"password\"";
        return Err(invalid(file, "gateway.auth.mode", fix));
    }
    let chosen = |flag: &Option<String>, own: Option<Secret>, variable: &str| {
        let flag = flag.as_deref().map(Secret::new);
        flag.or(own)
            .or_else(|| dotenv.var(variable).map(Secret::new))
    };
    auth.token = chosen(&options.token, auth.token.take(), env::TOKEN);
    auth.password = chosen(&options.password, auth.password.take(), env::PASSWORD);
    let by_presence = match auth.password {
        Some(_) => AuthMode::Password,
        None => AuthMode::Token,
    };
    auth.mode = Some(auth.mode.unwrap_or(by_presence));
    Ok(())
}

/// Makes a token for a gateway that has none, and writes it where clients look for it. The text
/// of an existing file stays as it is but for the new key.
///
/// # Errors
/// [`ConfigError`] when the file can't be written or has no place for the key.
pub fn save_generated_token(file: &Path, clock: &Clock) -> Result<(), ConfigError> {
    let token = crate::spell::hex(&clock.random::<24>());
    let document = Document::read(file)?;
    let mut tree = document.own.clone();
    if document.text.is_none() {
        let local = serde_json::json!({ "mode": "local", "auth": { "mode": "token" } });
        tree.insert("gateway".into(), local);
    }
    let mut place = &mut tree;
    for key in ["gateway", "auth"] {
        let section = place
            .entry(key)
            .or_insert_with(|| Value::Object(Map::new()));
        place = section.as_object_mut().ok_or_else(|| {
            let why = format!("{key} is not an object of this file");
            invalid(file, "gateway.auth.token", why)
        })?;
    }
    place.insert("token".into(), Value::from(token.as_str()));
    let text = edit::rewrite(document.text.as_deref(), &document.own, &tree);
    write_private(file, text.as_bytes()).map_err(|e| ConfigError::Unwritable(file.to_path_buf(), e))
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
