//! A gateway process of a test's own: free port, own home, own configuration; stopped, killed
//! and started again on the same state.

use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::log::Log;
use crate::login::Login;
use crate::wait::until;
use crate::{Client, binaries, canary, http};

/// The shared secret of every test gateway: the one the recordings were made with.
pub const TOKEN: &str = "throwaway-token";

/// What a gateway is started with. `Setup::new()` gives the echo plugin and token mode.
pub struct Setup {
    home: TempDir,
    port: u16,
    config: Value,
    plugins: Option<String>,
    text: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    shared: bool,
}

impl Setup {
    /// A home of its own, a free port, the shared token, the echo plugin with one account.
    ///
    /// # Panics
    /// When the system has no room for a folder.
    #[must_use]
    pub fn new() -> Self {
        let port = free_port();
        Self {
            home: tempfile::Builder::new()
                .prefix("gw-")
                .tempdir()
                .expect("a folder for a test"),
            port,
            config: json!({
                "gateway": {
                    "mode": "local", "port": port,
                    "auth": { "mode": "token", "token": TOKEN },
                },
                "channels": { "echo": {} },
            }),
            plugins: None,
            text: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            shared: false,
        }
        .plugins(&["echo"])
    }

    /// The plugins of this repository, by channel id. Development trust, as at the root.
    #[must_use]
    pub fn plugins(self, names: &[&str]) -> Self {
        let entries: Vec<_> = names
            .iter()
            .map(|name| (*name, binaries::library(&format!("gateway-plugin-{name}"))))
            .collect();
        self.plugin_files(&entries)
    }

    /// Plugin files of choice, by name.
    #[must_use]
    pub fn plugin_files(mut self, entries: &[(&str, PathBuf)]) -> Self {
        let mut text = String::from("schema = 1\n\n[trust]\ndevelopment = true\n");
        for (name, path) in entries {
            text.push_str(&format!(
                "\n[[plugin]]\nname = \"{name}\"\npath = {path:?}\n"
            ));
        }
        self.plugins = Some(text);
        self
    }

    /// The text of `plugins.toml`; `None` leaves the file out.
    #[must_use]
    pub fn plugins_text(mut self, text: Option<&str>) -> Self {
        self.plugins = text.map(str::to_owned);
        self
    }

    /// Sets a configuration value by its JSON pointer, making the objects on the way.
    #[must_use]
    pub fn config(mut self, pointer: &str, value: Value) -> Self {
        let mut place = &mut self.config;
        for step in pointer.trim_start_matches('/').split('/') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[step];
        }
        *place = value;
        self
    }

    /// The text of `openclaw.json` instead of what was set.
    #[must_use]
    pub fn config_text(mut self, text: &str) -> Self {
        self.text = Some(text.to_owned());
        self
    }

    /// The port it will have, for a configuration written by hand.
    #[must_use]
    pub fn port_number(&self) -> u16 {
        self.port
    }

    /// Another port, to meet a gateway that is already there.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self.config("/gateway/port", json!(port))
    }

    /// Extra command-line arguments after `gateway`.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = arguments.iter().map(|&text| text.to_owned()).collect();
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Programs that are not ours write into the state folder too, with modes of their own.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// The state folder this gateway will use.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.home.path().join(".openclaw")
    }

    /// Writes a file into the state folder, for its owner alone.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn state_file(self, name: &str, text: &str) -> Self {
        let path = self.state_dir().join(name);
        let folder = path.parent().expect("a state file lies in a folder");
        let mut folders = std::fs::DirBuilder::new();
        folders.recursive(true).mode(0o700);
        folders.create(folder).expect("a folder for a state file");
        std::fs::write(&path, text).expect("a state file");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, private).expect("the mode of a state file");
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Gateway {
        let mut gateway = self.spawn();
        gateway.ready().await;
        gateway
    }

    /// Starts it, and does not wait.
    ///
    /// # Panics
    /// When the files cannot be written.
    #[must_use]
    pub fn spawn(self) -> Gateway {
        let state = self.state_dir();
        std::fs::create_dir_all(&state).expect("a state folder");
        let text = self
            .text
            .clone()
            .unwrap_or_else(|| format!("{:#}", self.config));
        std::fs::write(state.join("openclaw.json"), text).expect("a configuration file");
        if let Some(plugins) = &self.plugins {
            std::fs::write(state.join("plugins.toml"), plugins).expect("a plugins file");
        }
        let log = Log::default();
        let child = launch(&self, &log);
        Gateway {
            setup: self,
            child,
            log,
        }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

/// A running gateway. Dropping it kills the process; in a failing test its log is printed, in any
/// other it is searched for secrets ([`canary`]).
pub struct Gateway {
    setup: Setup,
    child: Child,
    log: Log,
}

impl Gateway {
    /// The usual one: `Setup::new()`, ready.
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    /// Where it listens on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.setup.port
    }

    /// Says that it was told to listen elsewhere than its configuration says.
    pub fn listens_on(&mut self, port: u16) {
        self.setup.port = port;
    }

    /// Its home folder; the state folder lies in it.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.setup.home.path()
    }

    /// Its state folder.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.setup.state_dir()
    }

    /// Writes its approvals file: `defaults` and `agents` as given.
    ///
    /// # Panics
    /// When the state folder can't be written.
    pub fn allow(&self, approvals: &Value) {
        let mut file = json!({ "version": 1 });
        for (key, value) in approvals.as_object().expect("approvals are an object") {
            file[key] = value.clone();
        }
        let path = self.state_dir().join("exec-approvals.json");
        std::fs::write(&path, file.to_string()).expect("a state file");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, private).expect("the mode of a state file");
    }

    /// Its configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.state_dir().join("openclaw.json")
    }

    /// Sets a value of its configuration file by JSON pointer, as a person does while it runs;
    /// null removes the key. Gives the text.
    ///
    /// # Panics
    /// When the file can't be read or written, or has no such place.
    pub fn edit_config(&self, pointer: &str, value: Value) -> String {
        let path = self.config_file();
        let text = std::fs::read_to_string(&path).expect("a configuration file");
        let mut config: Value = serde_json::from_str(&text).expect("plain JSON");
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        let parent = config.pointer_mut(parent).and_then(Value::as_object_mut);
        let parent = parent.expect("the place is an object");
        if value.is_null() {
            parent.remove(key);
        } else {
            parent.insert(key.to_owned(), value);
        }
        let text = format!("{config:#}");
        std::fs::write(&path, &text).expect("a configuration file");
        text
    }

    /// What it printed.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The process, for `/proc`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Opens a socket and reads the challenge.
    pub async fn open(&self) -> Client {
        Client::open(self.port()).await
    }

    /// A connected client.
    pub async fn connect(&self, login: &Login) -> Client {
        Client::connect(self.port(), login).await
    }

    /// A connected operator with all scopes and a fresh device.
    pub async fn operator(&self) -> Client {
        self.connect(&Login::fresh()).await
    }

    /// A connected operator with a fresh device and these scopes.
    pub async fn operator_with(&self, scopes: &[&str]) -> Client {
        self.connect(&Login::fresh().scopes(scopes)).await
    }

    /// Waits until `/readyz` is green, or names only channels that fail.
    ///
    /// # Panics
    /// When the process ends first.
    pub async fn ready(&mut self) {
        let (port, log) = (self.port(), self.log.clone());
        let child = &mut self.child;
        until("the gateway to be ready", || {
            let ended = child.try_wait().expect("a child can be asked");
            assert!(
                ended.is_none(),
                "the gateway ended ({ended:?}):\n{}",
                log.text()
            );
            async move {
                let answer = http::get(port, "/readyz", &[]).await.ok()?;
                let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                let started = body["failing"]
                    .as_array()
                    .is_some_and(|list| !list.is_empty());
                (answer.status == 200 || started).then_some(())
            }
        })
        .await;
    }

    /// Waits for a line in the log.
    pub async fn logged(&self, needle: &str) {
        until(&format!("{needle:?} in the log"), || async {
            self.log.has(needle).then_some(())
        })
        .await;
    }

    /// The status of a channel's first account, once it fits.
    pub async fn account(&self, channel: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        until(what, || {
            let fits = &fits;
            async move {
                let mut client = self.operator().await;
                let status = client.ok("channels.status", json!({})).await;
                let account = status["channelAccounts"][channel][0].clone();
                fits(&account).then_some(account)
            }
        })
        .await
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("process ids are small");
        kill_process(Pid::from_raw(pid).expect("a process id"), signal).expect("a live process");
    }

    /// SIGTERM, then its exit status.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exit().await
    }

    /// kill -9, as a crash.
    pub async fn crash(&mut self) {
        self.signal(Signal::KILL);
        self.exit().await;
    }

    /// Waits for the process to end.
    pub async fn exit(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("the gateway to end", || {
            let status = child.try_wait().expect("a child can be asked");
            async move { status }
        })
        .await
    }

    /// Starts it again on the same state, port and configuration, and waits until it is ready.
    /// The log goes on in the same place.
    pub async fn restart(&mut self) {
        self.launch();
        self.ready().await;
    }

    /// What must not be found in its log or its files.
    fn secrets(&self) -> Vec<String> {
        let configured = canary::configured(&self.setup.config);
        let environment = self.setup.environment.iter();
        let variables = environment
            .filter(|(name, _)| canary::is_secret(name))
            .map(|(_, value)| value.clone());
        let given = canary::given(self.port());
        configured
            .into_iter()
            .chain(variables)
            .chain(given)
            .collect()
    }

    /// Starts it again and does not wait. The old process must have ended.
    pub fn launch(&mut self) {
        self.child = launch(&self.setup, &self.log);
    }
}

impl Drop for Gateway {
    #[allow(clippy::print_stderr)] // a failing test shows what the gateway said
    fn drop(&mut self) {
        // Ended already is as good as killed.
        _ = self.child.kill();
        _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "── log of the gateway on port {} ──\n{}",
                self.port(),
                self.log.text()
            );
            return;
        }
        let state = self.state_dir();
        let mut found = canary::leaks(&self.secrets(), &self.log.text(), &state);
        if !self.setup.shared {
            found.extend(canary::open_to_others(&state));
        }
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

fn launch(setup: &Setup, log: &Log) -> Child {
    let mut command = command(setup.home.path());
    command.arg("gateway").args(&setup.arguments);
    for (name, value) in &setup.environment {
        command.env(name, value);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the gateway binary can be started");
    log.follow(child.stdout.take().expect("stdout is piped"));
    log.follow(child.stderr.take().expect("stderr is piped"));
    child
}

/// `openclaw` with nothing of the caller's environment but the search path, and this home.
#[must_use]
pub fn command(home: &Path) -> Command {
    let mut command = Command::new(binaries::openclaw());
    command.env_clear().env("HOME", home).current_dir(home);
    for name in ["PATH", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// A port outside the range the system hands to outgoing connections, so that no other test's
/// socket takes it between this look and the gateway's bind.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = u16::try_from(std::process::id() % 200).expect("below 200") * 100;
    loop {
        let port = 10_000 + (own + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
