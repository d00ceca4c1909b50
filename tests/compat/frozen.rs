//! Plugins of every released version of the API, as they were built then, through the whole
//! conformance suite; and one that no SDK made, in C.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};
use support::binaries::repository;
use support::cli::run;

/// Runs the suite from outside and wants it passed; gives the checks that were skipped.
async fn conforms(library: &Path, isolation: &str, to: &str) -> Vec<String> {
    let home = tempfile::tempdir().unwrap();
    let library = library.to_str().unwrap();
    let arguments = [
        "plugins",
        "test",
        library,
        "--json",
        "--isolation",
        isolation,
        "--to",
        to,
    ];
    let ran = run(home.path(), &arguments).await;
    let report = ran.json();
    assert_eq!(ran.code, Some(0), "{isolation}: {report:#}");
    let checks = report["checks"].as_array().unwrap();
    assert!(checks.len() >= 18, "the whole suite: {report:#}");
    let skipped = checks.iter().filter(|check| check["outcome"] == "skipped");
    skipped
        .map(|check| check["name"].as_str().unwrap().to_owned())
        .collect()
}

/// The folders of frozen plugins for this machine's kind, one for each version of the API.
fn frozen() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for version in std::fs::read_dir(repository().join("tests/compat/plugins")).unwrap() {
        let folder = version.unwrap().path();
        let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        if folder.join(&target).is_dir() {
            found.push(folder.join(target));
        }
    }
    found
}

#[tokio::test]
async fn every_frozen_plugin_is_what_it_was_and_conforms_in_both_modes() {
    let all = frozen();
    if cfg!(all(target_arch = "x86_64", target_env = "gnu")) {
        let first = all
            .iter()
            .any(|folder| folder.parent().unwrap().ends_with("1.0"));
        assert!(first, "the plugin of API 1.0 is never deleted");
    }
    for folder in all {
        let library = folder.join("conformance.so");
        let bytes = std::fs::read(&library).unwrap();
        let digest: String = Sha256::digest(&bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let noted = std::fs::read_to_string(folder.join("SHA256")).unwrap();
        assert!(
            noted.starts_with(&digest),
            "{} was altered",
            library.display()
        );
        assert!(
            bytes.len() < 1 << 20,
            "{} has {} bytes",
            library.display(),
            bytes.len()
        );
        for isolation in ["process", "in-process"] {
            let skipped = conforms(&library, isolation, "echo:ann").await;
            assert_eq!(skipped, [""; 0], "{}", library.display());
        }
    }
}

/// Only what the contract names leaves a library: the section, the entry, the root module.
#[test]
fn a_frozen_plugin_exports_three_symbols() {
    for folder in frozen() {
        let library = folder.join("conformance.so");
        let Ok(output) = Command::new("nm")
            .arg("-D")
            .arg("--defined-only")
            .arg(library)
            .output()
        else {
            // No binutils here; the loader's own tests look up the same names.
            return;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        let mut names: Vec<_> = text
            .lines()
            .filter_map(|line| line.split(' ').nth(2))
            .collect();
        names.sort_unstable();
        let allowed = [
            "GW_PLUGIN_MANIFEST_V1",
            "_1as_0lib_1header_0root_bmodule_bloader",
            "gw_plugin_entry_v1",
        ];
        assert_eq!(names, allowed);
    }
}

/// A plugin without the SDK: it has no root module for the layout check, so it runs in a child.
#[tokio::test]
async fn a_plugin_in_c_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libc_bell.so");
    let built = Command::new("cc")
        .args([
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-O2",
            "-shared",
            "-fPIC",
            "-I",
        ])
        .arg(repository().join("plugin-api/abi/include"))
        .arg(repository().join("tests/fixtures/c-plugin/plugin.c"))
        .arg("-o")
        .arg(&library)
        .status()
        .expect("a C compiler `cc`, which the README asks for");
    assert!(built.success(), "the C plugin can be built");
    let skipped = conforms(&library, "process", "ann").await;
    let cannot = ["events", "refused-event", "back-pressure", "panic"];
    assert_eq!(skipped, cannot, "what it has no provider for");

    let home = tempfile::tempdir().unwrap();
    let file = library.to_str().unwrap();
    let inside = [
        "plugins",
        "test",
        file,
        "--json",
        "--isolation",
        "in-process",
        "--only",
        "ping",
    ];
    let ran = run(home.path(), &inside).await;
    let report: Value = ran.json();
    assert_eq!(ran.code, Some(1), "{report:#}");
    let found = report["checks"][0]["found"].as_str().unwrap();
    assert!(found.contains("it exports no root module"), "{found}");
}
