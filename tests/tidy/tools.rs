//! The formatter and the linter, over everything. What they say is the failure's text.

use support::binaries;

fn cargo(arguments: &[&str]) {
    let output = binaries::cargo()
        .args(arguments)
        .output()
        .expect("cargo can be started");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "cargo {} failed:\n{out}{err}",
        arguments.join(" ")
    );
}

#[test]
fn the_formatter_would_change_nothing() {
    cargo(&["fmt", "--all", "--check"]);
}

#[test]
fn the_linter_has_nothing_to_say() {
    cargo(&[
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
}
