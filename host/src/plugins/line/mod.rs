//! The way from the host into one instance: frames out. Used by `instance` and `calls`; frames in
//! go to `intake`, whichever the line is.
//!
//! | line | the plugin is | blobs |
//! | --- | --- | --- |
//! | [`Table`] | in this process, behind its function table | handed over, never copied |
//! | `child::Socket` | in a process of its own, behind a socket | copied through the socket |

mod table;

use std::future::{Future, ready};
use std::pin::Pin;

use bytes::Bytes;
use gateway_plugin::abi::rc;
use gateway_plugin::message::{ErrorKind, SurfaceError};

pub(super) use table::{Handle, Table, instance_of, received};

/// Something a line makes its caller wait for.
pub(super) type Wait<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The way into one instance. Dropping it closes it.
pub(super) trait Line: Send + Sync {
    /// Hands a frame to the plugin without ever waiting for it, and gives a code of `abi::rc`.
    fn deliver(&self, kind: u32, id: u64, status: i32, body: &[u8], blob: Bytes) -> i32;

    /// Ends the instance: no frame goes either way afterwards. May wait for calls under way, so
    /// never from within a plugin's call.
    fn close(&self, grace_ms: u32);

    /// Resolves when the plugin has taken enough of what it was sent to be sent large answers.
    fn room(&self) -> Wait<'_> {
        Box::pin(ready(()))
    }

    /// Resolves when nothing of a closed instance is left.
    fn gone(&self) -> Wait<'_> {
        Box::pin(ready(()))
    }
}

/// What an operation's asker is told when `deliver` did not take it.
pub(super) fn refusal(code: i32) -> SurfaceError {
    let (kind, text) = match code {
        rc::BUSY => (
            ErrorKind::Transient,
            "busy: the plugin takes no more operations".to_owned(),
        ),
        rc::CLOSED => (
            ErrorKind::NotConnected,
            "the plugin instance is closed".to_owned(),
        ),
        rc::PANIC => (
            ErrorKind::Panic,
            "the plugin panicked while taking an operation".to_owned(),
        ),
        code => (
            ErrorKind::Other,
            format!("the plugin refused the operation with code {code}"),
        ),
    };
    SurfaceError::new(kind, text)
}
