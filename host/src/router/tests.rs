//! The router over a real store, agent and channels; nothing answers but the embedded echo.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use crate::config::{Config, Paths};

/// A configuration of defaults in a folder.
pub(super) fn config(dir: &Path) -> Config {
    Config {
        paths: Paths {
            config_file: dir.join("openclaw.json"),
            state_dir: dir.to_path_buf(),
            plugins_file: dir.join("plugins.toml"),
        },
        gateway: Default::default(),
        session: Default::default(),
        agents: Default::default(),
        models: Default::default(),
        messages: Default::default(),
        logging: Default::default(),
        channels: Default::default(),
        channel_defaults: Default::default(),
    }
}
