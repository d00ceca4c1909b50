//! What the suite needs of the plugin under test. Two things answer to it: a surface's type behind
//! the mock host (`mock`), and a built library behind the gateway's own loader (the host's
//! `plugins test`). The checks know neither.

use std::future::Future;
use std::time::Duration;

use serde_json::Value;

use crate::manifest::Manifest;
use crate::message::{Event, Media, OpResult};

/// The plugin under test.
pub trait Subject: Send + Sync {
    /// One opened instance.
    type Account: Account;

    /// The manifest, held against everything that is known about the plugin.
    ///
    /// # Errors
    /// All that is wrong, one line each.
    fn manifest(&self) -> Result<Manifest, Vec<String>>;

    /// Holds a configuration against the manifest's schema, as far as this side can.
    ///
    /// # Errors
    /// All that is wrong, one line each.
    fn check_config(&self, config: &Value) -> Result<(), Vec<String>>;

    /// Opens an instance that is not started yet, with 64 credits. Accounts of the same name share
    /// their state, one after the other.
    ///
    /// # Errors
    /// Why there is none.
    fn open(&self, account: &str) -> Result<Self::Account, String>;

    /// What the process holds at the moment, where that can be told apart from other work.
    fn footprint(&self) -> Option<Footprint>;
}

/// One opened instance of the plugin under test.
pub trait Account: Send + Sync {
    /// Asks for one operation by its body as it is. Dropping the future cancels the operation.
    ///
    /// # Errors
    /// The plugin's own; `Timeout` after `patience`.
    fn request(
        &self,
        body: &[u8],
        media: Media,
        patience: Duration,
    ) -> impl Future<Output = crate::conformance::Answer> + Send;

    /// The next event, not acknowledged; `None` once the instance is closed. Cancel-safe.
    fn event(&self) -> impl Future<Output = Option<Given>> + Send;

    /// What the host holds against the plugin so far.
    fn complaints(&self) -> Vec<String>;

    /// Closes the instance and waits until nothing of it is left.
    ///
    /// # Errors
    /// What is left.
    fn close(self) -> impl Future<Output = Result<(), String>> + Send;
}

/// An operation's answer.
pub type Answer = Result<OpResult, crate::message::SurfaceError>;

/// An event and the way to settle it.
pub struct Given {
    /// What happened.
    pub event: Event,
    /// The bytes beside it.
    pub media: Media,
    /// Takes `true` for "it is on disk", `false` for "it was not taken".
    pub settle: Box<dyn FnOnce(bool) + Send>,
}

impl Given {
    /// Acknowledges it and gives the event.
    pub fn take(self) -> Event {
        (self.settle)(true);
        self.event
    }

    /// Refuses it.
    pub fn refuse(self) {
        (self.settle)(false);
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Its threads.
    pub threads: u64,
    /// Its open files and sockets.
    pub files: u64,
    /// Its memory that is its own, in bytes.
    pub memory: u64,
}

impl Footprint {
    /// Reads it of a process of this machine; `None` where there is no `/proc`.
    pub fn of(process: &str) -> Option<Footprint> {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let number = |name: &str| -> Option<u64> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Some(Footprint {
            threads: number("Threads:")?,
            files: std::fs::read_dir(format!("/proc/{process}/fd"))
                .ok()?
                .count() as u64,
            memory: number("RssAnon:")? << 10,
        })
    }
}
