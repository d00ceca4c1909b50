//! `plugins dev DIR`: builds a plugin's project, runs it without a gateway, and takes each change
//! of its files. What the plugin brings is shown, what is typed is sent.
//!
//! The library that runs stays until a new one was built and is a plugin; state stays as long as
//! the command. Ends with Ctrl-C, or with the end of what is typed.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use gateway_plugin::message::{Event, Op, OutboundMessage, StopReason};
use serde_json::Value;
use tokio::sync::mpsc;

use super::trial::{self, Folder};
use crate::cli::args::PluginsDevArgs;
use crate::cli::error::{CliError, CliResult, Kind};
use crate::cli::output::{Paint, Screen, complain};
use crate::plugins::{Inbound, InboundEvent, Instance, Trial, TrialStates};
use crate::shutdown::Tasks;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(300);
/// How many files of a project are looked at: the rest is no source.
const FILES_MAX: usize = 10_000;
/// How long an operation may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a stop may take.
const GRACE: Duration = Duration::from_secs(2);
/// Lines that were typed and wait to be sent.
const TYPED_MAX: usize = 16;
/// The account's id.
const ACCOUNT: &str = "dev";

/// Files of the project with the time of their last change.
type Seen = BTreeMap<PathBuf, SystemTime>;

/// Builds, runs, watches.
///
/// # Errors
/// A folder that is no project, a first build that fails, or a library that no gateway would load.
pub fn run(args: &PluginsDevArgs, screen: &Screen) -> CliResult<()> {
    let config = args.config.as_deref().map(trial::config).transpose()?;
    let folder = Folder::new()?;
    let mut seen = look(&args.folder);
    let library = build(&args.folder)?;
    show_logs();
    let runtime = trial::runtime()?;
    let done = runtime.block_on(async {
        let mut bench = Bench {
            args,
            screen,
            config,
            folder,
            tasks: Tasks::new("plugins dev"),
            states: TrialStates::default(),
            target: None,
        };
        let trial = Arc::new(bench.load(&library)?);
        let mut running = Some(bench.start(trial).await?);
        screen.line("type TARGET TEXT to send a message; Ctrl-C ends");
        bench.serve(&mut running, &mut seen).await;
        if let Some(running) = running {
            running.instance.stop(StopReason::Shutdown, GRACE).await;
        }
        Ok(())
    });
    // Neither a plugin that blocks a thread nor who waits for a line holds the process back.
    runtime.shutdown_background();
    done
}

/// What stays while libraries come and go.
struct Bench<'a> {
    args: &'a PluginsDevArgs,
    screen: &'a Screen,
    config: Option<Value>,
    folder: Folder,
    tasks: Tasks,
    states: TrialStates,
    /// To whom the last message went.
    target: Option<String>,
}

/// The library that runs.
struct Running {
    trial: Arc<Trial>,
    instance: Instance,
    inbound: Inbound,
}

/// What the running account brings; nothing, for ever, while none runs.
async fn brought(running: &mut Option<Running>) -> Option<InboundEvent> {
    match running {
        Some(running) => running.inbound.next().await,
        None => std::future::pending().await,
    }
}

/// Why it must be started anew.
async fn wrong(instance: Option<Instance>) -> String {
    match instance {
        Some(instance) => instance.wrong().await,
        None => std::future::pending().await,
    }
}

impl Bench<'_> {
    fn load(&self, library: &Path) -> CliResult<Trial> {
        let (place, states) = (self.args.isolation, self.states.clone());
        trial::load(library, &self.folder, place, states, self.tasks.clone())
    }

    /// Starts the account.
    async fn start(&self, trial: Arc<Trial>) -> CliResult<Running> {
        let manifest = trial.plugin().manifest();
        let example = || manifest.config_schema.pointer("/examples/0").cloned();
        let config = self.config.clone().or_else(example);
        let config = config.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        if let Err(problems) = trial.plugin().check_config(&config) {
            let text = format!(
                "the configuration breaks configSchema: {}",
                problems.join("; ")
            );
            return Err(CliError::new(Kind::Config, "PLUGIN_CONFIG", text)
                .fix("give another one with --config JSON|FILE"));
        }
        let failed = |why: String| {
            let text = format!("{} does not start: {why}", manifest.id);
            CliError::new(Kind::Local, "PLUGIN_START", text)
        };
        let (instance, inbound) = trial.account(ACCOUNT, config).map_err(failed)?;
        if let Err(error) = instance.start(PATIENCE).await {
            instance.stop(StopReason::Restart, GRACE).await;
            return Err(failed(error.to_string()));
        }
        let what = format!("{} {} runs", manifest.id, manifest.version);
        self.screen.line(self.screen.paint(Paint::Good, &what));
        Ok(Running {
            trial,
            instance,
            inbound,
        })
    }

    /// Shows, sends and reloads until there is nothing more to do.
    async fn serve(&mut self, running: &mut Option<Running>, seen: &mut Seen) {
        let mut typed = typed();
        let mut look_again = tokio::time::interval(LOOK);
        look_again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let instance = running.as_ref().map(|running| running.instance.clone());
            tokio::select! {
                _ = tokio::signal::ctrl_c() => return,
                event = brought(running) => match event {
                    Some(event) => self.show(event),
                    None => self.again(running, "its instance is closed").await,
                },
                why = wrong(instance) => self.again(running, &why).await,
                line = typed.recv() => match line {
                    Some(line) => self.send(running, &line).await,
                    None => return,
                },
                _ = look_again.tick() => {
                    let now = look(&self.args.folder);
                    if now != *seen {
                        *seen = now;
                        self.reload(running).await;
                    }
                }
            }
        }
    }

    /// One event, as one line of JSON; taken at once, as by a gateway with a fast disk.
    fn show(&self, event: InboundEvent) {
        let text = serde_json::to_string(&event.event).unwrap_or_default();
        event.ack.done();
        let paint = match event.event {
            Event::Message(_) => Paint::Strong,
            _ => Paint::Faint,
        };
        self.screen
            .line(format!("< {}", self.screen.paint(paint, &text)));
    }

    /// Sends `TARGET TEXT`; a single word goes to the last target. Events are shown meanwhile.
    async fn send(&mut self, running: &mut Option<Running>, line: &str) {
        let line = line.trim();
        let (to, text) = match (line.split_once(' '), &self.target) {
            _ if line.is_empty() => return,
            (Some((to, text)), _) => (to.to_owned(), text),
            (None, Some(last)) => (last.clone(), line),
            (None, None) => return complain("type TARGET TEXT: to whom, a space, what\n"),
        };
        self.target = Some(to.clone());
        let op = Op::Send(OutboundMessage {
            to,
            text: text.to_owned(),
            ..OutboundMessage::default()
        });
        let Some(instance) = running.as_ref().map(|running| running.instance.clone()) else {
            return complain("nothing runs: change a file so that it is built anew\n");
        };
        let sent = instance.request(op, Bytes::new(), PATIENCE);
        tokio::pin!(sent);
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut sent => break answer,
                Some(event) = brought(running) => self.show(event),
            }
        };
        match answer {
            Ok(result) => {
                let text = serde_json::to_string(&result).unwrap_or_default();
                self.screen.line(format!("> {text}"));
            }
            Err(error) => {
                let text = error.to_string();
                self.screen
                    .line(format!("> {}", self.screen.paint(Paint::Bad, &text)));
            }
        }
    }

    /// Builds and takes the new library. The old one runs until then, and again if the new one does
    /// not start.
    async fn reload(&self, running: &mut Option<Running>) {
        self.screen.line("a file changed, building");
        let folder = self.args.folder.clone();
        let mut building = tokio::task::spawn_blocking(move || build(&folder));
        let built = loop {
            tokio::select! {
                biased;
                built = &mut building => break built,
                Some(event) = brought(running) => self.show(event),
            }
        };
        let Ok(built) = built else {
            return complain("the build panicked\n");
        };
        let trial = match built.and_then(|library| self.load(&library)) {
            Ok(trial) => Arc::new(trial),
            Err(error) => {
                complain(&error.to_text());
                let left = running
                    .as_ref()
                    .map_or("nothing runs", |_| "the old one runs on");
                return self.screen.line(left);
            }
        };
        let old = running.take();
        if let Some(old) = &old {
            old.instance.stop(StopReason::Reload, GRACE).await;
        }
        match self.start(trial).await {
            Ok(new) => *running = Some(new),
            Err(error) => {
                complain(&error.to_text());
                *running = old;
                self.again(running, "the new one did not start").await;
            }
        }
    }

    /// Starts the account of the same library anew.
    async fn again(&self, running: &mut Option<Running>, why: &str) {
        let Some(old) = running.take() else { return };
        self.screen.line(format!("started anew: {why}"));
        old.instance.stop(StopReason::Restart, GRACE).await;
        match self.start(old.trial.clone()).await {
            Ok(new) => *running = Some(new),
            Err(error) => {
                complain(&error.to_text());
                self.screen.line("nothing runs until a file changes");
            }
        }
    }
}

/// Builds the project and gives its library; what the compiler says goes to standard error.
fn build(folder: &Path) -> CliResult<PathBuf> {
    let manifest = folder.join("Cargo.toml");
    if !manifest.is_file() {
        let text = format!("{} is no Cargo project", folder.display());
        return Err(CliError::new(Kind::Local, "NO_PROJECT", text)
            .fix("name a plugin's folder, or write one: openclaw plugins new NAME"));
    }
    let output = Command::new("cargo")
        .args([
            "build",
            "--quiet",
            "--lib",
            "--message-format",
            "json-render-diagnostics",
        ])
        .arg("--manifest-path")
        .arg(&manifest)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|cause| {
            let text = format!("cargo cannot be started: {cause}");
            CliError::new(Kind::Local, "NO_CARGO", text).fix("install Rust: https://rustup.rs")
        })?;
    if !output.status.success() {
        return Err(CliError::new(
            Kind::Local,
            "BUILD_FAILED",
            "the build failed, see above",
        ));
    }
    library(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
        CliError::new(Kind::Local, "NO_LIBRARY", "the project makes no cdylib")
            .fix("add crate-type = [\"cdylib\", \"rlib\"] under [lib] in Cargo.toml")
    })
}

/// The last shared library that cargo's messages name: dependencies come first.
fn library(messages: &str) -> Option<PathBuf> {
    let mut libraries = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let kinds = message.pointer("/target/kind")?.as_array()?;
        let cdylib = kinds.iter().any(|kind| kind == "cdylib");
        let files = message.get("filenames").filter(|_| cdylib)?.as_array()?;
        let is = |file: &&Value| {
            let name = file.as_str().unwrap_or_default();
            name.ends_with(std::env::consts::DLL_SUFFIX)
        };
        files.iter().find(is)?.as_str().map(PathBuf::from)
    });
    libraries.next_back()
}

/// The project's files with the times of their last change; what is built or hidden is not looked
/// at.
fn look(folder: &Path) -> Seen {
    let mut seen = Seen::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if name.starts_with('.') || name == "target" || seen.len() >= FILES_MAX {
                continue;
            }
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => folders.push(path),
                Ok(meta) => {
                    if let Ok(changed) = meta.modified() {
                        seen.insert(path, changed);
                    }
                }
                // Gone between the two looks: the next one tells.
                Err(_) => {}
            }
        }
    }
    // Cargo writes it while it builds.
    seen.retain(|path, _| !path.ends_with("Cargo.lock"));
    seen
}

/// What the plugin logs goes to standard error.
fn show_logs() {
    let shown = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .try_init();
    // A second one in the same process has nobody to tell.
    shown.unwrap_or(());
}

/// Lines of standard input, until its end. Read by a thread, which ends with the process: nothing
/// can wake it.
fn typed() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(TYPED_MAX);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_library_is_the_last_cdylib_that_cargo_names() {
        let suffix = std::env::consts::DLL_SUFFIX;
        let line = |kind: &str, file: &str| {
            format!(
                "{{\"target\":{{\"kind\":[{kind}]}},\"filenames\":[\"/t/a.rlib\",\"/t/{file}\"]}}\n"
            )
        };
        let text = line("\"lib\"", &format!("x{suffix}"))
            + &line("\"cdylib\",\"rlib\"", &format!("libbell{suffix}"))
            + "{\"reason\":\"build-finished\",\"success\":true}\nnot json\n";
        assert_eq!(library(&text), Some(format!("/t/libbell{suffix}").into()));
        assert_eq!(library(""), None);
    }

    #[test]
    fn only_sources_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "Cargo.toml",
            "Cargo.lock",
            "src/lib.rs",
            "target/x",
            ".git/y",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let seen = look(dir.path());
        let names: Vec<_> = seen
            .keys()
            .map(|p| p.strip_prefix(dir.path()).unwrap())
            .collect();
        assert_eq!(names, [Path::new("Cargo.toml"), Path::new("src/lib.rs")]);
    }
}
