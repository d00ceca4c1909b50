//! The rules of the house as tests: sizes, headers, floors, words, the four places of a method,
//! what may not stand in the tree, and the formatter and the linter.
//!
//! Each test lists everything it found, one line each: file, line, what to do instead.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod floors;
mod method;
mod shape;
mod source;
mod tools;
mod tree;
mod words;

/// Fails with the whole list, so that one run shows all there is to mend.
fn expect_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}
