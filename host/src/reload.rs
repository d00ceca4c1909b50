//! Another shared secret without a restart: SIGHUP reads the configuration again.
//!
//! Called by `gateway`. Only the token and the password of `gateway.auth` are taken; whoever came
//! with the old one is sent away, devices with a token of their own stay. A configuration that
//! can't be read changes nothing.

use crate::config::{AuthMode, ConfigHandle, LoadOptions, load};
use crate::hub::{Hub, SECRET_CHANGED};

/// Puts the secrets in force that the configuration has now.
pub fn secrets(options: &LoadOptions, config: &ConfigHandle, hub: &Hub) {
    let read = match load(options) {
        Ok(loaded) => loaded.config.gateway.auth,
        Err(error) => {
            tracing::error!(%error, "the configuration can't be read again: nothing changed");
            return;
        }
    };
    let current = config.current();
    let old = &current.gateway.auth;
    if read.mode != old.mode {
        tracing::warn!("gateway.auth.mode has changed: that takes a restart, nothing changed");
        return;
    }
    let (was, is) = match old.mode {
        Some(AuthMode::Token) | None => (&old.token, &read.token),
        Some(AuthMode::Password) => (&old.password, &read.password),
        Some(AuthMode::None | AuthMode::TrustedProxy) => {
            tracing::info!("configuration read again: this auth mode has no secret");
            return;
        }
    };
    if is.is_none() {
        tracing::error!("gateway.auth has no secret any more: the old one stays in force");
        return;
    }
    if was == is {
        tracing::info!("configuration read again: the same secret");
        return;
    }
    let generation = config.replace_secrets(read.token, read.password);
    hub.close_device(SECRET_CHANGED, |caller| {
        caller.came_with_older_secret(generation)
    });
    tracing::info!("another shared secret is in force; who used the old one is sent away");
}
