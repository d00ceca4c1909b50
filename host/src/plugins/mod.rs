//! The host's side of the plugin boundary: from `plugins.toml` to running instances.
//!
//! | file | what it does |
//! | --- | --- |
//! | `file` | reads `plugins.toml` |
//! | `inspect` | reads a library's bytes; no code of it runs |
//! | `verify` | its digest against `plugins.toml`; the place for signatures |
//! | `store` | the read-only copies that are loaded |
//! | `library` | `dlopen` and the layout check, at the first account |
//! | `instance` | one account: operations in, events out |
//! | `line`, `intake`, `calls`, `logs` | its frames, both ways |
//! | `abilities` | what it may be asked for |
//! | `supervise` | when it must be started anew |
//! | `kv` | its state |
//!
//! [`Plugins::load`] is called once at start, `channels` opens instances. One bad plugin never
//! stops another: it is a [`PluginProblem`], told to the operator and listed.

mod abilities;
mod calls;
pub mod file;
pub mod inspect;
mod instance;
mod intake;
mod kv;
mod library;
mod line;
mod logs;
mod refusal;
mod store;
pub mod supervise;
mod verify;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use gateway_plugin::abi::PluginApi;
use serde::Serialize;
use serde_json::Value;

use crate::shutdown::Tasks;
pub use file::PluginsFileError;
use file::{Entry, PluginsFile};
pub use gateway_plugin::manifest::Manifest;
pub use instance::{AccountStart, Ack, Inbound, InboundEvent, Instance, InstanceState};
pub use kv::{KEY_BYTES_MAX, KvError, KvStore, KvWrite, StoreKv};
pub use refusal::Refusal;
use store::LibraryStore;
pub use verify::digest;

/// Events of one instance that may be under way, granted as credits.
pub const EVENT_CREDITS: usize = 64;
/// Operations of one instance that may be under way.
pub const REQUESTS_MAX: usize = 64;
/// Credits are given back in batches of so many.
const CREDIT_BATCH: u64 = 16;
/// Calls to the host one instance may have waiting.
const HOST_CALLS_MAX: usize = 64;
/// The largest JSON body of a frame.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The largest bytes beside a body.
const BLOB_BYTES_MAX: usize = 64 << 20;
/// The largest library file.
const LIBRARY_BYTES_MAX: u64 = 512 << 20;
/// State one account may keep if neither the manifest nor `plugins.toml` says otherwise.
const KV_QUOTA_DEFAULT: u64 = 16 << 20;

/// The message schema this gateway speaks, `1.N`.
pub fn host_api() -> String {
    use gateway_plugin::manifest::{API_MAJOR, API_MINOR};
    format!("{API_MAJOR}.{API_MINOR}")
}

/// Everything `plugins.toml` names.
#[derive(Debug)]
pub struct Plugins {
    by_channel: BTreeMap<String, Arc<Plugin>>,
    rows: Vec<PluginRow>,
    development: bool,
}

/// One plugin that may be opened.
pub struct Plugin {
    name: String,
    manifest: Arc<Manifest>,
    schema: jsonschema::Validator,
    kept: PathBuf,
    kv_quota: u64,
    table: OnceLock<Result<&'static PluginApi, Refusal>>,
}

/// A plugin that is not there, and why.
#[derive(Debug, Clone)]
pub struct PluginProblem {
    /// Its name in `plugins.toml`.
    pub name: String,
    /// Its path in `plugins.toml`.
    pub path: PathBuf,
    /// Why.
    pub refusal: Refusal,
}

impl fmt::Display for PluginProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "plugin {} ({}): {}",
            self.name,
            self.path.display(),
            self.refusal
        )
    }
}

/// One line of `openclaw plugins list`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginRow {
    /// Its name in `plugins.toml`.
    pub name: String,
    /// The channel it serves, if its file could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Its version, if its file could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The file it was found in, or the path as written.
    pub path: PathBuf,
    /// The file's digest, if it could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether it may be opened.
    pub state: RowState,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether a plugin may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowState {
    /// It may.
    Ready,
    /// The operator switched it off.
    Disabled,
    /// It was refused.
    Refused,
}

/// Why an account could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginError {
    /// The library cannot be loaded.
    Refused(Refusal),
    /// The plugin would not open an instance: its code of `abi::rc`.
    Open(i32),
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "the plugin cannot be loaded: {refusal}"),
            Self::Open(code) => write!(f, "the plugin opened no instance (code {code})"),
        }
    }
}

impl std::error::Error for PluginError {}

impl Plugins {
    /// Reads `file`, inspects and verifies each library and keeps a copy in `store_dir`
    /// (`<state>/plugins/store`). No code of any plugin runs yet. Blocks on files.
    ///
    /// # Errors
    /// The file itself is missing or broken (exit code 78). A single plugin never is an error.
    pub fn load(
        file: &Path,
        store_dir: &Path,
    ) -> Result<(Plugins, Vec<PluginProblem>), PluginsFileError> {
        let parsed = PluginsFile::read(file)?;
        let store = LibraryStore::open(store_dir).map_err(|e| PluginsFileError {
            file: store_dir.to_owned(),
            line: None,
            message: format!("the folder for plugin libraries cannot be made: {e}"),
        })?;
        let development = parsed.trust.development;
        if development {
            tracing::warn!(
                file = %file.display(),
                "[trust] development = true: plugins are loaded without a digest; never do this \
                 where the gateway serves people"
            );
        }
        let mut plugins = Plugins {
            by_channel: BTreeMap::new(),
            rows: Vec::new(),
            development,
        };
        let mut problems = Vec::new();
        for entry in parsed.plugins.iter().map(toml::Spanned::get_ref) {
            if let Some(problem) = plugins.add(file, &parsed, entry, &store) {
                tracing::error!("{problem}");
                problems.push(problem);
            }
        }
        Ok((plugins, problems))
    }

    fn add(
        &mut self,
        file: &Path,
        parsed: &PluginsFile,
        entry: &Entry,
        store: &LibraryStore,
    ) -> Option<PluginProblem> {
        let mut row = PluginRow {
            name: entry.name.clone(),
            channel: None,
            version: None,
            path: entry.path.clone(),
            sha256: None,
            state: RowState::Disabled,
            problem: None,
        };
        let added = if entry.enabled {
            self.prepare(file, parsed, entry, store, &mut row)
                .map(|plugin| {
                    row.state = RowState::Ready;
                    self.by_channel
                        .insert(plugin.manifest.id.clone(), Arc::new(plugin));
                })
        } else {
            Ok(())
        };
        let problem = added.err().map(|refusal| {
            row.state = RowState::Refused;
            row.problem = Some(refusal.to_string());
            PluginProblem {
                name: entry.name.clone(),
                path: row.path.clone(),
                refusal,
            }
        });
        self.rows.push(row);
        problem
    }

    fn prepare(
        &self,
        file: &Path,
        parsed: &PluginsFile,
        entry: &Entry,
        store: &LibraryStore,
        row: &mut PluginRow,
    ) -> Result<Plugin, Refusal> {
        verify::supported(entry)?;
        let program = std::env::current_exe().ok();
        let (path, bytes) = read_first(&parsed.candidates(file, entry, program.as_deref()))?;
        row.path = path;
        let sha256 = row.sha256.insert(digest(&bytes));
        verify::trusted(&parsed.trust, entry, sha256)?;
        let inspected = inspect::inspect(&bytes)?;
        let manifest = inspected.manifest;
        row.channel = Some(manifest.id.clone());
        row.version = Some(manifest.version.clone());
        if let Some(first) = self.by_channel.get(&manifest.id) {
            let (channel, first) = (manifest.id, first.name.clone());
            return Err(Refusal::Twice { channel, first });
        }
        if inspected.static_tls {
            tracing::warn!(
                plugin = entry.name,
                "needs static thread-local storage, may not load"
            );
        }
        let schema = jsonschema::validator_for(&manifest.config_schema)
            .map_err(|e| Refusal::Manifest(vec![format!("configSchema is no JSON Schema: {e}")]))?;
        let kept = store
            .keep(&bytes, sha256)
            .map_err(|e| Refusal::Store(e.to_string()))?;
        let asked = Some(manifest.kv_quota_bytes)
            .filter(|n| *n > 0)
            .unwrap_or(KV_QUOTA_DEFAULT);
        Ok(Plugin {
            name: entry.name.clone(),
            kv_quota: entry.limits.kv_mb.map_or(asked, |mb| mb << 20),
            manifest: Arc::new(manifest),
            schema,
            kept,
            table: OnceLock::new(),
        })
    }

    /// The plugin that serves a channel.
    pub fn get(&self, channel: &str) -> Option<&Arc<Plugin>> {
        self.by_channel.get(channel)
    }

    /// All plugins that may be opened, by channel id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.by_channel.values()
    }

    /// Every entry of the file in order, those that were refused as well.
    pub fn report(&self) -> &[PluginRow] {
        &self.rows
    }

    /// Does the file say `[trust] development = true`?
    pub fn development(&self) -> bool {
        self.development
    }
}

/// The first of these files that is there, with its content.
fn read_first(places: &[PathBuf]) -> Result<(PathBuf, Vec<u8>), Refusal> {
    for path in places {
        let size = match std::fs::metadata(path) {
            Ok(meta) if meta.is_file() => meta.len(),
            Ok(_) => return Err(Refusal::NoFile(format!("{} is no file", path.display()))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Refusal::NoFile(format!("{}: {e}", path.display()))),
        };
        if size > LIBRARY_BYTES_MAX {
            let why = format!(
                "{} has {size} bytes, over {LIBRARY_BYTES_MAX}",
                path.display()
            );
            return Err(Refusal::NoFile(why));
        }
        let bytes =
            std::fs::read(path).map_err(|e| Refusal::NoFile(format!("{}: {e}", path.display())))?;
        return Ok((path.clone(), bytes));
    }
    let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
    Err(Refusal::NoFile(format!(
        "there is no such file (looked for {}): build it or correct its path",
        places.join(" and ")
    )))
}

impl Plugin {
    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its name in `plugins.toml`.
    pub fn name(&self) -> &str {
        &self.name
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

    /// Opens an instance for one account, loading the library if it is the first. The instance's
    /// calls to the host are served by a task of `tasks`.
    ///
    /// # Errors
    /// The library cannot be loaded, or the plugin opens no instance.
    pub fn open(
        &self,
        start: AccountStart,
        kv: Arc<dyn KvStore>,
        tasks: &Tasks,
    ) -> Result<(Instance, Inbound), PluginError> {
        let table = self
            .table
            .get_or_init(|| library::load(&self.kept).map_err(Refusal::Load))
            .clone()
            .map_err(PluginError::Refused)?;
        instance::open(table, self.manifest.clone(), start, kv, tasks)
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({} for {})", self.name, self.manifest.id)
    }
}
