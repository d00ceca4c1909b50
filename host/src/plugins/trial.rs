//! One library file on trial, without a gateway: its author's own, taken at the author's word.
//!
//! `openclaw plugins test` runs the conformance checks against a [`Trial`], `plugins dev` talks to
//! one. The way in is the gateway's own: inspected first, loaded from a copy, spoken to through
//! [`Instance`]; only digest and signature are not asked for, and state is kept in memory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gateway_plugin::conformance::{Account, Answer, Footprint, Given, Subject};
use gateway_plugin::message::Media;
use serde_json::Value;

use super::file::{Isolation, Limits};
use super::store::LibraryStore;
use super::{
    AccountStart, Inbound, Instance, KvError, KvStore, KvWrite, Manifest, Plugin, Refusal,
    directory, verify,
};
use crate::limits::PLUGIN_KV_BYTES_DEFAULT;
use crate::shutdown::Tasks;

/// How long closing an instance may take: it waits for calls under way, which never block.
const CLOSED: Duration = Duration::from_secs(5);

/// A library on trial.
pub struct Trial {
    plugin: Plugin,
    manifest: Manifest,
    tasks: Tasks,
    states: TrialStates,
}

/// State of accounts by their names; clones share it, so that it outlives a library.
#[derive(Clone, Default)]
pub struct TrialStates(Arc<Mutex<BTreeMap<String, Arc<Memory>>>>);

impl Trial {
    /// Inspects the file and keeps a copy in `store`. It is loaded with its first account, here or
    /// into a process of its own; its instances are served by `tasks`. Blocks on files.
    ///
    /// # Errors
    /// Why a gateway would not take it.
    pub fn of_file(
        file: &Path,
        store: &Path,
        isolation: Isolation,
        states: TrialStates,
        tasks: Tasks,
    ) -> Result<Trial, Refusal> {
        let (path, mut library) = directory::open_first(&[file.to_owned()])?;
        let unreadable = |e: std::io::Error| Refusal::NoFile(format!("{}: {e}", path.display()));
        let sha256 = verify::digest_of(&mut library).map_err(unreadable)?;
        let store = LibraryStore::open(store).map_err(|e| Refusal::Store(e.to_string()))?;
        let (kept, inspected) = directory::keep(&store, &path, &mut library, &sha256)?;
        let manifest = inspected.manifest;
        let schema = jsonschema::validator_for(&manifest.config_schema)
            .map_err(|e| Refusal::Manifest(vec![format!("configSchema is no JSON Schema: {e}")]))?;
        let plugin = Plugin {
            name: manifest.id.clone(),
            kv_quota: PLUGIN_KV_BYTES_DEFAULT,
            isolation,
            limits: Limits::default(),
            manifest: Arc::new(manifest.clone()),
            schema,
            kept,
            table: OnceLock::new(),
        };
        Ok(Trial {
            plugin,
            manifest,
            tasks,
            states,
        })
    }

    /// The plugin itself.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Opens an account whose state lives as long as the trial. Nothing is started.
    ///
    /// # Errors
    /// Why there is no instance.
    pub fn account(&self, name: &str, config: Value) -> Result<(Instance, Inbound), String> {
        let kv = {
            let mut states = self.states.0.lock().unwrap_or_else(PoisonError::into_inner);
            states.entry(name.to_owned()).or_default().clone()
        };
        let start = AccountStart {
            account_id: name.to_owned(),
            config,
            log_level: "info".to_owned(),
        };
        self.plugin
            .open(start, kv, &self.tasks)
            .map_err(|e| e.to_string())
    }
}

impl Subject for Trial {
    type Account = TrialAccount;

    fn manifest(&self) -> Result<Manifest, Vec<String>> {
        let mut problems = self.manifest.problems();
        for pointer in &self.manifest.secrets {
            let top = pointer.split('/').nth(1).unwrap_or_default();
            let schema = &self.manifest.config_schema;
            if schema.pointer(&format!("/properties/{top}")).is_none() {
                problems.push(format!("secret {pointer:?} is not in configSchema"));
            }
        }
        if problems.is_empty() {
            Ok(self.manifest.clone())
        } else {
            Err(problems)
        }
    }

    fn check_config(&self, config: &Value) -> Result<(), Vec<String>> {
        self.plugin.check_config(config)
    }

    fn open(&self, account: &str) -> Result<TrialAccount, String> {
        // The checks bring the configuration themselves, with the start they write.
        let (instance, inbound) = self.account(account, Value::Null)?;
        Ok(TrialAccount {
            instance,
            inbound: tokio::sync::Mutex::new(inbound),
        })
    }

    fn footprint(&self) -> Option<Footprint> {
        Footprint::of("self")
    }
}

/// One account of a library on trial, as the checks want it.
pub struct TrialAccount {
    instance: Instance,
    inbound: tokio::sync::Mutex<Inbound>,
}

impl Account for TrialAccount {
    async fn request(&self, body: &[u8], media: Media, patience: Duration) -> Answer {
        self.instance.request_body(body, media, patience).await
    }

    async fn event(&self) -> Option<Given> {
        let next = self.inbound.lock().await.next().await?;
        let ack = next.ack;
        let settle = move |kept: bool| {
            if kept {
                ack.done();
            } else {
                ack.refuse("the gateway could not keep it");
            }
        };
        Some(Given {
            event: next.event,
            media: next.blob,
            settle: Box::new(settle),
        })
    }

    fn complaints(&self) -> Vec<String> {
        let state = self.instance.state();
        let told = [
            (state.bad_frames, "frames that made no sense"),
            (state.refused_events, "events without a credit for them"),
            (state.fatals, "requests to be started anew"),
            (state.panics, "operations that panicked"),
        ];
        told.into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }

    async fn close(self) -> Result<(), String> {
        if self.instance.close(CLOSED).await {
            return Ok(());
        }
        Err(format!(
            "closing the instance did not end within {CLOSED:?}"
        ))
    }
}

/// State in memory, one account's.
#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

impl Memory {
    fn all(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KvStore for Memory {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.all().get(key).cloned())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, KvError> {
        let all = self.all();
        let keys = all.keys().filter(|key| key.starts_with(prefix));
        Ok(keys.cloned().collect())
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> KvWrite<'a> {
        self.all().insert(key.to_owned(), value.to_vec());
        Box::pin(async { Ok(()) })
    }

    fn del<'a>(&'a self, key: &'a str) -> KvWrite<'a> {
        self.all().remove(key);
        Box::pin(async { Ok(()) })
    }
}
