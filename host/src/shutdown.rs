//! Tasks that are always held by somebody, and how they are stopped.
//!
//! The only place that calls `tokio::spawn`. Every part of the daemon owns a [`Tasks`]; stopping
//! it cancels the token, waits, and aborts what is left. A panic in a task is logged with the
//! task's name and never silent.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long aborted tasks are given to be gone.
const ABORT_WAIT: Duration = Duration::from_secs(1);

/// A set of running tasks with one stop token. Cheap to clone; clones share the set.
#[derive(Clone, Debug)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: &'static str,
    tracker: TaskTracker,
    /// The trackers of the sets it belongs to: they wait for its tasks too.
    above: Vec<TaskTracker>,
    token: CancellationToken,
    /// Cancelled when patience is over: drops what still runs at its next await.
    abort: CancellationToken,
}

impl Tasks {
    /// An empty set. `name` appears in the log beside every task of the set.
    pub fn new(name: &'static str) -> Self {
        Self::build(
            name,
            CancellationToken::new(),
            CancellationToken::new(),
            Vec::new(),
        )
    }

    /// A set that belongs to this one: it can be stopped on its own, and stops with it.
    pub fn child(&self, name: &'static str) -> Self {
        let Inner {
            token,
            abort,
            tracker,
            above,
            ..
        } = &*self.inner;
        let above = above.iter().chain([tracker]).cloned().collect();
        Self::build(name, token.child_token(), abort.child_token(), above)
    }

    fn build(
        name: &'static str,
        token: CancellationToken,
        abort: CancellationToken,
        above: Vec<TaskTracker>,
    ) -> Self {
        let tracker = TaskTracker::new();
        let inner = Inner {
            name,
            tracker,
            above,
            token,
            abort,
        };
        Tasks {
            inner: Arc::new(inner),
        }
    }

    /// Runs `work` to its end, or until [`Tasks::stop`] loses patience.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let set = self.inner.name;
        let abort = self.inner.abort.clone();
        let counted: Vec<_> = self.inner.above.iter().map(TaskTracker::token).collect();
        // Boxed once, so that the wrappers around it don't each hold room for it.
        let work = Box::pin(work);
        let guarded = async move {
            let work = AssertUnwindSafe(abort.run_until_cancelled(work)).catch_unwind();
            if let Err(panic) = work.await {
                let panic = panic_text(panic);
                tracing::error!(set, task = name, panic, "task panicked");
            }
            drop(counted);
        };
        #[allow(clippy::disallowed_methods, reason = "the one home of spawning")]
        tokio::spawn(self.inner.tracker.track_future(guarded));
    }

    /// Cancelled when the set has to stop. Long tasks select on it.
    pub fn stop_token(&self) -> &CancellationToken {
        &self.inner.token
    }

    /// How many tasks have not ended yet.
    pub fn running(&self) -> usize {
        self.inner.tracker.len()
    }

    /// Cancels the token, waits up to `grace`, then aborts what still runs.
    /// True when every task ended by itself.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.inner.token.cancel();
        self.inner.tracker.close();
        if tokio::time::timeout(grace, self.inner.tracker.wait())
            .await
            .is_ok()
        {
            return true;
        }
        let left = self.inner.tracker.len();
        tracing::warn!(
            set = self.inner.name,
            left,
            "tasks aborted after their grace time"
        );
        self.inner.abort.cancel();
        // They are dropped at their next turn; only one that blocks its thread takes longer.
        let dropped = self.inner.tracker.wait();
        tokio::time::timeout(ABORT_WAIT, dropped).await.ok();
        false
    }
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system's.
    pub fn install() -> std::io::Result<StopSignals> {
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Resolves with the next of them.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The text of a caught panic. The payload is given up, not dropped: its destructor may panic
/// again, outside of what caught the first one.
pub fn panic_text(panic: Box<dyn std::any::Any + Send>) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    #[allow(
        clippy::disallowed_methods,
        reason = "leaks a few bytes once for each panic"
    )]
    std::mem::forget(panic);
    text.unwrap_or_else(|| "panic without a text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stop_waits_for_tasks_that_listen() {
        let tasks = Tasks::new("test");
        let token = tasks.stop_token().clone();
        tasks.spawn("listener", async move { token.cancelled().await });
        assert!(tasks.stop(Duration::from_secs(30)).await);
        assert_eq!(tasks.running(), 0);
    }

    #[tokio::test]
    async fn stop_aborts_tasks_that_do_not() {
        let tasks = Tasks::new("test");
        tasks.spawn("deaf", std::future::pending());
        assert!(!tasks.stop(Duration::from_millis(1)).await);
    }

    #[tokio::test]
    async fn a_panic_does_not_leave_the_task() {
        let tasks = Tasks::new("test");
        tasks.spawn("bad", async { panic!("boom") });
        assert!(tasks.stop(Duration::from_secs(30)).await);
    }

    #[tokio::test]
    async fn a_child_stops_with_its_parent() {
        let parent = Tasks::new("parent");
        let child = parent.child("child");
        let token = child.stop_token().clone();
        let listener = token.clone();
        child.spawn("listener", async move { listener.cancelled().await });
        child
            .child("grandchild")
            .spawn("deaf", std::future::pending());
        assert_eq!(parent.running(), 2);
        assert!(!parent.stop(Duration::from_millis(1)).await);
        assert!(token.is_cancelled());
        assert_eq!(parent.running(), 0);
    }
}
