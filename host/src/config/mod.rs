//! The configuration in force: where it lies, what it says, how it is read.
//!
//! `openclaw.json` (JSON5) keeps the reference's place, keys and environment variables, so that
//! its clients on the same host find this gateway without a setting. [`load`] reads it;
//! everybody else holds a [`ConfigHandle`], in which the reload task alone (`reload`) puts another
//! one. Keys that this gateway doesn't use are left alone and named in the log.

mod agent_runtime;
mod document;
mod dotenv;
mod cron;
mod edit;
mod gateway;
mod heartbeat;
mod hooks;
mod http;
pub mod env;
mod load;
mod paths;
mod merge;
mod messages;
mod redact;
mod reference;
mod schema;
mod secret;
mod send_policy;
mod skills;
mod startable;
mod text;
mod types;

use std::sync::Arc;

use tokio::sync::watch;

pub use agent_runtime::{AgentAcp, AgentRuntime};
pub use cron::{CronAlertConfig, CronConfig, CronPlaceConfig, CronRetryConfig};
pub use document::{Document, parse_object};
pub use dotenv::Dotenv;
pub use edit::rewrite;
pub use gateway::{
    AuthConfig, AuthMode, Bind, ControlUiConfig, GatewayConfig, NodesConfig, RateLimitConfig,
    TailscaleConfig, TailscaleMode, TlsConfig, TrustedProxyConfig, WatchConfig, WatchMode,
    parse_network,
};
pub use heartbeat::{ActiveHours, HeartbeatConfig};
pub use hooks::{HookAction, HookMapping, HookMatch, HookWakeMode, HooksConfig};
pub use http::{
    EndpointConfig, EndpointsConfig, FilesConfig, Hsts, HttpConfig, McpConfig,
    SecurityHeadersConfig, ToolDoorConfig,
};
pub use load::{
    ConfigError, LoadOptions, Loaded, load, load_document, load_gateway, load_log_file,
    save_generated_token,
};
pub use merge::merge_patch;
pub use messages::*;
pub use paths::{Paths, from_home};
pub use redact::{Redaction, restore};
pub use schema::{ChannelSchema, FileSchema};
pub use secret::Secret;
pub use send_policy::{SendAction, SendMatch, SendPolicyConfig, SendRule};
pub use skills::{SkillEntry, SkillsConfig, SkillsLoadConfig};
pub use startable::check_startable;
pub use types::*;

/// Access to the configuration in force. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConfigHandle {
    standing: Arc<watch::Sender<Standing>>,
}

/// How the configuration stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// What is in force.
    pub config: Arc<Config>,
    /// Why the file as it is now is not in force; `None` when it is.
    pub problem: Option<Arc<str>>,
}

impl ConfigHandle {
    /// A handle on `config`.
    pub fn new(config: Config) -> Self {
        let (standing, _) = watch::channel(Standing {
            config: Arc::new(config),
            problem: None,
        });
        ConfigHandle {
            standing: Arc::new(standing),
        }
    }

    /// The configuration as it is now. Hold it for one piece of work, not for ever.
    pub fn current(&self) -> Arc<Config> {
        self.standing.borrow().config.clone()
    }

    /// The same, with what is wrong with the file.
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Changes whenever another configuration is in force, or the file can't be put in force.
    pub fn changes(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Puts `next` in force. Another shared secret begins a new generation of secrets. For the
    /// reload task alone.
    pub fn replace(&self, mut next: Config) -> Arc<Config> {
        let old = self.current();
        let (was, is) = (&old.gateway.auth, &mut next.gateway.auth);
        let same = was.token == is.token && was.password == is.password;
        is.generation = was.generation + u64::from(!same);
        let next = Arc::new(next);
        self.standing.send_replace(Standing {
            config: next.clone(),
            problem: None,
        });
        next
    }

    /// Notes why the file is not in force. For the reload task alone.
    pub fn note_problem(&self, problem: &str) {
        let problem = Some(problem.into());
        self.standing
            .send_modify(|standing| standing.problem = problem);
    }
}
