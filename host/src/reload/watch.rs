//! Notices that a file of the configuration is another one.
//!
//! By looking, a few times a second, at time, size and number of each: that also sees files that
//! are replaced, links that are turned, and folders that come later, on any file system.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use crate::limits::{CONFIG_SETTLE, CONFIG_WATCH_INTERVAL};

/// What a file looked like; `None` where there is none.
type Look = Vec<Option<(i64, i64, u64, u64)>>;

/// The files and what they looked like when they were read last.
#[derive(Debug, Default)]
pub(super) struct Watch {
    files: Vec<PathBuf>,
    seen: Look,
}

impl Watch {
    /// These from now on. Call it before they are read: a change in between is then seen.
    pub(super) async fn begin(&mut self, files: Vec<PathBuf>) {
        self.seen = look(files.clone()).await;
        self.files = files;
    }

    /// These as well, as they are now; the others as they were looked at.
    pub(super) async fn files(&mut self, files: Vec<PathBuf>) {
        let known = std::mem::take(&mut self.files).into_iter();
        let known: Vec<_> = known.zip(std::mem::take(&mut self.seen)).collect();
        let mut seen = look(files.clone()).await;
        for (file, look) in files.iter().zip(&mut seen) {
            if let Some((_, former)) = known.iter().find(|(name, _)| name == file) {
                *look = *former;
            }
        }
        (self.files, self.seen) = (files, seen);
    }

    /// As they are now: what is on disk was written by ourselves.
    pub(super) async fn seen_all(&mut self) {
        self.seen = look(self.files.clone()).await;
    }

    /// Resolves when one of them is another one and has rested for `settle`. Nothing is lost when
    /// the future is dropped.
    pub(super) async fn changed(&self, settle: Duration) {
        let settle = settle.clamp(CONFIG_SETTLE.0, CONFIG_SETTLE.1);
        loop {
            sleep(CONFIG_WATCH_INTERVAL).await;
            let mut now = look(self.files.clone()).await;
            if now == self.seen {
                continue;
            }
            loop {
                sleep(settle).await;
                let later = look(self.files.clone()).await;
                if later == now {
                    break;
                }
                now = later;
            }
            if now != self.seen {
                return;
            }
        }
    }
}

async fn look(files: Vec<PathBuf>) -> Look {
    let look = move || {
        let one = |file: &PathBuf| {
            let meta = std::fs::metadata(file).ok()?;
            Some((meta.mtime(), meta.mtime_nsec(), meta.len(), meta.ino()))
        };
        files.iter().map(one).collect()
    };
    tokio::task::spawn_blocking(look).await.unwrap_or_default()
}
