//! The loader and instances against really built libraries: `echo` and the faulty fixture.
//!
//! The libraries are built once per test program by the cargo that runs it, into the same target
//! folder, so that they are never older than the sources.
#![allow(clippy::unwrap_used)]

mod beside;
mod children;
mod files;
mod fuzz;
mod refusals;
mod running;
mod schema;
mod trust;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use gateway_plugin::message::{ErrorKind, Event, Op, OpResult, OutboundMessage, SurfaceError};
use serde_json::{Value, json};

use super::file::Isolation;
use super::*;
use crate::shutdown::Tasks;

/// Long enough for a slow machine, short enough to end a broken test.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder with the built libraries.
static LIBRARIES: LazyLock<PathBuf> = LazyLock::new(|| {
    let program = std::env::current_exe().unwrap();
    let profile = program.ancestors().nth(2).unwrap().to_owned();
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--quiet",
        "--workspace",
        "--lib",
        "--bins",
        "--target-dir",
    ]);
    build
        .arg(profile.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo tells this program about its own crate: build scripts that saw it would run anew.
    #[allow(
        clippy::disallowed_methods,
        reason = "the test's own surroundings, not the daemon's"
    )]
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            build.env_remove(&name);
        }
    }
    build.env_remove("LD_LIBRARY_PATH");
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(
        build.status().unwrap().success(),
        "the plugins can be built"
    );
    profile
});

fn echo_library() -> PathBuf {
    LIBRARIES.join("libgateway_plugin_echo.so")
}

fn faulty_library() -> PathBuf {
    LIBRARIES.join("libgateway_faulty_plugin.so")
}

/// Loads a `plugins.toml` of `trust` and `entries` in a folder of its own.
struct Loaded {
    plugins: Plugins,
    problems: Vec<PluginProblem>,
    tasks: Tasks,
    _dir: tempfile::TempDir,
}

fn load(trust: &str, entries: &[(&str, &Path, &str)]) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("plugins.toml");
    let mut text = format!("schema = 1\n[trust]\n{trust}\n");
    for (name, path, rest) in entries {
        text += &format!("[[plugin]]\nname = \"{name}\"\npath = {path:?}\n{rest}\n");
    }
    std::fs::write(&file, text).unwrap();
    let (plugins, problems) = Plugins::load(&file, &dir.path().join("store")).unwrap();
    Loaded {
        plugins,
        problems,
        tasks: Tasks::new("test"),
        _dir: dir,
    }
}

fn both(isolation: Isolation) -> Loaded {
    let place = match isolation {
        Isolation::InProcess => "isolation = \"in-process\"",
        Isolation::Process => "isolation = \"process\"",
    };
    let loaded = load(
        "development = true",
        &[
            ("echo", &echo_library(), place),
            ("faulty", &faulty_library(), place),
        ],
    );
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    loaded
}

impl Loaded {
    /// Opens an account without starting it.
    fn open(&self, channel: &str, config: Value, kv: &Arc<MemoryKv>) -> (Instance, Inbound) {
        let start = AccountStart {
            account_id: "main".to_owned(),
            config,
            log_level: "info".to_owned(),
        };
        self.plugins
            .get(channel)
            .unwrap()
            .open(start, kv.clone(), &self.tasks)
            .unwrap()
    }

    /// Opens and starts an account.
    async fn started(&self, channel: &str) -> (Instance, Inbound) {
        let (instance, inbound) = self.open(channel, json!({}), &Arc::default());
        instance.start(PATIENCE).await.unwrap();
        (instance, inbound)
    }
}

async fn send(instance: &Instance, text: &str, deadline: Duration) -> Result<Value, SurfaceError> {
    let message = OutboundMessage {
        to: "ann".to_owned(),
        text: text.to_owned(),
        ..Default::default()
    };
    match instance
        .request(Op::Send(message), Bytes::new(), deadline)
        .await?
    {
        OpResult::Sent(receipt) => Ok(receipt.native),
        other => panic!("no receipt: {other:?}"),
    }
}

async fn failed(instance: &Instance, text: &str) -> SurfaceError {
    send(instance, text, PATIENCE).await.expect_err(text)
}

/// An account's state in memory.
#[derive(Default)]
struct MemoryKv(Mutex<BTreeMap<String, Vec<u8>>>);

impl KvStore for MemoryKv {
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn list(&self, prefix: &str) -> Result<Vec<String>, KvError> {
        let all = self.0.lock().unwrap();
        Ok(all
            .keys()
            .filter(|key| key.starts_with(prefix))
            .cloned()
            .collect())
    }

    fn put<'a>(&'a self, key: &'a str, value: Bytes) -> KvWrite<'a> {
        self.0
            .lock()
            .unwrap()
            .insert(key.to_owned(), value.to_vec());
        Box::pin(async { Ok(()) })
    }

    fn del<'a>(&'a self, key: &'a str) -> KvWrite<'a> {
        self.0.lock().unwrap().remove(key);
        Box::pin(async { Ok(()) })
    }
}
