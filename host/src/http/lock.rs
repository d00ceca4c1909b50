//! One gateway for one state folder: an operating-system lock, held by a live descriptor.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::clock::Clock;

/// Why the state folder can't be had.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it.
    Held {
        /// The state folder.
        state_dir: PathBuf,
        /// What the holder wrote of itself.
        holder: String,
    },
    /// The lock file can't be used.
    Io(PathBuf, io::Error),
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Held { state_dir, holder } => write!(
                f,
                "gateway already running on the state folder {} ({holder}): stop it, or name \
                 another folder with --state-dir",
                state_dir.display()
            ),
            Self::Io(path, e) => write!(f, "can't use the lock file {}: {e}", path.display()),
        }
    }
}

impl std::error::Error for LockError {}

/// The lock. Dropping it, or the end of the process, gives the folder back.
#[derive(Debug)]
pub struct StateLock {
    file: File,
    line: String,
}

impl StateLock {
    /// Takes the folder, or says who has it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(state_dir: &Path, clock: &Clock) -> Result<StateLock, LockError> {
        let path = state_dir.join("gateway.lock");
        let failed = |e| LockError::Io(path.clone(), e);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).ok();
                let holder = holder.trim().to_owned();
                return Err(LockError::Held {
                    state_dir: state_dir.to_path_buf(),
                    holder,
                });
            }
            Err(e) => return Err(failed(e.into())),
        }
        let since = i64::try_from(clock.now_ms()).unwrap_or_default();
        let since = jiff::Timestamp::from_millisecond(since).unwrap_or_default();
        let line = format!("pid {}, since {since:.0}", std::process::id());
        let mut lock = StateLock { file, line };
        lock.write("").map_err(failed)?;
        Ok(lock)
    }

    /// Adds where the gateway listens, for the one who finds the folder taken.
    pub fn tell_address(&mut self, url: &str) {
        if let Err(error) = self.write(&format!(", {url}")) {
            tracing::warn!(%error, "the lock file doesn't say where the gateway listens");
        }
    }

    fn write(&mut self, more: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{}{more}", self.line)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_second_one_hears_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let mut first = StateLock::take(dir.path(), &clock).unwrap();
        let refused = StateLock::take(dir.path(), &clock).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("pid {}", std::process::id())),
            "{refused}"
        );
        first.tell_address("ws://127.0.0.1:1");
        let refused = StateLock::take(dir.path(), &clock).unwrap_err().to_string();
        assert!(refused.contains(", since 20"), "{refused}");
        assert!(refused.contains(", ws://127.0.0.1:1)"), "{refused}");
        drop(first);
        StateLock::take(dir.path(), &clock).unwrap();
    }
}
