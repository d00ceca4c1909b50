//! Recorded conversations, one JSON object a line.
//!
//! Kinds of lines: `note`, `open` (header fields), `s2c` and `c2s` with a `frame` or `raw` text,
//! `close` with code and reason. With several connections each line has its number in `conn`.

use std::path::Path;

use serde_json::Value;

/// One step of a recording.
#[derive(Debug, Clone)]
pub enum Step {
    /// The gateway sent this frame.
    Server(Value),
    /// The client sent this frame, as binary when the flag is set.
    Client(Value, bool),
    /// The client sent this text, which is no frame.
    Raw(String),
    /// The gateway closed: code and reason.
    Close(u16, String),
    /// The client closed, without a code.
    Leave,
}

/// Reads a recording: each step and the number of its connection, 0 when there is only one.
///
/// # Panics
/// When the file is missing or a line has an unknown form: recordings are part of the tree.
#[must_use]
pub fn read(path: &Path) -> Vec<(u64, Step)> {
    let text = std::fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    text.lines()
        .filter(|line| !line.is_empty())
        .filter_map(step)
        .collect()
}

fn step(line: &str) -> Option<(u64, Step)> {
    let line: Value = serde_json::from_str(line).expect("a recording is JSON lines");
    let frame = line.get("frame").cloned();
    let step = match (line["dir"].as_str(), frame) {
        (Some("s2c"), Some(frame)) => Some(Step::Server(frame)),
        (Some("c2s"), Some(frame)) => Some(Step::Client(frame, line["bin"] == true)),
        (Some("c2s"), None) => Some(Step::Raw(
            line["raw"].as_str().expect("raw text").to_owned(),
        )),
        (Some("close"), _) if line["by"] == "client" || line["code"] == 1005 => Some(Step::Leave),
        (Some("close"), _) => {
            let code = line["code"]
                .as_u64()
                .and_then(|code| u16::try_from(code).ok());
            let reason = line["reason"].as_str().unwrap_or_default();
            Some(Step::Close(
                code.expect("a close has a code"),
                reason.to_owned(),
            ))
        }
        (Some("note" | "open"), _) => None,
        (Some("s2c"), None) if line["ping"] == true => None,
        _ => panic!("unknown line in a recording: {line}"),
    };
    step.map(|step| (line["conn"].as_u64().unwrap_or_default(), step))
}
