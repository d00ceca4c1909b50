//! Where things lie.

use std::io;
use std::path::{Path, PathBuf};

use super::{Config, env};

/// The files and folders of one gateway, all absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// `openclaw.json`.
    pub config_file: PathBuf,
    /// The state folder, 0700.
    pub state_dir: PathBuf,
    /// `plugins.toml`: the libraries that may be loaded.
    pub plugins_file: PathBuf,
}

impl Paths {
    /// Each from the caller's flag, else the environment, else its place in the state folder.
    ///
    /// # Errors
    /// When there is neither a flag, a variable nor a home folder, or the working folder is gone.
    pub fn resolve(
        config: Option<&Path>,
        state_dir: Option<&Path>,
        plugins: Option<&Path>,
    ) -> io::Result<Paths> {
        let pick = |flag: Option<&Path>, name: &str| {
            flag.map(Path::to_path_buf)
                .or_else(|| env::var(name).map(PathBuf::from))
        };
        let state_dir = match pick(state_dir, env::STATE_DIR) {
            Some(dir) => dir,
            None => env::home().map(|h| h.join(".openclaw")).ok_or_else(|| {
                let text = format!(
                    "no home folder: name one with --state-dir or {}",
                    env::STATE_DIR
                );
                io::Error::new(io::ErrorKind::NotFound, text)
            })?,
        };
        let state_dir = std::path::absolute(state_dir)?;
        let below = |picked: Option<PathBuf>, name: &str| {
            picked.map_or_else(|| Ok(state_dir.join(name)), std::path::absolute)
        };
        Ok(Paths {
            config_file: below(pick(config, env::CONFIG_PATH), "openclaw.json")?,
            plugins_file: below(pick(plugins, env::PLUGINS_PATH), "plugins.toml")?,
            state_dir,
        })
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.state_dir.join("gateway.redb")
    }

    /// The log of this state folder.
    pub fn log_file(&self) -> PathBuf {
        self.state_dir.join("logs").join("gateway.log")
    }

    /// The socket for the user whom this gateway runs as.
    pub fn local_socket(&self) -> PathBuf {
        self.state_dir.join("gateway.sock")
    }

    /// Who may run what on this machine.
    pub fn exec_approvals(&self) -> PathBuf {
        self.state_dir.join("exec-approvals.json")
    }

    /// Where a companion program on this machine would be asked; named in the file, never opened.
    pub fn exec_approvals_socket(&self) -> PathBuf {
        self.state_dir.join("exec-approvals.sock")
    }

    /// The gateway's own device key, in the file form that clients use for theirs.
    pub fn gateway_identity(&self) -> PathBuf {
        self.state_dir.join("gateway").join("device.json")
    }

    /// The key from which device tokens are derived.
    pub fn token_key(&self) -> PathBuf {
        self.state_dir.join("gateway").join("token.key")
    }

    /// Read-only copies of the plugin libraries, named by digest.
    pub fn plugin_store(&self) -> PathBuf {
        self.state_dir.join("plugins").join("store")
    }
}

impl Config {
    /// The folder of an agent: its own, or one in the state folder. `~/` stands for the person's
    /// home. It may not be there yet.
    pub fn workspace(&self, agent: &str) -> PathBuf {
        let own = self.agents.get(agent).and_then(|a| a.workspace.as_ref());
        let is_default = agent == self.agents.default_id();
        let shared = self.agents.defaults.workspace.as_ref();
        match own.or(shared.filter(|_| is_default)) {
            Some(named) => from_home(named),
            None if is_default => self.paths.state_dir.join("workspace"),
            None => self.paths.state_dir.join(format!("workspace-{agent}")),
        }
    }
}

/// A path as people write it.
pub fn from_home(text: &str) -> PathBuf {
    match text.strip_prefix("~/").zip(env::home()) {
        Some((below, home)) => home.join(below),
        None => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn flags_decide_and_become_absolute() {
        let paths =
            Paths::resolve(None, Some(Path::new("here")), Some(Path::new("p.toml"))).unwrap();
        assert!(paths.state_dir.is_absolute());
        assert_eq!(paths.config_file, paths.state_dir.join("openclaw.json"));
        assert!(paths.plugins_file.ends_with("p.toml") && paths.plugins_file.is_absolute());
    }
}
