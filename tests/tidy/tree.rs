//! What may not stand anywhere in the tree: this or that machine's folders, registry mirrors,
//! and packages from elsewhere.

use std::process::Command;

use support::binaries::repository;

use crate::expect_none;

/// Pieces, so that this file does not hold what it looks for.
const PLACES: [(&str, &str); 6] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
    ("registry.npm", "js.org"),
    ("files.python", "hosted.org"),
];

#[test]
fn the_tree_names_no_machine_and_no_registry() {
    let mut found = Vec::new();
    for name in tracked() {
        let Ok(text) = std::fs::read_to_string(repository().join(&name)) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            for (start, end) in PLACES {
                let place = format!("{start}{end}");
                if line.contains(&place) {
                    found.push(format!("{name}:{}: {place}", number + 1));
                }
            }
        }
    }
    expect_none(
        "the project names no machine's folders and no registry's hosts",
        &found,
    );
}

#[test]
fn every_package_comes_from_the_one_registry() {
    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    let home = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
    let found: Vec<_> = lock
        .lines()
        .filter(|line| line.starts_with("source = ") && *line != home)
        .map(str::to_owned)
        .collect();
    expect_none("a package comes from crates.io and nowhere else", &found);
}

fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .arg("ls-files")
        .current_dir(repository())
        .output();
    let output = output.expect("git lists the tree");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}
