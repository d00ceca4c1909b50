//! Sessions that go or shrink: what is taken out of the database is kept as a file first.
//!
//! Called by `sessions.delete` and `sessions.compact`. Promises that no message goes that is not in
//! the file: when somebody writes meanwhile, it is begun again, and given up after a few tries.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::{SessionKey, SessionRow, Sessions, archive};
use crate::limits::ARCHIVE_TRIES_MAX;
use crate::store::StoreError;
use crate::store::sessions::{self as disk, Deleted};
use crate::store::transcripts::{self, Extent};

/// Why a session was left as it is.
#[derive(Debug)]
pub enum RemovalError {
    /// The database failed.
    Store(StoreError),
    /// The file could not be written.
    File(PathBuf, io::Error),
    /// It was written to again and again.
    Busy,
}

impl fmt::Display for RemovalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RemovalError::Store(error) => error.fmt(f),
            RemovalError::File(path, error) => {
                write!(f, "can't write {}: {error}", path.display())
            }
            RemovalError::Busy => f.write_str("the session is written to"),
        }
    }
}

impl std::error::Error for RemovalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RemovalError::Store(error) => Some(error),
            RemovalError::File(_, error) => Some(error),
            RemovalError::Busy => None,
        }
    }
}

impl From<StoreError> for RemovalError {
    fn from(error: StoreError) -> Self {
        RemovalError::Store(error)
    }
}

/// What became of a session that was to be shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compacted {
    /// There is none.
    Unknown,
    /// It has no messages.
    Empty,
    /// It was short enough; so many messages.
    Short(u64),
    /// The oldest messages are in this file.
    Cut(PathBuf),
}

impl Sessions {
    /// Takes a session out, and its transcript too if `with_transcript`, which is kept as a file.
    /// `None` when there is no such session; otherwise the file, if there was anything to keep.
    ///
    /// # Errors
    /// [`RemovalError`]; the session is there then, and so may be a file.
    pub async fn delete(
        &self,
        key: &SessionKey,
        with_transcript: bool,
    ) -> Result<Option<Option<PathBuf>>, RemovalError> {
        for _ in 0..ARCHIVE_TRIES_MAX {
            let Some(row) = self.get(key)? else {
                return Ok(None);
            };
            let seen = transcripts::extent(&self.store, &row.session_id)?;
            let file = match with_transcript {
                true => self.keep_as_file(key, &seen, "deleted").await?,
                false => None,
            };
            match disk::delete(&self.store, key.as_str(), seen, with_transcript).await? {
                Deleted::Gone => return Ok(Some(file)),
                Deleted::Unknown => return Ok(None),
                Deleted::Changed => forget(file),
            }
        }
        Err(RemovalError::Busy)
    }

    /// Leaves a session its newest `keep` messages; the whole transcript is kept as a file.
    ///
    /// # Errors
    /// [`RemovalError`]; the transcript is whole then.
    pub async fn compact(&self, key: &SessionKey, keep: u64) -> Result<Compacted, RemovalError> {
        for _ in 0..ARCHIVE_TRIES_MAX {
            let Some(row) = self.get(key)? else {
                return Ok(Compacted::Unknown);
            };
            let seen = transcripts::extent(&self.store, &row.session_id)?;
            match seen.count() {
                0 => return Ok(Compacted::Empty),
                count if count <= keep => return Ok(Compacted::Short(count)),
                _ => {}
            }
            let from = seen.end.saturating_sub(keep);
            let file = self.keep_as_file(key, &seen, "bak").await?;
            let now = self.clock.now_ms();
            let touch = move |row: &mut SessionRow| {
                row.tokens = None;
                row.updated_at = now;
            };
            if transcripts::cut_before(&self.store, key.as_str(), seen, from, touch).await? {
                return Ok(file.map_or(Compacted::Empty, Compacted::Cut));
            }
            forget(file);
        }
        Err(RemovalError::Busy)
    }

    async fn keep_as_file(
        &self,
        key: &SessionKey,
        seen: &Extent,
        why: &str,
    ) -> Result<Option<PathBuf>, RemovalError> {
        if seen.count() == 0 {
            return Ok(None);
        }
        let config = self.config.current();
        let agent = archive::agent_of(key, config.agents.default_id());
        let state_dir = &config.paths.state_dir;
        let now = self.clock.now_ms();
        let path = archive::path(state_dir, agent, &seen.session_id, why, now);
        let (store, seen, file) = (self.store.clone(), seen.clone(), path.clone());
        let write = move || archive::write(&store, &seen, &file);
        let written = tokio::task::spawn_blocking(write).await;
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => Ok(Some(path)),
            Err(error) => Err(RemovalError::File(path, error)),
        }
    }
}

/// A file of a state that has passed already.
fn forget(file: Option<PathBuf>) {
    if let Some(file) = file {
        // What can't be removed is one more copy.
        std::fs::remove_file(file).ok();
    }
}
