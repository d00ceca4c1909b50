//! Sizes and headers.

use crate::{expect_none, source};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn no_file_is_too_long() {
    let found: Vec<_> = source::workspace()
        .iter()
        .filter(|file| file.own_lines() > FILE_LINES_MAX)
        .map(|file| format!("{}: {} lines", file.name, file.own_lines()))
        .collect();
    expect_none(
        &format!("a file has at most {FILE_LINES_MAX} lines less its tests"),
        &found,
    );
}

#[test]
fn no_function_is_too_long() {
    let mut found = Vec::new();
    for file in source::workspace() {
        for function in file.functions() {
            let lines = function.last - function.first + 1;
            if lines > FUNCTION_LINES_MAX {
                let (name, first) = (&function.name, function.first);
                found.push(format!("{}:{first}: `{name}` has {lines} lines", file.name));
            }
        }
    }
    expect_none(
        &format!("a function has at most {FUNCTION_LINES_MAX} lines"),
        &found,
    );
}

#[test]
fn every_file_says_what_lives_in_it() {
    let found: Vec<_> = source::workspace()
        .iter()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| file.name.clone())
        .collect();
    expect_none(
        "a file opens with `//!`: what lives here, who calls it, what it promises",
        &found,
    );
}

/// A queue's bound is a name of `limits.rs`, with unit and reason, not a number at the place.
#[test]
fn every_queue_has_a_named_bound() {
    let mut found = Vec::new();
    for file in source::all(&["host/src", "plugin-api/src", "plugins"]) {
        for place in file.places("mpsc::channel") {
            let line = file.line(place);
            let rest: String = file.code[place..].iter().take(200).collect();
            let bound = rest
                .split_once('(')
                .map_or("", |(_, rest)| rest)
                .trim_start();
            let number = bound.starts_with(|c: char| c.is_ascii_digit());
            if number && !bound.starts_with("1)") && !file.in_test(line) {
                found.push(format!("{}:{line}", file.name));
            }
        }
    }
    expect_none(
        "a queue's bound is a constant with its reason (host/src/limits.rs)",
        &found,
    );
}
