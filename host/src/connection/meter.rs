//! Bounds how much an unknown client may make us read.
//!
//! The listener counts every byte of a TCP connection here. Before hello-ok there is a bound;
//! at hello-ok it is lifted, and the WebSocket's own message limit takes over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::limits::{HANDSHAKE_FRAME_BYTES_MAX, HANDSHAKE_PENDING_FRAMES_MAX};

/// The request head and as many frames as may wait during a handshake.
const BEFORE_HELLO_BYTES_MAX: u64 =
    ((HANDSHAKE_PENDING_FRAMES_MAX + 2) * HANDSHAKE_FRAME_BYTES_MAX) as u64;

/// Bytes that one connection may still send. Clones share the count.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    left: AtomicU64,
    exhausted: AtomicBool,
    linger: AtomicBool,
}

impl Default for Meter {
    fn default() -> Self {
        Meter(Arc::new(Inner {
            left: AtomicU64::new(BEFORE_HELLO_BYTES_MAX),
            exhausted: AtomicBool::new(false),
            linger: AtomicBool::new(false),
        }))
    }
}

impl Meter {
    /// Counts `bytes`; false when that is more than was left.
    pub fn count(&self, bytes: usize) -> bool {
        let left = self.0.left.load(Ordering::Relaxed);
        if left == u64::MAX {
            return true;
        }
        let bytes = bytes as u64;
        if bytes > left {
            self.0.exhausted.store(true, Ordering::Relaxed);
            return false;
        }
        self.0.left.store(left - bytes, Ordering::Relaxed);
        true
    }

    /// Lifts the bound: the client is known now.
    pub fn lift(&self) {
        self.0.left.store(u64::MAX, Ordering::Relaxed);
    }

    /// Whether the bound was hit.
    pub fn is_exhausted(&self) -> bool {
        self.0.exhausted.load(Ordering::Relaxed)
    }

    /// Asks the listener to read on for a moment after the end: what the client still sends would
    /// otherwise reset the connection and take our close frame with it.
    pub fn linger(&self) {
        self.0.linger.store(true, Ordering::Relaxed);
    }

    /// Whether to read on after the end.
    pub fn wants_linger(&self) -> bool {
        self.0.linger.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_holds_until_it_is_lifted() {
        let meter = Meter::default();
        assert!(meter.count(HANDSHAKE_FRAME_BYTES_MAX));
        assert!(!meter.count(BEFORE_HELLO_BYTES_MAX as usize));
        assert!(meter.is_exhausted());
        meter.lift();
        assert!(meter.count(usize::MAX));
    }
}
