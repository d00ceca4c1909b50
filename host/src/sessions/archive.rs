//! Transcripts as JSON lines: what is kept of a session that is deleted or shortened, and what an
//! export writes. The form is the one that agent tools of this family read: a line that names the
//! session, then one for each message, each with the id of the one before.
//!
//! Called by [`super::Sessions`] and the methods.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{MessageRow, SessionKey, transcript};
use crate::files;
use crate::limits::EXPORT_MESSAGES;
use crate::spell::moment;
use crate::store::transcripts::{self, Extent};
use crate::store::{Store, StoreError};

/// The version of the form that is written.
const VERSION: u64 = 3;

/// The line that opens a transcript which began at `began_ms`.
pub fn first_line(session_id: &str, began_ms: u64) -> Value {
    let began = moment(began_ms);
    json!({ "type": "session", "version": VERSION, "id": session_id, "timestamp": began })
}

/// The line of one message; `parent` is the id of the message before.
pub fn line(message: &MessageRow, parent: Option<&str>) -> Value {
    json!({
        "type": "message", "id": message.id, "parentId": parent,
        "timestamp": moment(message.timestamp), "message": transcript::raw(message),
    })
}

/// Where the transcript of a session lies once it is kept as a file: `why` says what happened.
pub fn path(state_dir: &Path, agent: &str, session_id: &str, why: &str, now_ms: u64) -> PathBuf {
    let when = moment(now_ms).replace(':', "-");
    let folder = state_dir.join("agents").join(agent).join("sessions");
    folder.join(format!("{session_id}.jsonl.{why}.{when}"))
}

/// The agent whose folder keeps what is left of a session.
pub fn agent_of<'a>(key: &'a SessionKey, default: &'a str) -> &'a str {
    key.agent_id().unwrap_or(default)
}

/// Writes the messages of a transcript, those that there are now, to a new file.
///
/// # Errors
/// The system's, or what the database says.
pub fn write(store: &Store, seen: &Extent, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        files::private_dir(folder)?;
    }
    files::write_private_with(path, |file| {
        let mut out = BufWriter::new(file);
        let mut parent: Option<String> = None;
        let mut next = seen.first;
        while next < seen.end {
            let page = read(store, seen, next)?;
            let Some((last, _)) = page.last() else { break };
            next = last + 1;
            for (number, message) in &page {
                if *number == seen.first {
                    put(&mut out, &first_line(&seen.session_id, message.timestamp))?;
                }
                put(&mut out, &line(message, parent.as_deref()))?;
                parent = Some(message.id.clone());
            }
        }
        out.flush()
    })
}

fn read(store: &Store, seen: &Extent, from: u64) -> io::Result<Vec<(u64, MessageRow)>> {
    let page = transcripts::page(store, &seen.session_id, from, EXPORT_MESSAGES);
    page.map_err(|error: StoreError| io::Error::other(error))
}

fn put(out: &mut impl Write, line: &Value) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}
