//! A plugin built as somebody builds it who has only the SDK: a copy of its folder far from this
//! repository, so that nothing of the workspace (inherited keys, lints, profiles, features) can
//! be missing without being missed, and with other features of a library both sides use.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::binaries;

/// The library of `plugins/irc`, built outside the workspace. Once in a test run; the packages it
/// needs are kept between runs.
///
/// # Panics
/// When it does not build; the panic holds what the compiler said.
pub fn irc() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| build("irc"))
}

fn build(name: &str) -> PathBuf {
    let home = tempfile::Builder::new().prefix("stranger-").tempdir();
    let home = home.expect("a folder for a test");
    let (from, to) = (
        binaries::repository().join("plugins").join(name),
        home.path(),
    );
    copy(&from, to);
    let manifest = std::fs::read_to_string(from.join("Cargo.toml")).expect("a manifest");
    let sdk = binaries::repository().join("plugin-api");
    let here = manifest.replace("\"../../plugin-api\"", &format!("{sdk:?}"));
    assert_ne!(
        here, manifest,
        "the SDK is named by its path in this repository"
    );
    assert!(!here.contains("workspace = true"), "something is inherited");
    // Values of JSON are other types with these features: the gateway must not notice.
    let plain = "serde_json = \"1.0\"";
    let other = "serde_json = { version = \"1.0\", features = [\"arbitrary_precision\", \"preserve_order\"] }";
    assert!(
        here.contains(plain),
        "serde_json is asked for in another way"
    );
    let here = here.replace(plain, other);
    // Whatever lies in the folders above is none of its business.
    let here = format!("{here}\n[workspace]\n");
    std::fs::write(to.join("Cargo.toml"), here).expect("a manifest");
    // The same versions as here: what was fetched for the workspace is enough.
    let lock = binaries::repository().join("Cargo.lock");
    std::fs::copy(lock, to.join("Cargo.lock")).expect("a lock file");

    let target = binaries::built()
        .parent()
        .expect("a profile lies in the target folder");
    let target = target.join("stranger");
    let mut cargo = binaries::cargo();
    cargo
        .args(["build", "--quiet", "--target-dir"])
        .arg(&target);
    let output = cargo
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        .current_dir(to)
        .output();
    let output = output.expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "a stranger cannot build {name}:\n{said}"
    );
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    target
        .join("debug")
        .join(format!("{prefix}gateway_plugin_{name}{suffix}"))
}

/// What the folder holds, tests left out.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() && path.ends_with("tests") {
            continue;
        }
        if path.is_dir() {
            std::fs::create_dir(&to).expect("a folder");
            copy(&path, &to);
        } else {
            std::fs::copy(&path, &to).expect("a copy");
        }
    }
}
