//! The commands for those who write plugins: `plugins test`, on real libraries.

use std::path::Path;

use serde_json::Value;
use support::binaries;
use support::cli::{Ran, run};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};

/// Runs the suite on a library, with `more` on the command line.
async fn tested(library: &Path, more: &[&str]) -> Ran {
    let home = tempfile::tempdir().unwrap();
    let file = library.to_str().unwrap();
    let ran = run(home.path(), &[&["plugins", "test", file], more].concat()).await;
    let left = home.path().join(".openclaw/plugins");
    let left = std::fs::read_dir(left).map_or(0, Iterator::count);
    assert_eq!(left, 0, "copies are left behind");
    ran
}

fn outcome<'a>(report: &'a Value, name: &str) -> &'a str {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap()["outcome"].as_str().unwrap()
}

#[tokio::test]
async fn a_good_library_conforms() {
    let echo = binaries::library("gateway-plugin-echo");
    let ran = tested(&echo, &["--to", "echo:ann", "--json"]).await;
    let report = ran.json();
    assert_eq!(
        (ran.code, &report["ok"]),
        (Some(0), &true.into()),
        "{report:#}"
    );
    assert_eq!(
        (&report["plugin"], &report["api"]),
        (&"echo".into(), &"1.0".into())
    );
    assert_eq!(
        (report["passed"].as_u64(), report["skipped"].as_u64()),
        (Some(17), Some(1))
    );
    assert_eq!(outcome(&report, "panic"), "skipped");

    let only = tested(&echo, &["--only", "ping,send"]).await;
    assert_eq!(only.code, Some(0), "{only:?}");
    assert!(only.out.contains("│ ping  │ passed │"), "{}", only.out);
    let last = "echo 0.1.0 conforms to API 1.0: 2 passed, 0 failed, 0 skipped\n";
    assert!(only.out.ends_with(last), "{}", only.out);
}

#[tokio::test]
async fn a_faulty_one_is_told_what_is_wrong() {
    let faulty = binaries::library("gateway-faulty-plugin");
    let ran = tested(&faulty, &["--only", "send,declared", "--json"]).await;
    let report = ran.json();
    assert_eq!(
        (ran.code, &report["ok"]),
        (Some(1), &false.into()),
        "{report:#}"
    );
    assert_eq!(outcome(&report, "send"), "failed");
    let found = report["checks"][0]["found"].as_str().unwrap();
    assert_eq!(found, "two messages have the same messageId \"1\"");
    let found = report["checks"][1]["found"].as_str().unwrap();
    assert!(
        found.contains("typing is not supported by this surface"),
        "{found}"
    );
}

#[tokio::test]
async fn what_cannot_be_tested_is_refused() {
    let refused = async |arguments: &[&str], code: i32, words: &str| {
        let home = tempfile::tempdir().unwrap();
        let ran = run(home.path(), &[&["plugins", "test"], arguments].concat()).await;
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.err.contains(words), "{ran:?}");
    };
    let echo = binaries::library("gateway-plugin-echo");
    let echo = echo.to_str().unwrap();
    refused(&["missing.so"], 1, "build it first: cargo build").await;
    refused(
        &[binaries::openclaw().to_str().unwrap()],
        1,
        "not a gateway plugin",
    )
    .await;
    refused(&[echo, "--only", "pong"], 2, "name one of manifest,").await;
    refused(&[echo, "--config", "{"], 2, "--config is no JSON").await;
    refused(&[echo, "--config", "no-such-file"], 1, "no-such-file").await;
}

/// `plugins new`, then what its author would do: build, test, check from outside. The project is
/// no part of this workspace and is built in a target folder of its own, kept for the next time.
async fn written(template: &str, more: &[&str]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let sdk = binaries::repository().join("plugin-api");
    let name = format!("acme-{template}");
    let arguments = ["plugins", "new", &name, "--template", template, "--sdk"];
    let ran = run(
        home.path(),
        &[&arguments[..], &[sdk.to_str().unwrap()]].concat(),
    )
    .await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("  cargo test\n"), "{ran:?}");
    let again = run(
        home.path(),
        &[&arguments[..], &[sdk.to_str().unwrap()]].concat(),
    )
    .await;
    assert!(
        again.err.contains("nothing is ever written over"),
        "{again:?}"
    );

    let project = home.path().join(&name);
    // The versions this repository was tested with, and nothing from the network.
    let lock = binaries::repository().join("Cargo.lock");
    std::fs::copy(lock, project.join("Cargo.lock")).unwrap();
    let target = binaries::built().parent().unwrap().join("plugin-projects");
    for command in [
        &["fmt", "--check"][..],
        &["test", "--offline"],
        &["build", "--offline"],
    ] {
        let mut cargo = tokio::process::Command::from(binaries::cargo());
        cargo.current_dir(&project).env("CARGO_TARGET_DIR", &target);
        let output = cargo.args(command).output().await.unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {command:?}:\n{said}");
        assert!(!said.contains("warning:"), "cargo {command:?}:\n{said}");
        if command[0] == "test" {
            assert!(said.contains("test conformance::restart ... ok"), "{said}");
        }
    }
    let library = format!("lib{}.so", name.replace('-', "_"));
    let library = target.join("debug").join(library);
    let ran = tested(&library, &[more, &["--json"]].concat()).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["plugin"], name);
    home
}

/// What the author sees and types while `plugins dev` runs.
struct Desk {
    typed: tokio::process::ChildStdin,
    shown: tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>,
}

impl Desk {
    async fn types(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.typed.write_all(line.as_bytes()).await.unwrap();
    }

    /// The next line with these words.
    async fn sees(&mut self, words: &str) -> String {
        let look = async {
            while let Some(line) = self.shown.next_line().await.unwrap() {
                if line.contains(words) {
                    return line;
                }
            }
            panic!("the command ended without {words:?}")
        };
        support::wait::within(words, look).await
    }
}

/// `plugins dev` on the echo project: messages both ways, a change is taken, a broken build is not.
#[allow(
    clippy::disallowed_methods,
    reason = "the test's own surroundings, not the daemon's"
)]
async fn developed(home: &Path) {
    let project = home.join("acme-echo");
    let mut command = tokio::process::Command::from(support::gateway::command(home));
    let cargo = std::env::var_os("CARGO_HOME");
    let cargo = cargo.or_else(|| Some(std::env::home_dir()?.join(".cargo").into_os_string()));
    let target = binaries::built().parent().unwrap().join("plugin-projects");
    command
        .args(["plugins", "dev", project.to_str().unwrap()])
        .env("CARGO_HOME", cargo.unwrap())
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true);
    if let Some(rustup) = std::env::var_os("RUSTUP_HOME") {
        command.env("RUSTUP_HOME", rustup);
    }
    let mut child = command.spawn().unwrap();
    let shown = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let mut desk = Desk {
        typed: child.stdin.take().unwrap(),
        shown,
    };
    desk.sees("acme-echo 0.1.0 runs").await;
    desk.types("echo:ann hello").await;
    desk.sees("\"text\":\"you said: hello\"").await;
    desk.sees("> {\"result\":\"sent\"").await;

    let source = project.join("src/lib.rs");
    let first = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, first.replace("you said: ", "heard: ")).unwrap();
    desk.sees("acme-echo 0.1.0 runs").await;
    // A single word goes to the last target.
    desk.types("again").await;
    let again = desk.sees("\"text\":\"heard: again\"").await;
    assert!(again.contains("\"id\":\"2-"), "its state was kept: {again}");

    std::fs::write(&source, "no Rust").unwrap();
    desk.sees("the old one runs on").await;
    desk.types("still").await;
    desk.sees("\"text\":\"heard: still\"").await;
    drop(desk);
    let ended = support::wait::within("the end of the command", child.wait()).await;
    assert!(ended.unwrap().success());
}

#[tokio::test]
async fn a_new_echo_surface_builds_passes_and_answers() {
    let project = written("echo", &["--to", "echo:ann"]).await;
    developed(project.path()).await;
}

#[tokio::test]
async fn a_new_polling_surface_builds_and_passes() {
    // From outside without a provider: what can be asked of it while nobody listens there.
    written(
        "polling",
        &["--only", "manifest,config-refused,ping,restart"],
    )
    .await;
}
