//! An existing state folder of the reference taken into the database: conversations, paired
//! devices, cron jobs.
//!
//! Called by `openclaw import` alone, while no gateway runs. Each file of the source is read and
//! never written. Promises that doing it twice changes nothing more, that nothing of this
//! gateway's own is replaced, and that whatever is left out is named with its reason.

mod conversations;
mod devices;
mod envelope;
mod jobs;
mod transcript;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::config::Config;
use crate::limits::{IMPORT_FILE_BYTES_MAX, IMPORT_SKIPPED_SHOWN_MAX};
use crate::store::{Store, StoreError};

/// What is taken in, and where to.
pub struct Import<'a> {
    /// The source.
    pub folder: &'a Path,
    /// The database; none when there is none yet and nothing is to be written.
    pub store: Option<&'a Store>,
    /// Whose agents and session rules count.
    pub config: &'a Config,
    /// Time and randomness.
    pub clock: Clock,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// How many of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Taken in now.
    pub imported: u64,
    /// Here already.
    pub unchanged: u64,
}

/// Something that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// What kind of thing: `session`, `transcript`, `device`, `pairing request`, `cron job`, `file`.
    pub kind: &'static str,
    /// Its key, id or path.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What was done, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Conversations.
    pub sessions: Tally,
    /// Their messages.
    pub messages: Tally,
    /// Paired devices.
    pub devices: Tally,
    /// Devices that wait for approval.
    pub requests: Tally,
    /// Cron jobs.
    pub jobs: Tally,
    /// What was left out: the first of them.
    pub skipped: Vec<Skipped>,
    /// How many were left out in all.
    pub skipped_count: u64,
}

impl Report {
    fn skip(&mut self, kind: &'static str, name: impl Into<String>, reason: impl Into<String>) {
        self.skipped_count += 1;
        if self.skipped.len() < IMPORT_SKIPPED_SHOWN_MAX {
            let (name, reason) = (name.into(), reason.into());
            self.skipped.push(Skipped { kind, name, reason });
        }
    }
}

/// Why nothing, or nothing more, was taken in.
#[derive(Debug)]
pub enum ImportError {
    /// The folder holds nothing that is known here.
    NoState(PathBuf),
    /// The database failed. What was reported as imported by then is there; the next try goes on.
    Store(StoreError),
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoState(folder) => write!(
                f,
                "{} is no state folder: it has neither agents/<id>/sessions/sessions.json nor \
                 devices/paired.json nor cron/jobs.json",
                folder.display()
            ),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoState(_) => None,
            Self::Store(error) => Some(error),
        }
    }
}

impl From<StoreError> for ImportError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Takes in everything that is known here. Blocks on files: not for a thread that others wait for.
///
/// # Errors
/// [`ImportError`].
pub async fn run(import: &Import<'_>) -> Result<Report, ImportError> {
    let mut report = Report::default();
    let found = [
        conversations::run(import, &mut report).await?,
        devices::run(import, &mut report).await?,
        jobs::run(import, &mut report).await?,
    ];
    if !found.contains(&true) {
        return Err(ImportError::NoState(import.folder.to_path_buf()));
    }
    for (file, reason) in LEFT_OUT {
        let path = import.folder.join(file);
        if path.exists() {
            report.skip("file", path.display().to_string(), *reason);
        }
    }
    Ok(report)
}

/// What a state folder may also hold, and why it stays there.
const LEFT_OUT: &[(&str, &str)] = &[
    ("cron/runs", "logs of finished runs are not taken over"),
    ("credentials", "logins of channels belong to their plugins"),
    (
        "nodes",
        "nodes are paired as devices; the older list gates nothing",
    ),
    ("memory", "search indexes are made anew"),
];

/// A file of the source; none when it isn't there. What can't be used is named in the report.
fn text_of(path: &Path, report: &mut Report) -> Option<String> {
    let read = || -> Result<Option<String>, String> {
        let file = match std::fs::File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e.to_string()),
        };
        let mut text = String::new();
        let mut bounded = file.take(IMPORT_FILE_BYTES_MAX + 1);
        bounded
            .read_to_string(&mut text)
            .map_err(|e| e.to_string())?;
        if text.len() as u64 > IMPORT_FILE_BYTES_MAX {
            return Err(format!("larger than {IMPORT_FILE_BYTES_MAX} bytes"));
        }
        Ok(Some(text))
    };
    read().unwrap_or_else(|reason| {
        report.skip("file", path.display().to_string(), reason);
        None
    })
}
