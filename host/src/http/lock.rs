//! One gateway for one state folder: an operating-system lock, held by a live descriptor.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

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
    _file: File,
}

impl StateLock {
    /// Takes the folder, or says who has it.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(state_dir: &Path) -> Result<StateLock, LockError> {
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
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "pid {}", std::process::id()));
        written.map_err(failed)?;
        Ok(StateLock { _file: file })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_second_one_hears_who_is_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::take(dir.path()).unwrap();
        let refused = StateLock::take(dir.path()).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("pid {}", std::process::id())),
            "{refused}"
        );
        drop(first);
        StateLock::take(dir.path()).unwrap();
    }
}
