//! The panic barrier: no panic of a plugin's code leaves the task it happened in.
//!
//! Used by `Cx::spawn` and the dispatcher for every future of the author's, by `runtime` for the
//! C entry points.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use gateway_plugin_abi::{kind, rc};

use crate::cx::HostLine;
use crate::message::{ErrorKind, Media, SurfaceError};

/// A future whose panic is its `Err`, as text.
pub(crate) struct Caught<T>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T> Caught<T> {
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<T> Future for Caught<T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(future) = self.0.as_mut() else {
            return Poll::Ready(Err("polled after its end".to_owned()));
        };
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)));
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => {
                self.forget();
                Poll::Ready(Ok(value))
            }
            Err(payload) => {
                self.forget();
                Poll::Ready(Err(panic_text(payload)))
            }
        }
    }
}

impl<T> Caught<T> {
    /// Drops the author's future, whose destructors may panic as well.
    fn forget(&mut self) {
        let future = self.0.take();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(future))) {
            panic_text(payload);
        }
    }
}

impl<T> Drop for Caught<T> {
    fn drop(&mut self) {
        self.forget();
    }
}

/// What a panic said. The payload is never dropped: its own destructor might panic.
pub(crate) fn panic_text(payload: Box<dyn Any + Send>) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned());
    Box::leak(payload);
    text
}

/// Asks the host to start this instance anew.
pub(crate) fn report_fatal(line: &dyn HostLine, task: &str, text: &str) {
    let error = SurfaceError::new(ErrorKind::Panic, format!("task {task:?} panicked: {text}"));
    if let Ok(body) = serde_json::to_vec(&error) {
        line.deliver(kind::FATAL, 0, rc::PANIC, &body, Media::new());
    }
}
