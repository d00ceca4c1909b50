//! What `plugins.toml` names, read and judged: which plugin serves which channel, and why the
//! others do not.
//!
//! [`Plugins::load`] is called once at start and by `openclaw plugins list`. One bad plugin never
//! stops another: it is a [`PluginProblem`], told to the operator and listed.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use serde::Serialize;

use super::file::{Entry, Isolation, PluginsFile, PluginsFileError};
use super::plugin::Plugin;
use super::store::LibraryStore;
use super::{Refusal, access, inspect, verify};
use crate::limits::{LIBRARY_BYTES_MAX, PLUGIN_KV_BYTES_DEFAULT};

/// Everything `plugins.toml` names.
#[derive(Debug)]
pub struct Plugins {
    by_channel: BTreeMap<String, Arc<Plugin>>,
    rows: Vec<PluginRow>,
    development: bool,
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
    /// The file's digest; the one that its entry names if it wasn't read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The key that signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
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

impl Plugins {
    /// Reads `file`, inspects and verifies each library and keeps a copy in `store_dir`
    /// (`<state>/plugins/store`). No code of any plugin runs yet. Blocks on files. The problems are
    /// the caller's to tell.
    ///
    /// # Errors
    /// The file itself is missing or broken (exit code 78). A single plugin never is an error.
    pub fn load(
        file: &Path,
        store_dir: &Path,
    ) -> Result<(Plugins, Vec<PluginProblem>), PluginsFileError> {
        Self::judge(&PluginsFile::read(file)?, file, store_dir)
    }

    /// As [`Plugins::load`] for a text of `file` that is already read, or not yet written.
    ///
    /// # Errors
    /// The folder of copies cannot be made.
    pub fn judge(
        parsed: &PluginsFile,
        file: &Path,
        store_dir: &Path,
    ) -> Result<(Plugins, Vec<PluginProblem>), PluginsFileError> {
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
            problems.extend(plugins.add(file, parsed, entry, &store));
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
            sha256: entry.sha256.clone(),
            signed_by: None,
            isolation: None,
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
        let program = std::env::current_exe().ok();
        let (path, mut library) = open_first(&parsed.candidates(file, entry, program.as_deref()))?;
        row.path.clone_from(&path);
        if !parsed.trust.development {
            access::only_ours(&path)?;
        }
        let unreadable = |e: std::io::Error| Refusal::NoFile(format!("{}: {e}", path.display()));
        let sha256 = row
            .sha256
            .insert(verify::digest_of(&mut library).map_err(unreadable)?);
        let folder = file.parent().unwrap_or(Path::new(""));
        let standing = verify::standing(&parsed.trust, entry, sha256, folder)?;
        row.isolation = Some(standing.isolation);
        row.signed_by = standing.signed_by;
        let (kept, inspected) = keep(store, &path, &mut library, sha256)?;
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
        let asked = Some(manifest.kv_quota_bytes)
            .filter(|n| *n > 0)
            .unwrap_or(PLUGIN_KV_BYTES_DEFAULT);
        Ok(Plugin {
            name: entry.name.clone(),
            kv_quota: entry.limits.kv_mb.map_or(asked, |mb| mb << 20),
            isolation: standing.isolation,
            limits: entry.limits.clone(),
            manifest: Arc::new(manifest),
            schema,
            kept,
            table: OnceLock::new(),
        })
    }

    /// Forgets the copies in `store_dir` that no entry names any more, switched off or not, and
    /// that were not kept after `before`. Blocks on files.
    ///
    /// # Errors
    /// The system's.
    pub fn sweep(&self, store_dir: &Path, before: SystemTime) -> std::io::Result<usize> {
        let named = |row: &PluginRow, digest: &str| {
            // What was installed is named by its place in the store.
            let stem = row.path.file_stem().and_then(|stem| stem.to_str());
            row.sha256.as_deref() == Some(digest) || stem == Some(digest)
        };
        let is_used = |digest: &str| self.rows.iter().any(|row| named(row, digest));
        LibraryStore::open(store_dir)?.sweep(is_used, before)
    }

    /// The plugin that serves a channel.
    pub fn get(&self, channel: &str) -> Option<&Arc<Plugin>> {
        self.by_channel.get(channel)
    }

    /// The plugin of this name, if it may be opened.
    pub fn named(&self, name: &str) -> Option<&Arc<Plugin>> {
        self.by_channel.values().find(|p| p.name == name)
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

/// Keeps a library and inspects what was kept: what was looked at is what will be loaded. A file
/// that is refused leaves nothing behind.
pub(super) fn keep(
    store: &LibraryStore,
    path: &Path,
    library: &mut File,
    sha256: &str,
) -> Result<(PathBuf, inspect::Inspected), Refusal> {
    let kept = store.keep(library, sha256).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Refusal::Changed(path.to_owned()),
        _ => Refusal::Store(e.to_string()),
    })?;
    let inspected = File::open(&kept.path)
        .map_err(|e| Refusal::Store(e.to_string()))
        .and_then(|file| inspect::inspect_file(&file));
    if inspected.is_err() && kept.fresh {
        // Nobody knows it yet: it is as if it had never been kept.
        store.forget(sha256).ok();
    }
    Ok((kept.path, inspected?))
}

/// The first of these files that is there.
pub(super) fn open_first(places: &[PathBuf]) -> Result<(PathBuf, File), Refusal> {
    for path in places {
        match open_library(path) {
            Ok(file) => return Ok((path.clone(), file)),
            Err(None) => {}
            Err(Some(refusal)) => return Err(refusal),
        }
    }
    let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
    Err(Refusal::NoFile(format!(
        "there is no such file (looked for {}): build it or correct its path",
        places.join(" and ")
    )))
}

/// Opens a file of a library's size; `Err(None)` if there is none.
fn open_library(path: &Path) -> Result<File, Option<Refusal>> {
    let refused = |why: String| Some(Refusal::NoFile(format!("{}{why}", path.display())));
    let size = match std::fs::metadata(path) {
        Ok(meta) if meta.is_file() => meta.len(),
        Ok(_) => return Err(refused(" is no file".to_owned())),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(None),
        Err(e) => return Err(refused(format!(": {e}"))),
    };
    if size > LIBRARY_BYTES_MAX {
        let why = format!(" has {size} bytes, over {LIBRARY_BYTES_MAX}");
        return Err(refused(why));
    }
    File::open(path).map_err(|e| refused(format!(": {e}")))
}
