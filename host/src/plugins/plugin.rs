//! One plugin that may be opened: what it says about itself, the check of an account's
//! configuration, and the way to an instance.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use gateway_plugin::abi::PluginApi;
use serde_json::Value;

use super::file::{Isolation, Limits};
use super::line::{Line, Table};
use super::{
    AccountStart, Inbound, Instance, KvStore, Manifest, Refusal, child, instance, library,
};
use crate::shutdown::Tasks;

/// One plugin that may be opened.
pub struct Plugin {
    pub(super) name: String,
    pub(super) manifest: Arc<Manifest>,
    pub(super) schema: jsonschema::Validator,
    pub(super) kept: PathBuf,
    pub(super) kv_quota: u64,
    pub(super) isolation: Isolation,
    pub(super) limits: Limits,
    pub(super) table: OnceLock<Result<&'static PluginApi, Refusal>>,
}

/// Why an account could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginError {
    /// The library cannot be loaded.
    Refused(Refusal),
    /// The plugin would not open an instance: its code of `abi::rc`.
    Open(i32),
    /// Its process could not be started: the system's words.
    Process(String),
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the plugin cannot be loaded: {refusal}"),
            Self::Open(code) => write!(f, "the plugin opened no instance (code {code})"),
            Self::Process(why) => write!(f, "the plugin's process cannot be started: {why}"),
        }
    }
}

impl std::error::Error for PluginError {}

impl Plugin {
    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its name in `plugins.toml`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it runs.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Where the copy of its library lies that is loaded; the name is the digest of its content.
    pub fn library(&self) -> &Path {
        &self.kept
    }

    /// True when an instance of the other would be no different: same code, place and limits.
    pub fn same_as(&self, other: &Plugin) -> bool {
        self.kept == other.kept
            && self.kv_quota == other.kv_quota
            && self.isolation == other.isolation
            && self.limits == other.limits
    }

    /// What `plugins.toml` lets it use.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// State one account may keep, in bytes.
    pub fn kv_quota(&self) -> u64 {
        self.kv_quota
    }

    /// Checks one account's configuration against the plugin's own schema. No code of it runs.
    ///
    /// # Errors
    /// All that is wrong, each with the place (`botToken: ...`); secrets are masked.
    pub fn check_config(&self, config: &Value) -> Result<(), Vec<String>> {
        let problems: Vec<String> = self
            .schema
            .iter_errors(config)
            .map(|error| self.config_problem(&error))
            .collect();
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    fn config_problem(&self, error: &jsonschema::ValidationError<'_>) -> String {
        let at = error.instance_path().to_string();
        let covers = |a: &str, b: &str| {
            b.strip_prefix(a)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let secret = self
            .manifest
            .secrets
            .iter()
            .any(|s| covers(s, &at) || covers(&at, s));
        let what = if secret {
            error.masked().to_string()
        } else {
            error.to_string()
        };
        match at.trim_start_matches('/') {
            "" => what,
            place => format!("{}: {what}", place.replace('/', ".")),
        }
    }

    /// Opens an instance for one account: in this process, loading the library if it is the first,
    /// or in a process of its own, which loads it and says later if it cannot. The instance's
    /// tasks belong to `tasks`.
    ///
    /// # Errors
    /// The library cannot be loaded, the plugin opens no instance, or there is no process for it.
    pub fn open(
        &self,
        start: AccountStart,
        kv: Arc<dyn KvStore>,
        tasks: &Tasks,
    ) -> Result<(Instance, Inbound), PluginError> {
        let manifest = self.manifest.clone();
        match self.isolation {
            Isolation::InProcess => {
                let table = self.table()?;
                instance::open(manifest, start, kv, tasks, |intake| {
                    let line = Table::open(table, intake.clone()).map_err(PluginError::Open)?;
                    Ok(Arc::new(line) as Arc<dyn Line>)
                })
            }
            Isolation::Process => instance::open(manifest, start, kv, tasks, |intake| {
                child::open(&self.kept, &self.limits, intake, tasks)
                    .map_err(|e| PluginError::Process(e.to_string()))
            }),
        }
    }

    /// Loads the library now, so that a broken one is known before anybody depends on it. Blocks
    /// on files. One that runs in a process of its own is never loaded into this one: it is known
    /// when its process says so.
    ///
    /// # Errors
    /// The library cannot be loaded.
    pub fn preload(&self) -> Result<(), PluginError> {
        match self.isolation {
            Isolation::InProcess => self.table().map(|_| ()),
            Isolation::Process => Ok(()),
        }
    }

    /// True once its library is part of this process; it stays so for ever.
    pub fn is_mapped(&self) -> bool {
        matches!(self.table.get(), Some(Ok(_)))
    }

    fn table(&self) -> Result<&'static PluginApi, PluginError> {
        self.table
            .get_or_init(|| library::load(&self.kept).map_err(Refusal::Load))
            .clone()
            .map_err(PluginError::Refused)
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({} for {})", self.name, self.manifest.id)
    }
}
