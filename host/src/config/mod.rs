//! The configuration in force: where it lies, what it says, how it is read.
//!
//! `openclaw.json` (JSON5) keeps the reference's place, keys and environment variables, so that
//! its clients on the same host find this gateway without a setting. [`load`] reads it once at
//! start; everybody else holds a [`ConfigHandle`]. Keys that this gateway doesn't use are left
//! alone and named once in the log.

mod edit;
mod gateway;
pub mod env;
mod load;
mod paths;
mod reference;
mod secret;
mod startable;
mod types;

use std::sync::{Arc, PoisonError, RwLock};

pub use gateway::{
    AuthConfig, AuthMode, Bind, ControlUiConfig, GatewayConfig, RateLimitConfig, TailscaleConfig,
    TailscaleMode, TlsConfig, TrustedProxyConfig, parse_network,
};
pub use load::{
    ConfigError, LoadOptions, Loaded, load, load_gateway, load_log_file, save_generated_token,
};
pub use paths::Paths;
pub use secret::Secret;
pub use startable::check_startable;
pub use types::*;

/// Access to the configuration in force. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ConfigHandle {
    current: Arc<RwLock<Arc<Config>>>,
}

impl ConfigHandle {
    /// A handle on `config`.
    pub fn new(config: Config) -> Self {
        ConfigHandle {
            current: Arc::new(RwLock::new(Arc::new(config))),
        }
    }

    /// The configuration as it is now. Hold it for one piece of work, not for ever.
    pub fn current(&self) -> Arc<Config> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts other shared secrets in force, and nothing else. The number of the new generation.
    pub fn replace_secrets(&self, token: Option<Secret>, password: Option<Secret>) -> u64 {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Config::clone(&current);
        let auth = &mut next.gateway.auth;
        (auth.token, auth.password) = (token, password);
        auth.generation += 1;
        let generation = auth.generation;
        *current = Arc::new(next);
        generation
    }
}
