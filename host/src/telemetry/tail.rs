//! The end of the log file, for clients that follow it.
//!
//! Called by `logs.tail`. A cursor is a place in the file, in bytes, always behind a whole line.
//! Promises that no more is read than was asked for, and that each line is one JSON object in the
//! shape that clients know: `0` the part of the program, `1` the message, `2` its fields, `_meta`
//! with level and date, `time`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::spell;

/// What stands for a secret.
const HIDDEN: &str = "[redacted]";

/// A piece of the log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Where to read on.
    pub cursor: u64,
    /// Size of the file, bytes.
    pub size: u64,
    /// Whole lines, oldest first.
    pub lines: Vec<String>,
    /// Something before the lines was left out.
    pub truncated: bool,
    /// The cursor was of no use: this is a fresh start.
    pub reset: bool,
}

/// Reads on from `cursor`, or the end of the file without one: at most `bytes_max` bytes and
/// `lines_max` lines. A file that isn't there is an empty one.
///
/// # Errors
/// The system's.
pub fn read(
    path: &Path,
    cursor: Option<u64>,
    lines_max: usize,
    bytes_max: u64,
) -> io::Result<Tail> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Ok(Tail {
                reset: cursor.is_some_and(|cursor| cursor > 0),
                ..Tail::default()
            });
        }
        Err(e) => return Err(e),
    };
    let size = file.metadata()?.len();
    let newest = size.saturating_sub(bytes_max);
    let (start, truncated, reset) = match cursor {
        None => (newest, newest > 0, false),
        Some(cursor) if cursor > size => (newest, newest > 0, true),
        Some(cursor) if cursor < newest => (newest, true, true),
        Some(cursor) => (cursor, false, false),
    };
    // One byte more tells whether a line begins here.
    let before = start.min(1);
    file.seek(SeekFrom::Start(start - before))?;
    let mut bytes = Vec::new();
    file.take(size - start + before).read_to_end(&mut bytes)?;
    let cut = match bytes.first() {
        Some(b'\n') if before == 1 => 1,
        Some(_) if before == 1 => {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            end.map_or(bytes.len(), |end| end + 1)
        }
        _ => 0,
    };
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let text = String::from_utf8_lossy(&bytes[cut.min(whole)..whole]);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let late = lines.len().saturating_sub(lines_max);
    Ok(Tail {
        cursor: match whole {
            0 => start,
            whole => start - before + whole as u64,
        },
        size,
        lines: lines[late..]
            .iter()
            .map(|line| (*line).to_owned())
            .collect(),
        truncated,
        reset,
    })
}

/// One line as it stands in the file.
#[derive(Deserialize)]
struct Entry {
    ts: u64,
    level: String,
    target: String,
    message: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// A line of the file in the shape that clients know; one of another shape stays as it is.
/// `secrets` are hidden, should one ever have got into the log.
pub fn shaped(line: &str, secrets: &[&str]) -> String {
    let mut line = line.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        if line.contains(secret) {
            line = line.replace(secret, HIDDEN);
        }
    }
    match serde_json::from_str::<Entry>(&line) {
        Ok(entry) => entry.shaped().to_string(),
        Err(_) => line,
    }
}

impl Entry {
    fn shaped(self) -> Value {
        let (id, name) = match self.level.as_str() {
            "error" => (5, "ERROR"),
            "warn" => (4, "WARN"),
            "info" => (3, "INFO"),
            "debug" => (2, "DEBUG"),
            _ => (1, "TRACE"),
        };
        let part = self
            .target
            .strip_prefix("gateway_host::")
            .unwrap_or(&self.target);
        let part = part.split("::").next().filter(|part| !part.is_empty());
        let context = json!({ "subsystem": part.unwrap_or("gateway") }).to_string();
        let mut message = self.message;
        for (name, value) in &self.fields {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            message.push_str(&format!(" {name}={value}"));
        }
        let date = spell::moment(self.ts);
        let mut line = json!({
            "0": context, "1": message.trim(),
            "_meta": { "name": context, "parentNames": ["openclaw"], "date": date,
                "logLevelId": id, "logLevelName": name },
            "time": date,
        });
        if !self.fields.is_empty() {
            line["2"] = Value::Object(self.fields);
        }
        line
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lines(tail: &Tail) -> Vec<&str> {
        tail.lines.iter().map(String::as_str).collect()
    }

    #[test]
    fn a_cursor_reads_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let missing = read(&path, None, 10, 100).unwrap();
        assert_eq!(missing, Tail::default());
        assert!(read(&path, Some(7), 10, 100).unwrap().reset);
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let first = read(&path, None, 10, 100).unwrap();
        assert_eq!(
            (lines(&first), first.cursor, first.size),
            (vec!["one", "two"], 8, 11)
        );
        assert!(!first.truncated && !first.reset);
        std::fs::write(&path, "one\ntwo\nthree\nfour\n").unwrap();
        let next = read(&path, Some(first.cursor), 10, 100).unwrap();
        assert_eq!((lines(&next), next.cursor), (vec!["three", "four"], 19));
        let none = read(&path, Some(next.cursor), 10, 100).unwrap();
        assert_eq!((lines(&none), none.cursor), (vec![], 19));
        let few = read(&path, None, 1, 100).unwrap();
        assert_eq!((lines(&few), few.truncated), (vec!["four"], false));
    }

    #[test]
    fn a_bound_and_a_turned_over_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let cut = read(&path, None, 10, 8).unwrap();
        assert_eq!(
            (lines(&cut), cut.truncated, cut.reset),
            (vec!["three"], true, false)
        );
        let at_line = read(&path, None, 10, 6).unwrap();
        assert_eq!(lines(&at_line), ["three"]);
        let behind = read(&path, Some(0), 10, 8).unwrap();
        assert_eq!(
            (lines(&behind), behind.truncated, behind.reset),
            (vec!["three"], true, true)
        );
        let beyond = read(&path, Some(99), 10, 100).unwrap();
        assert_eq!(
            (lines(&beyond).len(), beyond.truncated, beyond.reset),
            (3, false, true)
        );
        let tiny = read(&path, None, 10, 2).unwrap();
        assert_eq!((lines(&tiny), tiny.cursor), (vec![], 14));
    }

    #[test]
    fn lines_have_the_shape_that_clients_know() {
        let line = r#"{"ts":1795374042007,"level":"warn","target":"gateway_host::channels::task","message":"slow","account":"work","tries":2,"key":"sk-secret"}"#;
        let shaped: Value = serde_json::from_str(&shaped(line, &["sk-secret", ""])).unwrap();
        assert_eq!(
            shaped,
            json!({ "0": "{\"subsystem\":\"channels\"}",
                "1": "slow account=work key=[redacted] tries=2",
                "2": { "account": "work", "tries": 2, "key": "[redacted]" },
                "_meta": { "name": "{\"subsystem\":\"channels\"}", "parentNames": ["openclaw"],
                    "date": "2026-11-22T19:00:42.007Z", "logLevelId": 4, "logLevelName": "WARN" },
                "time": "2026-11-22T19:00:42.007Z" })
        );
        assert_eq!(super::shaped("not JSON", &[]), "not JSON");
    }
}
