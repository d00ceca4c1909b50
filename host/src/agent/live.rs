//! The text of a run while it grows, for one reader that is no client of the hub: an HTTP answer.
//!
//! Made by whoever submits the turn, filled by the run's events. Promises what `agent` events
//! promise (no blanks at the end, nothing that may still become a silent reply), with a blank line
//! between the texts before and after a tool. Bounded by the answer itself: a slow reader gets
//! fewer and longer pieces.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Both ends of it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Live(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    text: Mutex<Text>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Text {
    untold: String,
    begun: bool,
}

impl Live {
    /// More text; `fresh` when a part of the answer begins with it.
    pub(super) fn push(&self, piece: &str, fresh: bool) {
        let piece = if fresh { piece.trim_start() } else { piece };
        let mut text = self.0.text.lock().unwrap_or_else(PoisonError::into_inner);
        if fresh && text.begun {
            text.untold.push_str("\n\n");
        }
        text.untold.push_str(piece);
        text.begun = true;
        drop(text);
        self.0.more.notify_one();
    }

    /// What was not told yet; may be empty.
    pub fn take(&self) -> String {
        let mut text = self.0.text.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut text.untold)
    }

    /// Waits for more text and takes it. May be dropped and asked again: nothing is lost.
    pub async fn next(&self) -> String {
        loop {
            let text = self.take();
            if !text.is_empty() {
                return text;
            }
            self.0.more.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pieces_are_joined_until_they_are_read() {
        let live = Live::default();
        live.push(" Let me", true);
        live.push(" look.", false);
        assert_eq!(live.next().await, "Let me look.");
        live.push("Done.", true);
        assert_eq!(
            (live.next().await, live.take()),
            ("\n\nDone.".into(), String::new())
        );
        let (reader, writer) = (live.clone(), live);
        let (read, ()) = tokio::join!(reader.next(), async {
            tokio::task::yield_now().await;
            writer.push("!", false);
        });
        assert_eq!(read, "!");
    }
}
