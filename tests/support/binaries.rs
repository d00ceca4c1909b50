//! Where the programs under test lie, built on first use.
//!
//! `cargo test` builds the test binaries but neither `openclaw` nor the plugin libraries, and
//! another crate's binary is not named in the environment. So the first test of a process asks
//! cargo once (a fresh build costs half a second of looking) and the rest take the paths.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names this variable to skip the build, when the caller has just done it (the bench, nextest).
pub const BUILT: &str = "GATEWAY_TESTS_BUILT";

static TARGET: OnceLock<PathBuf> = OnceLock::new();

/// The gateway's one binary.
#[must_use]
pub fn openclaw() -> PathBuf {
    built().join(format!("openclaw{}", std::env::consts::EXE_SUFFIX))
}

/// The library of a plugin crate, for example `gateway-plugin-echo`.
#[must_use]
pub fn library(package: &str) -> PathBuf {
    let stem = package.replace('-', "_");
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    built().join(format!("{prefix}{stem}{suffix}"))
}

/// The repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies one folder down")
}

/// `target/<profile>` of the running test, with the programs in it.
///
/// # Panics
/// When cargo cannot build them; the panic holds what the compiler said.
#[must_use]
pub fn built() -> &'static Path {
    TARGET.get_or_init(|| {
        let folder = profile_folder();
        if std::env::var_os(BUILT).is_none() {
            build(&folder);
        }
        folder
    })
}

fn profile_folder() -> PathBuf {
    let own = std::env::current_exe().expect("a running program has a path");
    let folder = own.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") {
        return folder
            .parent()
            .expect("deps lies in the profile's folder")
            .to_owned();
    }
    folder.to_owned()
}

/// For a test run: the same selection of packages and kinds as the test command, so that every
/// dependency has the same features and nothing but the missing programs is compiled.
fn build(folder: &Path) {
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--workspace", "--lib", "--bins"]);
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => _ = cargo.arg("--tests"),
        Some("release") => _ = cargo.arg("--release"),
        Some(profile) => _ = cargo.args(["--profile", profile]),
    }
    cargo.arg("--target-dir").arg(
        folder
            .parent()
            .expect("a profile lies in the target folder"),
    );
    let output = cargo.output().expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "building the programs under test failed:\n{said}"
    );
}

/// Cargo as a person would start it: what the outer cargo set for this test is taken away, for
/// build scripts would see it as a change and compile again.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let outer = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ];
        if outer.iter().any(|prefix| text.starts_with(prefix)) || text == "LD_LIBRARY_PATH" {
            cargo.env_remove(&name);
        }
    }
    cargo.current_dir(repository());
    cargo
}
